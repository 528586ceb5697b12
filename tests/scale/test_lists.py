from __future__ import annotations

import json
from pathlib import Path

import pytest

from acne_edge.errors import ImageNotFoundError, UsageError
from acne_edge.scale.lists import photographs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def names(found: list[tuple[str, ImageNotFoundError | None]]) -> list[tuple[str, bool]]:
    return [(Path(path).name, error is None) for path, error in found]


def test_folders_globs_and_files_are_each_taken_once(folder: Path) -> None:
    found = photographs([str(folder), str(folder / "*.png"), str(folder / "a.jpg"), str(folder / "none.jpg")])
    assert names(found) == [("a.jpg", True), ("b.png", True), ("none.jpg", False)]


def test_json_lines_hold_paths_or_objects_with_a_path(folder: Path) -> None:
    lines = folder / "list.jsonl"
    lines.write_text(json.dumps({"path": "a.jpg", "reader": 7}) + "\n\n" + json.dumps(str(folder / "b.png")) + "\n")
    assert photographs([str(lines)]) == [(str(folder / "a.jpg"), None), (str(folder / "b.png"), None)]


def test_parquet_has_a_column_of_paths(folder: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="needs the extra ray")
    from pyarrow import parquet

    parquet.write_table(pa.table({"path": ["b.png", "gone.jpg"], "n": [1, 2]}), folder / "list.parquet")
    assert names(photographs([str(folder / "list.parquet")])) == [("b.png", True), ("gone.jpg", True)], (
        "a row tells that it is gone"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"path": ', "cannot be read as JSON lines"),
        ('{"file": "a.jpg"}', "row 1 has no path"),
        ('"a.jpg"\n7', "row 2 has no path"),
    ],
)
def test_lists_without_paths_are_refused(folder: Path, text: str, reason: str) -> None:
    (folder / "list.jsonl").write_text(text)
    with pytest.raises(UsageError, match=reason):
        photographs([str(folder / "list.jsonl")])


def test_what_is_no_parquet_is_refused(folder: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="needs the extra ray")
    from pyarrow import parquet

    file = folder / "list.parquet"
    file.write_bytes(b"no parquet")
    with pytest.raises(UsageError, match="is no Parquet file"):
        photographs([str(file)])
    parquet.write_table(pa.table({"file": ["b.png"]}), file)
    with pytest.raises(UsageError, match='with a column "path"'):
        photographs([str(file)])


def test_stdin_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot read this one's stdin"):
        photographs(["-"])
