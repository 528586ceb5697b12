from __future__ import annotations

from pathlib import Path

import pytest

from acne_edge import Record
from acne_edge.errors import UsageError
from acne_edge.records.counts import Counted, from_list, meant
from tests.records.conftest import lines


@pytest.mark.parametrize("name", ["photos/sub/c.jpg", "c.jpg", "SUM", "FILE"])
def test_a_photograph_is_named_by_its_name_sum_or_file(study: Path, photos: Path, tmp_path: Path, name: str) -> None:
    line = lines(study)[4]
    copy = tmp_path / "copy.jpg"
    copy.write_bytes((photos / "sub" / "c.jpg").read_bytes())
    wanted = {"SUM": line["sha256"], "FILE": str(copy)}.get(name, name)
    assert meant(study, [Counted(wanted, 12, "Moderate")]) == [(line["sha256"], 12, 1, "hayashi")]


def test_a_list_as_evaluate_reads_it_is_taken(study: Path, tmp_path: Path) -> None:
    (tmp_path / "counts.csv").write_text("file;count;grade\na.jpg;2;mild\nc.jpg;20;\n")
    found = meant(study, from_list(study, tmp_path / "counts.csv"))
    assert found == [(lines(study)[1]["sha256"], 2, 0, "hayashi"), (lines(study)[4]["sha256"], 20, 1, "hayashi")]


@pytest.mark.parametrize(
    ("counted", "says"),
    [
        (Counted("d.jpg", 1), "is no photograph of"),
        (Counted("a.jpg", 1, "grave"), "no grade of hayashi"),
        (Counted("a.jpg", 1, "4"), "no grade of hayashi"),
        (Counted("bad.jpg", 1, "mild"), "give the count alone"),
    ],
)
def test_what_cannot_be_meant_is_refused(study: Path, counted: Counted, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        meant(study, [counted])


def test_a_name_that_two_photographs_have_is_refused(study: Path, photos: Path, grader, tmp_path: Path) -> None:
    (photos / "other").mkdir()
    (photos / "other" / "c.jpg").write_bytes((photos / "a.jpg").read_bytes())
    with Record(study) as record:
        record.predict(grader, photos / "other" / "c.jpg")
    with pytest.raises(UsageError, match="several photographs"):
        meant(study, [Counted("c.jpg", 1)])
    assert meant(study, [Counted("photos/other/c.jpg", 1)])


def test_a_photograph_that_failed_may_be_counted(study: Path) -> None:
    assert meant(study, [Counted("bad.jpg", 7)]) == [(lines(study)[3]["sha256"], 7, None, None)]
