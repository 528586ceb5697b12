from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from acne_edge import AcneGrader, Record
from acne_edge.errors import AcneEdgeError, UsageError
from acne_edge.records.rerun import at_hand, difference, rerun
from tests.conftest import ASSETS
from tests.records.conftest import chained, lines

GOLDEN = json.loads((ASSETS / "golden-acne-edge-s.jsonl").read_text())


def test_the_same_photographs_give_the_same_results(study: Path) -> None:
    again = rerun(study)
    assert (again.same, again.absent, again.unnamed, again.differences, again.models) == (4, 0, 0, [], {})
    assert again.largest < 0.06
    assert at_hand(study) == (4, 4)


def test_a_result_that_was_forged_with_its_chain_is_found(study: Path) -> None:
    other = lines(study)
    other[2]["result"]["count"] += 3
    chained(study, other)
    (found,) = rerun(study).differences
    assert (found.line, found.name) == (3, "photos/b.jpg")
    assert f"{other[2]['result']['count']:.1f} lesions" in found.what


def test_a_photograph_that_was_exchanged_is_found_and_one_that_is_gone_is_counted(study: Path, photos: Path) -> None:
    shutil.copy(photos / "a.jpg", photos / "b.jpg")
    (photos / "sub" / "c.jpg").unlink()
    again = rerun(study)
    assert [(d.name, d.what) for d in again.differences] == [("photos/b.jpg", "another file has this name now")]
    assert (again.same, again.absent) == (2, 1)


def test_photographs_are_found_elsewhere_by_their_sum_whatever_they_are_called(study: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    shutil.move(photos / "sub" / "c.jpg", tmp_path / "archive" / "0001.jpg")
    shutil.rmtree(photos)
    again = rerun(study, tmp_path / "archive")
    assert (again.same, again.absent, again.differences) == (1, 3, [])
    assert at_hand(study) == (0, 4)
    with pytest.raises(UsageError, match="without photographs"):
        rerun(study, tmp_path / "none")


def test_scale_and_policy_are_those_of_the_record(photos: Path, tmp_path: Path) -> None:
    study = tmp_path / "study.jsonl"
    with AcneGrader.load(scale="banded", on_poor_quality="fail") as grader, Record(study) as record:
        list(record.predict_many(grader, photos))
    again = rerun(study)
    assert (again.same, again.differences) == (4, [])


def test_a_model_that_is_not_at_hand_is_told_and_can_be_given(study: Path, tmp_path: Path) -> None:
    other = lines(study)
    for line in other[1:]:
        line["model"]["sha256"] = "1" * 64
    chained(study, other)
    assert rerun(study).models == {"1" * 64: 4}
    with pytest.raises(AcneEdgeError):
        rerun(study, model=tmp_path / "none.onnx")


def changed(path: str, value: Any) -> dict[str, Any]:
    result = copy.deepcopy(GOLDEN)
    *outer, last = path.split(".")
    at = result
    for key in outer:
        at = at[key]
    at[last] = at[last] + value if isinstance(value, float | int) else value
    return dict(result)


@pytest.mark.parametrize(
    ("path", "within", "beyond"),
    [
        ("count", 0.99, 1.01),
        ("count_interval.low", 2, 3),
        ("count_interval.high", -2, -3),
        ("grade.index", 1, 2),
        ("grade_probs", [p + 0.029 for p in GOLDEN["grade_probs"]], [p + 0.031 for p in GOLDEN["grade_probs"]]),
    ],
)
def test_the_tolerance_is_that_of_other_processors(path: str, within: Any, beyond: Any) -> None:
    assert difference(GOLDEN, changed(path, within)) is None
    assert difference(GOLDEN, changed(path, beyond)) is not None


def test_what_no_processor_changes_must_be_the_same() -> None:
    assert difference(GOLDEN, GOLDEN) is None
    assert difference(GOLDEN, changed("scale", "banded")) == "another scale"
    assert difference(GOLDEN, changed("image", {"width": 1, "height": 1})) == "another image"
    assert difference(GOLDEN, changed("quality.reasons", ["blurred"])) == "another quality"


def test_a_failure_must_fail_again_with_the_same_code() -> None:
    failed = {"path": "a.jpg", "error": {"code": "image_decode", "message": "..."}}
    assert difference(failed, {**failed, "error": {"code": "image_decode", "message": "other words"}}) is None
    assert difference(failed, GOLDEN) == "image_decode, now a prediction"


def test_a_line_that_lacks_what_it_should_have_is_one_error(study: Path) -> None:
    other = lines(study)
    del other[2]["result"]["count_interval"]
    chained(study, other)
    with pytest.raises(UsageError, match="line 3 lacks 'count_interval'"):
        rerun(study)
