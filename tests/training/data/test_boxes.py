from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from acne_edge.errors import UsageError
from acne_edge.training.data import read_samples
from acne_edge.training.data.boxes import read_boxes, read_boxes_csv, read_voc_xml

VOC = """<annotation><filename>a.jpg</filename><size><width>200</width><height>100</height><depth>3</depth></size>
<object><name>fore</name><bndbox><xmin>20</xmin><ymin>10</ymin><xmax>60</xmax><ymax>30</ymax></bndbox></object>
<object><name>fore</name><bndbox><xmin>0</xmin><ymin>0</ymin><xmax>200</xmax><ymax>100</ymax></bndbox></object></annotation>"""


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
    (folder / "._a.xml").write_bytes(b"\0\5\26\7Mac OS X")  # as macOS leaves one beside each file on a card
    np.testing.assert_array_equal(read_boxes(tmp_path)["a.jpg"], boxes)
    (tmp_path / "boxes.csv").write_text("file,xmin,ymin,xmax,ymax\na.jpg,.1,.1,.3,.3\na.jpg,0,0,1,1\n")
    np.testing.assert_allclose(read_boxes_csv(tmp_path / "boxes.csv")["a.jpg"], expected, atol=1e-6)


def test_an_annotation_without_a_size_is_refused(tmp_path: Path) -> None:
    for text, says in (("<annotation/>", "no <size>"), (VOC.replace("200</width>", "0</width>"), "0x100")):
        (tmp_path / "a.xml").write_text(text)
        with pytest.raises(UsageError, match=says):
            read_voc_xml(tmp_path / "a.xml")


@pytest.mark.parametrize(
    "text",
    ["file,xmin,ymin\na.jpg,0,0\n", "file,xmin,ymin,xmax,ymax\na.jpg,0,0,1\n", "file,xmin,ymin,xmax,ymax\na.jpg,0,0,1,nan\n"],
)
def test_a_table_that_is_none_of_boxes_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "boxes.csv").write_text(text)
    with pytest.raises(UsageError, match=r"boxes\.csv: expected rows of file,xmin,ymin,xmax,ymax") as refused:
        read_boxes_csv(tmp_path / "boxes.csv")
    assert "\n" not in str(refused.value)


def test_an_annotation_that_is_no_xml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<annotation>")
    with pytest.raises(UsageError, match=r"a\.xml: cannot be read as a VOC annotation"):
        read_voc_xml(tmp_path / "a.xml")


def test_a_byte_order_mark_is_no_part_of_a_columns_name(tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_bytes(b"\xef\xbb\xbffile,xmin,ymin,xmax,ymax\r\na.jpg,0,0,1,1\r\n")
    assert read_boxes_csv(tmp_path / "boxes.csv")["a.jpg"].tolist() == [[0, 0, 1, 1]]
