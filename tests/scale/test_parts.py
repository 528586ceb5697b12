from __future__ import annotations

import json
from pathlib import Path

import pytest

from acne_edge import AcneGrader
from acne_edge.errors import ImageDecodeError, UsageError
from acne_edge.prediction import COLUMNS, Failure
from tests import drawing

pytest.importorskip("pyarrow", reason="needs the extra ray")

from pyarrow import parquet

from acne_edge.scale.parts import Parts, row, table

MADE_BY = {"sha256": "ab", "scale": None}


def failure(path: str) -> dict[str, object]:
    return row(Failure(path, ImageDecodeError("damaged")))


def test_a_row_is_that_of_the_csv_and_the_json() -> None:
    with AcneGrader.load(backend="onnxruntime") as grader:
        result = grader.predict(drawing.face())
    found = table([row(result), failure("bad.jpg")]).to_pylist()
    assert {name: found[0][name] for name in COLUMNS} == result.to_row()
    assert [(one["schema"], json.loads(one["result"])) for one in found[:1]] == [("1.1", result.to_dict())]
    assert (found[1]["error"], found[1]["count"], json.loads(found[1]["result"])["error"]["message"]) == (
        "image_decode",
        None,
        "damaged",
    )


def test_parts_are_added_and_remembered(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "results", MADE_BY)
    parts.add(table([failure("a.jpg")]))
    again = Parts(tmp_path / "results", MADE_BY, resume=True)
    assert again.done == {"a.jpg"}
    assert again.add(table([failure("b.jpg")])).name == "part-00001.parquet"
    assert sorted(parquet.read_table(tmp_path / "results")["path"].to_pylist()) == ["a.jpg", "b.jpg"]
    assert again.done == {"a.jpg", "b.jpg"}


def test_results_are_added_to_only_if_asked_and_made_alike(tmp_path: Path) -> None:
    Parts(tmp_path, MADE_BY).add(table([failure("a.jpg")]))
    with pytest.raises(UsageError, match="holds results already; add --resume"):
        Parts(tmp_path, MADE_BY)
    with pytest.raises(UsageError, match="another model or with other settings"):
        Parts(tmp_path, {**MADE_BY, "sha256": "cd"}, resume=True)


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    (tmp_path / "part-00000.parquet").write_bytes(b"PAR1")
    with pytest.raises(UsageError, match=r"part-00000\.parquet: cannot be read .* delete it"):
        Parts(tmp_path, MADE_BY, resume=True)
