"""Reads lesion boxes from a CSV file, or from PASCAL VOC annotations like ACNE04's."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from acne_edge.errors import UsageError
from acne_edge.sources.paths import is_junk

COLUMNS = ("xmin", "ymin", "xmax", "ymax")


def read_boxes(root: Path) -> dict[str, NDArray[np.float32]]:
    """All boxes under `root/Detection`: from `boxes.csv` if it exists, else from every VOC XML file below; empty without either.

    Raises UsageError for a file that cannot be read as boxes.
    """
    detection = root / "Detection"
    if (detection / "boxes.csv").is_file():
        return read_boxes_csv(detection / "boxes.csv")
    return dict(read_voc_xml(path) for path in sorted(detection.rglob("*.xml")) if not is_junk(path.name))


def read_boxes_csv(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read `file,xmin,ymin,xmax,ymax` rows (0..1 of the frame) into float32 [n, 4] by file name. Raises UsageError."""
    boxes: dict[str, list[list[float]]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            for row in csv.DictReader(stream):
                boxes.setdefault(row["file"], []).append([_number(row[column]) for column in COLUMNS])
    except (OSError, ValueError, TypeError, KeyError, csv.Error) as error:
        raise UsageError(f"{path}: expected rows of file,{','.join(COLUMNS)} ({error})") from error
    return {name: np.array(rows, np.float32) for name, rows in boxes.items()}


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not in 0..1")
    return value


def read_voc_xml(path: Path) -> tuple[str, NDArray[np.float32]]:
    """Read one PASCAL VOC annotation: the image's file name and its boxes, float32 [n, 4] in 0..1 of the frame.

    Raises UsageError if it is not XML, has no size, or has a coordinate that is not a number.
    """
    try:
        root = ElementTree.parse(path).getroot()
        size = root.find("size")
        if size is None:
            raise UsageError(f"{path}: the annotation has no <size>")
        width, height = (_number(size.findtext(k, "0")) for k in ("width", "height"))
        if width <= 0 or height <= 0:
            raise UsageError(f"{path}: the annotation's <size> is {width:g}x{height:g}")
        sides = dict(zip(COLUMNS, (width, height, width, height), strict=True))
        rows = [
            [_number(box.findtext(column, "0")) / side for column, side in sides.items()]
            for box in root.iterfind("object/bndbox")
        ]
    except (OSError, ElementTree.ParseError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read as a VOC annotation ({error})") from error
    return root.findtext("filename", path.stem + ".jpg"), np.array(rows, np.float32).reshape(-1, 4)
