from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from acne_edge.errors import UsageError
from acne_edge.evaluation.annotated import AnnotatedPhotograph, AnnotatedSet, Mark, Reading, write_annotated
from acne_edge.grading import HAYASHI, SeverityScale
from acne_edge.training.config import TrainConfig
from acne_edge.training.data import is_own, read_own, read_samples, split, strata, write_list
from tests import drawing

OWN = SeverityScale("own", ("few", "many"), (0, 5))


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Twelve files, one in a folder and one with a blank in its name."""
    (tmp_path / "visit 1").mkdir()
    picture = drawing.encode(drawing.face(3, 0, 48, 48), "JPEG")
    for name in ("visit 1/left side.jpg", *(f"{i}.jpg" for i in range(11))):
        (tmp_path / name).write_bytes(picture)
    return tmp_path


def table(folder: Path, text: str) -> Path:
    file = folder / "labels.csv"
    file.write_text(text)
    return file


def test_a_table_gives_counts_and_grades_by_the_scale_unless_they_are_given(photographs: Path) -> None:
    file = table(photographs, "file,count,grade\nvisit 1/left side.jpg,7,\n0.jpg,3,many\n1.jpg,30,\n")
    assert is_own(file)
    assert not is_own(photographs)
    samples, groups = read_own(file, OWN)
    assert [(s.name, s.count, s.grade) for s in samples] == [("visit 1/left side.jpg", 7, 1), ("0.jpg", 3, 1), ("1.jpg", 30, 1)]
    assert all(s.path.is_file() and s.boxes is None for s in samples)
    assert len(set(groups.tolist())) == 3


def test_photographs_of_one_person_are_kept_on_one_side(photographs: Path) -> None:
    rows = "".join(f"{i}.jpg,{3 * i},{'ab'[i] if i < 2 else 'c' if i < 5 else ''}\n" for i in range(11))
    file = table(photographs, "file,count,group\n" + rows)
    for seed in range(5):
        parts = split(file, TrainConfig(val_folds=3, seed=seed))
        train, val = ({s.name for s in parts[name]} for name in ("train", "val"))
        assert len(train | val) == 11
        assert not train & val
        assert len({"2.jpg", "3.jpg", "4.jpg"} & val) in (0, 3)
        assert parts["test"] == []
    assert len(split(file, TrainConfig(val_folds=0))["train"]) == 11


def test_lesions_that_are_marked_are_used_where_they_are_as_many_as_the_count(
    photographs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    marks = (Mark(0.5, 0.25, 0.1, 0.2), Mark(0.2, 0.2))
    readings = {"0.jpg": Reading(2, None, marks), "1.jpg": Reading(3, None, marks), "2.jpg": Reading(4, 2)}
    file = photographs / "set.json"
    write_annotated(file, AnnotatedSet(tuple(AnnotatedPhotograph(n, 48, 48, (r,)) for n, r in readings.items())))
    samples, _ = read_own(file, HAYASHI)
    assert [(s.count, s.grade, None if s.boxes is None else len(s.boxes)) for s in samples] == [
        (2, 0, 2),
        (3, 0, None),
        (4, 2, None),
    ]
    boxes = samples[0].boxes
    assert boxes is not None
    assert boxes == pytest.approx(np.array([[0.45, 0.15, 0.55, 0.35], [0.2, 0.2, 0.2, 0.2]]), abs=1e-4)
    assert "of 1 photographs the marks are not as many as the count" in caplog.text


def test_a_run_list_finds_the_photographs_and_their_boxes_again(photographs: Path) -> None:
    file, listed = photographs / "set.json", photographs / "run" / "train.txt"
    listed.parent.mkdir()
    names = ("visit 1/left side.jpg", "0.jpg")
    readings = (Reading(1, None, (Mark(0.5, 0.5, 0.1, 0.1),)), Reading(4, 3))
    write_annotated(file, AnnotatedSet(tuple(AnnotatedPhotograph(n, 48, 48, (r,)) for n, r in zip(names, readings, strict=True))))
    samples, _ = read_own(file, HAYASHI)
    write_list(listed, samples)
    again = read_samples(file, listed)
    assert again == samples
    assert [s.boxes is None for s in again] == [False, True]
    (photographs / "0.jpg").unlink()
    with pytest.raises(UsageError, match=r"1 listed photographs are missing, the first is 0\.jpg"):
        read_samples(file, listed)


def test_what_cannot_be_learned_is_refused_in_one_line(photographs: Path) -> None:
    file = table(photographs, "file,count,grade\n0.jpg,3,2\n")
    with pytest.raises(UsageError, match=r"0\.jpg has grade 2; the scale own has 0\.\.1"):
        read_own(file, OWN)
    with pytest.raises(UsageError, match=r"1 of 1 listed photographs are missing, the first is gone\.jpg"):
        read_own(table(photographs, "file,count\ngone.jpg,3\n"), OWN)
    file = table(photographs, "file,count\n0.jpg,3\n1.jpg,9\n")
    with pytest.raises(UsageError, match=r"folds are ACNE04's"):
        split(file, TrainConfig(cross_validation=1))
    with pytest.raises(UsageError, match=r"2 persons or photographs do not make 7 parts; use fewer parts \(--val-folds;"):
        split(file, TrainConfig())
    two = {"readings": [{"id": i, "image_id": 1, "count": 3, "by": f"{i}"} for i in (1, 2)]}
    image = {"id": 1, "file_name": "0.jpg", "width": 48, "height": 48}
    (photographs / "set.json").write_text(json.dumps({"images": [image], "annotations": [], "categories": [], **two}))
    with pytest.raises(UsageError, match=r"0\.jpg has 2 readings with a count \(1, 2\); train on a set with one reading"):
        read_own(photographs / "set.json", HAYASHI)


def test_parts_are_alike_in_counts_where_a_grade_is_rare() -> None:
    counts = np.arange(20)
    common = np.repeat([0, 1], 10)
    assert strata(common, counts, 5) is common
    rare = np.where(counts == 19, 1, 0)
    assert strata(rare, counts, 5).tolist() == np.repeat([0, 1, 2, 3], 5).tolist()
    assert strata(rare[-4:], counts[-4:], 5).tolist() == [0] * 4


def test_a_list_with_blanks_in_names_is_a_table(photographs: Path) -> None:
    shutil.copy(photographs / "0.jpg", photographs / "a,b.jpg")
    samples, _ = read_own(table(photographs, 'file,count\n"a,b.jpg",3\n'), HAYASHI)
    write_list(photographs / "list.txt", samples)
    assert (photographs / "list.txt").read_text() == 'file,count,grade\n"a,b.jpg",3,0\n'
