from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acne_edge.errors import UsageError
from acne_edge.evaluation.labels import list_hash
from acne_edge.grading import HAYASHI
from acne_edge.training.data import (
    group_ids,
    grouped_folds,
    grouped_split,
    image_sources,
    load_images,
    noise_filter,
    read_boxes,
    read_boxes_csv,
    read_pairs,
    read_samples,
    read_voc_xml,
    write_list,
)

VOC = """<annotation><filename>a.jpg</filename><size><width>200</width><height>100</height><depth>3</depth></size>
<object><name>fore</name><bndbox><xmin>20</xmin><ymin>10</ymin><xmax>60</xmax><ymax>30</ymax></bndbox></object>
<object><name>fore</name><bndbox><xmin>0</xmin><ymin>0</ymin><xmax>200</xmax><ymax>100</ymax></bndbox></object></annotation>"""


def test_labels_come_from_the_list_and_not_from_the_name(data: Path) -> None:
    samples = read_samples(data, "NNEW_trainval_0.txt")
    assert len(samples) == 40
    assert all(s.grade == HAYASHI.grade(s.count) for s in samples)
    assert any(f"levle{s.grade}_" not in s.name for s in samples)


def test_there_is_one_box_a_lesion(data: Path) -> None:
    for s in read_samples(data, "NNEW_trainval_0.txt"):
        assert s.boxes is not None
        assert s.boxes.shape == (s.count, 4)
        assert (s.boxes[:, :2] < s.boxes[:, 2:]).all()


def test_voc_xml_and_csv_read_the_same_boxes(tmp_path: Path) -> None:
    folder = tmp_path / "Detection" / "VOC2007" / "Annotations"
    folder.mkdir(parents=True)
    (folder / "a.xml").write_text(VOC)
    name, boxes = read_voc_xml(folder / "a.xml")
    expected = [[0.1, 0.1, 0.3, 0.3], [0, 0, 1, 1]]
    assert name == "a.jpg"
    np.testing.assert_allclose(boxes, expected, atol=1e-6)
    np.testing.assert_array_equal(read_boxes(tmp_path)["a.jpg"], boxes)
    (tmp_path / "boxes.csv").write_text("file,xmin,ymin,xmax,ymax\na.jpg,.1,.1,.3,.3\na.jpg,0,0,1,1\n")
    np.testing.assert_allclose(read_boxes_csv(tmp_path / "boxes.csv")["a.jpg"], expected, atol=1e-6)


def test_an_annotation_without_a_size_is_refused(tmp_path: Path) -> None:
    for text, says in (("<annotation/>", "no <size>"), (VOC.replace("200</width>", "0</width>"), "0x100")):
        (tmp_path / "a.xml").write_text(text)
        with pytest.raises(UsageError, match=says):
            read_voc_xml(tmp_path / "a.xml")


def test_another_layout_or_a_missing_photograph_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="layout"):
        read_samples(tmp_path, "NNEW_trainval_0.txt")
    extra = tmp_path / "list.txt"
    extra.write_text("gone.jpg 0 1\n")
    with pytest.raises(UsageError, match=r"1 listed photographs are missing, the first is gone\.jpg"):
        read_samples(data, extra)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12))
def test_connected_names_share_a_group(pairs: list[tuple[int, int]]) -> None:
    groups = group_ids([str(i) for i in range(10)], [(str(a), str(b)) for a, b in pairs])
    assert all(groups[a] == groups[b] for a, b in pairs)
    assert len(set(groups)) >= 10 - len(pairs)


def test_a_split_keeps_duplicates_together_and_grades_in_proportion(data: Path) -> None:
    samples = read_samples(data, "NNEW_trainval_0.txt")
    groups = group_ids([s.name for s in samples], read_pairs(data / "duplicates.csv"))
    for seed in range(5):
        train, val = grouped_split(samples, groups, 5, seed)
        assert len(train) + len(val) == 40
        assert not {s.name for s in train} & {s.name for s in val}
        twins = {"levle1_0.jpg", "levle1_4.jpg"}
        assert len(twins & {s.name for s in val}) in (0, 2)
        assert {s.grade for s in val} == {0, 1, 2, 3}


def test_tables_with_the_byte_order_mark_of_windows_programs_are_read_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "Classification").mkdir()
    tables = {
        "boxes.csv": "file,xmin,ymin,xmax,ymax\na.jpg,0.1,0.1,0.2,0.2\n",
        "Classification/images.csv": "file,original_width,original_height\na.jpg,3112,3456\nb.jpg,640,480\n",
        "duplicates.csv": "file_a,file_b,kind\na.jpg,b.jpg,identical\n",
    }
    for name, text in tables.items():
        (tmp_path / name).write_bytes(text.replace("\n", "\r\n").encode("utf-8-sig"))
    assert list(read_boxes_csv(tmp_path / "boxes.csv")) == ["a.jpg"]
    assert image_sources(tmp_path) == {"a.jpg": "hospital", "b.jpg": "web"}
    assert read_pairs(tmp_path / "duplicates.csv") == [("a.jpg", "b.jpg")]


def test_a_missing_pair_file_means_no_pairs(tmp_path: Path) -> None:
    assert read_pairs(tmp_path / "none.csv") == []


def test_a_written_list_reads_back_with_the_same_hash(data: Path, tmp_path: Path) -> None:
    samples = read_samples(data, "NNEW_trainval_0.txt")
    write_list(tmp_path / "list.txt", samples[::-1])
    again = read_samples(data, tmp_path / "list.txt")
    assert again == samples[::-1]
    assert list_hash(again) == list_hash(samples)
    assert list_hash(samples[1:]) != list_hash(samples)


def test_images_are_loaded_as_a_device_would(data: Path) -> None:
    samples = read_samples(data, "NNEW_trainval_0.txt")[:3]
    images = load_images(samples, 32)
    assert images.shape == (3, 32, 32, 3)
    assert images.dtype == np.uint8


def test_the_open_part_of_acne04(acne04: Path) -> None:
    samples = read_samples(acne04, "NNEW_trainval_0.txt")
    assert len(samples) == 1165
    assert np.bincount([s.grade for s in samples]).tolist() == [410, 506, 146, 103]
    assert all(s.boxes is not None and len(s.boxes) == s.count for s in samples)
    for k in range(1, 5):
        train, test = ({s.name for s in read_samples(acne04, f"NNEW_{part}_{k}.txt")} for part in ("trainval", "test"))
        assert len(test) == 292
        assert not train & test


@pytest.mark.parametrize("name", ["median", "bilateral"])
def test_a_noise_filter_removes_a_speck_and_keeps_an_edge(name: str) -> None:
    pytest.importorskip("cv2")
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, 8:] = 200
    speckled = image.copy()
    speckled[4, 4] += 12
    clean = noise_filter(name)(speckled)
    assert clean[4, 4].max() < 6
    np.testing.assert_allclose(clean[10:, :7], 0)
    np.testing.assert_allclose(clean[10:, 9:], 200)
    assert noise_filter("none")(image) is image


def test_every_sample_is_tested_in_one_fold_and_groups_stay_whole(data: Path) -> None:
    samples = read_samples(data, "NNEW_trainval_0.txt")
    groups = np.arange(40) // 2
    folds = grouped_folds(samples, groups, 4, seed=0)
    assert sorted(i for _, test in folds for i in test) == list(range(40))
    for train, test in folds:
        assert not set(groups[train]) & set(groups[test])
