"""The annotated set: labels of photographs, and the places of lesions. It is COCO JSON with a few more fields.

Any program that reads COCO (CVAT, Label Studio, pycocotools) finds photographs and boxes in it. Fields that COCO lacks are added:

    {
      "info": {"description": "...", "format": "acne-edge annotated set", "version": "1.0", "scale": "hayashi"},
      "images": [{"id": 1, "file_name": "visit1/left.jpg", "width": 3112, "height": 3456}],
      "categories": [{"id": 1, "name": "lesion", "supercategory": "acne"}],
      "readings": [{"id": 1, "image_id": 1, "by": "Dr A", "at": "2026-11-28T10:00:00+00:00",
                    "count": 12, "grade": 1, "marked": true, "note": ""}],
      "annotations": [{"id": 1, "image_id": 1, "reading_id": 1, "category_id": 1, "iscrowd": 0, "point": false,
                       "bbox": [1502.0, 880.5, 140.0, 122.0], "area": 17080.0, "segmentation": [],
                       "score": 0.87}]
    }

* Lengths are pixels of the upright photograph, from its upper left corner. `file_name` is a path below the folder of the
  photographs, with `/`.
* A **reading** is the judgement of one photograph by one person or model at one time; `by` and `at` (ISO 8601) may be empty.
  `count` (lesions) and `grade` (index into the grades of the `scale`, from 0) are null if they were not given. `marked` says
  whether lesions were marked: if true, no annotations means no lesions; if false, that nobody marked any.
* An annotation belongs to a reading. `point` says that only the centre was marked; the box is there for programs that need
  one, and its centre is the point. There are no COCO key points: Label Studio would make two marks of each lesion. `score`
  exists if a model set the mark.
* A plain COCO file, without `readings`, is read as one reading per photograph, whose count is the number of its annotations.
  If its `file_name` is no relative path, only the name is used.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from acne_edge.errors import UsageError
from acne_edge.files import write

FORMAT, VERSION = "acne-edge annotated set", "1.0"  # a minor version adds fields and changes none
MAX_BYTES = 512_000_000
MAX_COUNT, MAX_GRADE = 10_000, 15
POINT_SIDE = 0.044  # of a point's box, as a share of the shorter side: the median box side in ACNE04
DECIMALS = 3  # of pixels


@dataclass(frozen=True)
class Mark:
    """One lesion. A point has no width and no height."""

    x: float  # of the centre: 0 at the left edge of the upright photograph, 1 at the right edge
    y: float  # of the centre: 0 at the top, 1 at the bottom
    width: float = 0.0  # as a share of the photograph's width
    height: float = 0.0  # in heights
    kind: str = "lesion"  # COCO's category
    score: float | None = None  # only for a model's mark


@dataclass(frozen=True)
class Reading:
    """The judgement of one photograph by one person or model at one time."""

    count: int | None = None  # lesions
    grade: int | None = None  # index into the grades of the set's scale, from 0
    marks: tuple[Mark, ...] | None = None  # None: lesions were not marked
    by: str = ""
    at: str = ""  # ISO 8601
    note: str = ""


@dataclass(frozen=True)
class AnnotatedPhotograph:
    """A photograph and its readings."""

    name: str  # path below the folder of the photographs, with `/`
    width: int  # pixels, upright
    height: int
    readings: tuple[Reading, ...] = ()


@dataclass(frozen=True)
class AnnotatedSet:
    """Photographs with different names, and their readings."""

    photographs: tuple[AnnotatedPhotograph, ...]
    scale: str = "hayashi"  # name of the severity scale that grades are given on
    description: str = ""
    info: Mapping[str, Any] = field(default_factory=dict, compare=False)  # other fields of the file's `info`


def write_annotated(path: Path, annotated: AnnotatedSet) -> None:
    """Write the set as JSON; equal sets give equal files. Raises AcneEdgeError if the file cannot be written."""
    write(path, (json.dumps(to_coco(annotated), indent=1, allow_nan=False) + "\n").encode())


def to_coco(annotated: AnnotatedSet) -> dict[str, Any]:
    """The set as the JSON at the top of this module."""
    kinds = sorted({m.kind for p in annotated.photographs for r in p.readings for m in r.marks or ()} | {"lesion"})
    readings: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, photograph in enumerate(annotated.photographs, 1):
        for reading in photograph.readings:
            readings.append(
                {
                    "id": len(readings) + 1,
                    "image_id": image_id,
                    "by": reading.by,
                    "at": reading.at,
                    "count": reading.count,
                    "grade": reading.grade,
                    "marked": reading.marks is not None,
                    "note": reading.note,
                }
            )
            for mark in reading.marks or ():
                ids = {"id": len(annotations) + 1, "image_id": image_id, "reading_id": len(readings)}
                annotations.append({**ids, "category_id": kinds.index(mark.kind) + 1, **_shape(mark, photograph)})
    info = {"description": annotated.description, "format": FORMAT, "version": VERSION, "scale": annotated.scale}
    return {
        "info": {**annotated.info, **info},
        "images": [
            {"id": number, "file_name": p.name, "width": p.width, "height": p.height}
            for number, p in enumerate(annotated.photographs, 1)
        ],
        "categories": [{"id": number, "name": kind, "supercategory": "acne"} for number, kind in enumerate(kinds, 1)],
        "readings": readings,
        "annotations": annotations,
    }


def _shape(mark: Mark, photograph: AnnotatedPhotograph) -> dict[str, Any]:
    """The fields of a lesion's place, rounded so that reading and writing them again gives the same."""
    x, y = mark.x * photograph.width, mark.y * photograph.height
    width, height = round(mark.width * photograph.width, DECIMALS), round(mark.height * photograph.height, DECIMALS)
    point = not (width or height)
    if point:
        x, y = round(x, DECIMALS), round(y, DECIMALS)
        width = height = 2 * round(POINT_SIDE / 2 * min(photograph.width, photograph.height), DECIMALS)
    left, top = (round(edge, DECIMALS) + 0.0 for edge in (x - width / 2, y - height / 2))  # + 0.0 makes -0.0 a 0.0
    shape = {
        "bbox": [left, top, width, height],
        "area": round(width * height, DECIMALS),
        "segmentation": [],  # CVAT takes an annotation for a rectangle where this is empty
        "iscrowd": 0,
        "point": point,
    }
    return shape if mark.score is None else {**shape, "score": round(mark.score, 4)}


