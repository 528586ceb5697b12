from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from acne_edge import AcneGrader, ImageError
from acne_edge.evaluation.labels import Label
from acne_edge.evaluation.perturb import UNCHANGED, Judged, judge, table
from acne_edge.evaluation.perturbations import Perturbation, exposure
from tests import drawing

SAME = Perturbation("the same", lambda image, rng: image.copy())
DARK = Perturbation("dark", exposure(0.1))
TINY = Perturbation("tiny", lambda image, rng: image.resize((8, 8)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, kind in (("a.jpg", 0), ("b.jpg", 3)):
        (tmp_path / name).write_bytes(drawing.encode(drawing.face(kind), "JPEG", quality=92))
    return tmp_path


def test_rows_come_in_order_and_copies_that_fail_count_as_flagged(grader: AcneGrader, folder: Path) -> None:
    labels = [Label("a.jpg", 1, 9), Label("b.jpg", 0, 3)]
    known, judged = judge([(grader, folder, labels)], (SAME, DARK, TINY))
    assert known == labels
    rows = {r["row"]: r for r in table(known, judged)}
    assert list(rows) == [UNCHANGED, "the same", "dark", "tiny"]
    assert rows["the same"] == rows[UNCHANGED] | {"row": "the same"}
    assert (rows[UNCHANGED]["change"], rows[UNCHANGED]["changed"], rows[UNCHANGED]["images"]) == (0, 0, 2)
    assert judged["dark"].told.all()
    assert rows["dark"]["untold"] == 0
    assert (rows["tiny"]["change"], rows["tiny"]["accuracy"], rows["tiny"]["coverage"]) == (None, None, None)
    assert rows["tiny"]["changed"] == 1  # no grade is another grade
    assert rows["tiny"]["untold"] == 0


def test_a_photograph_of_two_sets_is_judged_once_by_the_first(grader: AcneGrader, folder: Path) -> None:
    first, second = [Label("a.jpg", 0, 1)], [Label("a.jpg", 0, 1), Label("b.jpg", 0, 2)]
    known, judged = judge([(grader, folder, first), (grader, folder, second)], (SAME,))
    assert [label.name for label in known] == ["a.jpg", "b.jpg"]
    assert len(judged[UNCHANGED].count) == 2


def test_a_photograph_that_cannot_be_read_is_an_error(grader: AcneGrader, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        judge([(grader, tmp_path, [Label("gone.jpg", 0, 1)])], (SAME,))


def judged(count: list[float], grade: list[int], told: list[bool], graded: list[bool] | None = None) -> Judged:
    everywhere = np.ones(len(count), bool)
    return Judged(
        np.array(count), np.array(grade), np.array(told), everywhere if graded is None else np.array(graded), everywhere
    )


def test_the_figures_of_a_row_by_hand() -> None:
    labels = [Label(name, grade, count) for name, grade, count in (("a", 0, 2), ("b", 1, 10), ("c", 1, 12), ("d", 0, 4))]
    before = judged([2, 10, 12, 4], [0, 1, 1, 0], [False, False, False, True])
    after = judged([5, 4, 12, 5], [0, 0, 1, 1], [True, False, False, True], [True, True, True, False])
    row = table(labels, {UNCHANGED: before, "x": after})[1]
    assert row["change"] == pytest.approx((3 + 6 + 0 + 1) / 4)
    assert row["bias"] == pytest.approx((3 - 6 + 0 + 1) / 4)
    assert row["changed"] == 0.5  # b and d
    assert row["untold"] == 0.25  # b alone: d was flagged
    assert row["warned"] == 0.5  # of a and c, whose grade held, a
    assert row["accuracy"] == 0.5
    assert row["graded_accuracy"] == pytest.approx(2 / 3)
    assert row["mae"] == pytest.approx((3 + 6 + 0 + 1) / 4)
    assert row["graded"] == 0.75


def test_pictures_of_other_modes_are_read_as_a_device_reads_them(grader: AcneGrader, tmp_path: Path) -> None:
    Image.fromarray(drawing.face()).convert("L").save(tmp_path / "grey.png")
    known, found = judge([(grader, tmp_path, [Label("grey.png", 0, 1)])], (SAME,))
    assert len(known) == len(found["the same"].count) == 1
