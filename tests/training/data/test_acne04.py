from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from acne_edge.errors import UsageError
from acne_edge.evaluation.labels import list_hash
from acne_edge.grading import HAYASHI
from acne_edge.training.data import content_hash, image_sources, read_samples, write_list


def test_labels_come_from_the_list_and_not_from_the_name(data: Path) -> None:
    samples = read_samples(data, "NNEW_trainval_0.txt")
    assert len(samples) == 40
    assert all(s.grade == HAYASHI.grade(s.count) for s in samples)
    assert any(f"levle{s.grade}_" not in s.name for s in samples)


def test_another_layout_or_a_missing_photograph_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="layout"):
        read_samples(tmp_path, "NNEW_trainval_0.txt")
    extra = tmp_path / "list.txt"
    extra.write_text("gone.jpg 0 1\n")
    with pytest.raises(UsageError, match=r"1 listed photographs are missing, the first is gone\.jpg"):
        read_samples(data, extra)


def test_a_written_list_reads_back_with_the_same_hash(data: Path, tmp_path: Path) -> None:
    samples = read_samples(data, "NNEW_trainval_0.txt")
    write_list(tmp_path / "list.txt", samples[::-1])
    again = read_samples(data, tmp_path / "list.txt")
    assert again == samples[::-1]
    assert list_hash(again) == list_hash(samples)
    assert list_hash(samples[1:]) != list_hash(samples)


def test_the_open_part_of_acne04(acne04: Path) -> None:
    samples = read_samples(acne04, "NNEW_trainval_0.txt")
    assert len(samples) == 1165
    assert np.bincount([s.grade for s in samples]).tolist() == [410, 506, 146, 103]
    assert all(s.boxes is not None and len(s.boxes) == s.count for s in samples)
    for k in range(1, 5):
        train, test = ({s.name for s in read_samples(acne04, f"NNEW_{part}_{k}.txt")} for part in ("trainval", "test"))
        assert len(test) == 292
        assert not train & test


def test_a_folder_that_is_not_there_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere: no such folder"):
        read_samples(tmp_path / "nowhere", "NNEW_trainval_0.txt")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"file: not a folder"):
        read_samples(tmp_path / "file", "NNEW_trainval_0.txt")


def test_a_grade_that_hayashi_does_not_have_is_refused(data: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("levle1_0.jpg 4 1\n")
    with pytest.raises(UsageError, match=r"levle1_0\.jpg has grade 4; Hayashi's are 0\.\.3"):
        read_samples(data, listed)


def test_the_content_hash_tells_photographs_and_boxes_but_not_copies(data: Path, tmp_path: Path) -> None:
    samples = read_samples(data, "NNEW_trainval_0.txt")[:3]
    copies = [replace(s, path=Path(shutil.copy(s.path, tmp_path))) for s in samples]
    before = content_hash(samples)
    assert content_hash(copies) == before
    assert content_hash(copies[::-1]) != before, "another order is another run"
    moved = replace(samples[0], boxes=samples[0].boxes + np.float32(0.01))
    assert content_hash([moved, *samples[1:]]) != before
    copies[1].path.write_bytes(copies[1].path.read_bytes() + b"\0")
    assert content_hash(copies) != before


def test_a_photograph_of_the_hospitals_size_is_the_hospitals(tmp_path: Path) -> None:
    (tmp_path / "Classification").mkdir()
    assert image_sources(tmp_path) == {}
    table = tmp_path / "Classification" / "images.csv"
    text = "file,original_width,original_height\na.jpg,3112,3456\nb.jpg,640,480\n"
    table.write_bytes(text.replace("\n", "\r\n").encode("utf-8-sig"))
    assert image_sources(tmp_path) == {"a.jpg": "hospital", "b.jpg": "web"}
    table.write_text(text + "c.jpg,wide,480\n")
    with pytest.raises(UsageError, match=r"images\.csv: expected rows of file,original_width,original_height"):
        image_sources(tmp_path)