def read_annotated(path: Path) -> AnnotatedSet:
    """Read an annotated set or a plain COCO file. Raises UsageError, naming the field, for anything else."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"{path}: over {MAX_BYTES // 1_000_000} MB; divide it")
        root = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: is not valid JSON ({error})") from error
    try:
        return from_coco(root)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def from_coco(root: Any) -> AnnotatedSet:
    """The set from JSON as at the top of this module, or from plain COCO. Raises UsageError, naming the field."""
    top = _Object(root, "annotated set")
    info = _Object(root.get("info", {}), "info")
    major = VERSION.split(".")[0]
    if info.value.get("format") == FORMAT and info.text("version").split(".")[0] != major:
        raise UsageError(f"info.version is {info.text('version')[:20]}; this version reads {major}.x: update acne-edge")
    images = _by_id(top.objects("images"))
    kinds = {number: category.text("name") for number, category in _by_id(top.objects("categories")).items()}
    annotations = top.objects("annotations")
    readings = _by_id(top.objects("readings")) if "readings" in top.value else None
    marks: dict[int, list[Mark]] = {}  # by the reading, or in plain COCO by the image
    belongs = "image_id" if readings is None else "reading_id"
    for annotation in annotations:
        image = images.get(annotation.integer("image_id", 0))
        if image is None:
            raise UsageError(f"{annotation.path}.image_id: no such image")
        if not annotation.value.get("iscrowd"):
            marks.setdefault(annotation.integer(belongs, 0), []).append(_mark(annotation, image, kinds))
    said: dict[int, list[Reading]] = {}
    if readings is None:
        said = {number: [Reading(len(marks.get(number, [])), None, tuple(marks.get(number, [])))] for number in images}
    for number, reading in (readings or {}).items():
        if reading.integer("image_id", 0) not in images:
            raise UsageError(f"{reading.path}.image_id: no such image")
        said.setdefault(reading.integer("image_id", 0), []).append(_reading(reading, marks.pop(number, [])))
    if readings is not None and marks:
        raise UsageError(f"annotations: reading_id {min(marks)} is no reading's")
    plain = readings is None
    photographs = tuple(_photograph(image, tuple(said.get(number, [])), plain) for number, image in images.items())
    if len({p.name for p in photographs}) < len(photographs):
        raise UsageError("images: two of them have the same file_name")
    own = ("description", "format", "version", "scale")
    rest = {key: value for key, value in info.value.items() if key not in own}
    return AnnotatedSet(photographs, info.text("scale", "hayashi"), info.text("description", ""), rest)


def _by_id(objects: Sequence[_Object]) -> dict[int, _Object]:
    found = {item.integer("id", 0): item for item in objects}
    if len(found) < len(objects):
        raise UsageError(f"{objects[0].path.partition('[')[0]}: two of them have the same id")
    return found


def _photograph(image: _Object, readings: tuple[Reading, ...], plain: bool) -> AnnotatedPhotograph:
    name = image.text("file_name")
    if plain:  # some programs write their own path of the photograph
        name = name.replace("\\", "/").rpartition("?d=")[2]  # Label Studio's address of a file in its local storage
        name = PurePosixPath(name).name if name.startswith("/") or ":" in name or ".." in PurePosixPath(name).parts else name
    parts = PurePosixPath(name).parts
    if not parts or parts[0] == "/" or ".." in parts or "\\" in name or "\0" in name:
        raise UsageError(f"{image.path}.file_name is {name[:60]!r}; expected a path below the folder of the photographs, with /")
    return AnnotatedPhotograph(name, image.integer("width", 1), image.integer("height", 1), readings)


def _reading(reading: _Object, marks: Sequence[Mark]) -> Reading:
    at = reading.text("at", "")
    if at:
        try:
            datetime.fromisoformat(at.replace("Z", "+00:00"))
        except ValueError as error:
            raise UsageError(f"{reading.path}.at is {at[:40]!r}; expected a time as 2026-11-28T10:00:00+00:00") from error
    count = None if reading.value.get("count") is None else reading.integer("count", 0, MAX_COUNT)
    grade = None if reading.value.get("grade") is None else reading.integer("grade", 0, MAX_GRADE)
    marked = reading.value.get("marked", bool(marks))
    if marked is not True and (marked is not False or marks):
        raise UsageError(f"{reading.path}.marked: expected true, or false for a reading without annotations")
    return Reading(count, grade, tuple(marks) if marked else None, reading.text("by", ""), at, reading.text("note", ""))


def _mark(annotation: _Object, image: _Object, kinds: Mapping[int, str]) -> Mark:
    category = annotation.integer("category_id", 0)
    if category not in kinds:
        raise UsageError(f"{annotation.path}.category_id: no such category")
    width, height = image.integer("width", 1), image.integer("height", 1)
    if "bbox" not in annotation.value:  # plain COCO with key points alone
        keypoints = annotation.numbers("keypoints") if annotation.value.get("keypoints") else []
        if len(keypoints) != 3:
            raise UsageError(f"{annotation.path}: expected a bbox of four numbers, or keypoints of three for a point")
        x, y, w, h = keypoints[0], keypoints[1], 0.0, 0.0
    else:
        box = annotation.numbers("bbox")
        if len(box) != 4 or min(box[2:]) < 0:
            raise UsageError(f"{annotation.path}.bbox: expected x, y, width, height")
        x, y = box[0] + box[2] / 2, box[1] + box[3] / 2
        w, h = (0.0, 0.0) if annotation.value.get("point") else (box[2], box[3])
    if not (0 <= x <= width and 0 <= y <= height):
        raise UsageError(f"{annotation.path}: its centre lies outside the photograph's {width}x{height} pixels")
    score = annotation.value.get("score")
    if score is not None:
        (score,) = annotation.numbers("score")
    return Mark(x / width, y / height, w / width, h / height, kinds[category], score)


class _Object:
    """Typed access to a JSON object; every error names the field."""

    def __init__(self, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise UsageError(f"{path}: expected a JSON object")
        self.value, self.path = value, path

    def objects(self, key: str) -> list[_Object]:
        """The list of objects in the field."""
        items = self.value.get(key)
        if not isinstance(items, list):
            raise UsageError(f"{key}: expected a list")
        return [_Object(item, f"{key}[{number}]") for number, item in enumerate(items)]

    def text(self, key: str, default: str | None = None) -> str:
        """The text in the field."""
        value = self.value.get(key, default)
        if not isinstance(value, str):
            raise UsageError(f"{self.path}.{key}: expected a text")
        return value

    def integer(self, key: str, low: int, high: int = 1 << 53) -> int:
        """The integer in the field, which must lie in low..high."""
        value = self.value.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise UsageError(f"{self.path}.{key}: expected an integer from {low}" + (f" to {high}" if high < 1 << 53 else ""))
        return value

    def numbers(self, key: str) -> list[float]:
        """The number, or the list of numbers, in the field; finite ones."""
        value = self.value.get(key)
        numbers = []
        for item in value if isinstance(value, list) else [value]:
            number = float(item) if isinstance(item, (int, float)) and abs(item) < 1e300 else math.nan
            if isinstance(item, bool) or not math.isfinite(number):
                raise UsageError(f"{self.path}.{key}: expected numbers")
            numbers.append(number)
        return numbers
