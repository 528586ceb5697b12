from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acne_edge.errors import UsageError
from acne_edge.evaluation.annotated import (
    AnnotatedPhotograph,
    AnnotatedSet,
    Mark,
    Reading,
    from_coco,
    read_annotated,
    to_coco,
    write_annotated,
)

SIDES = st.integers(32, 10_000)
SHARES = st.floats(0.01, 0.99)
TEXTS = st.text(max_size=20)
MARKS = st.builds(
    Mark,
    SHARES,
    SHARES,
    *[st.sampled_from([0.0, 0.02, 0.3])] * 2,
    kind=st.sampled_from(["lesion", "papule"]),
    score=st.none() | st.floats(0, 1),
)
READINGS = st.builds(
    Reading,
    st.none() | st.integers(0, 200),
    st.none() | st.integers(0, 3),
    st.none() | st.lists(MARKS, max_size=4).map(tuple),
    TEXTS,
    st.sampled_from(["", "2026-11-28T10:00:00+00:00", "2026-11-28"]),
    TEXTS,
)
NAMES = st.lists(st.sampled_from(["a", "b.jpg", "visit 1", "ä"]), min_size=1, max_size=3).map("/".join)
SETS = st.builds(
    AnnotatedSet,
    st.lists(
        st.builds(AnnotatedPhotograph, NAMES, SIDES, SIDES, st.lists(READINGS, max_size=3).map(tuple)),
        max_size=4,
        unique_by=lambda photograph: photograph.name,
    ).map(tuple),
    st.sampled_from(["hayashi", "banded"]),
    TEXTS,
)


def near(a: Mark, b: Mark, width: int, height: int) -> bool:
    """Whether two marks agree to a thousandth of a pixel."""
    ours = (a.x * width, a.y * height, a.width * width, a.height * height)
    theirs = (b.x * width, b.y * height, b.width * width, b.height * height)
    scores = (a.score is None) == (b.score is None) and math.isclose(a.score or 0, b.score or 0, abs_tol=1e-4)
    return scores and a.kind == b.kind and all(math.isclose(u, v, abs_tol=2e-3) for u, v in zip(ours, theirs, strict=True))


@settings(max_examples=60)
@given(SETS)
def test_what_is_written_is_read(annotated: AnnotatedSet) -> None:
    text = json.dumps(to_coco(annotated))
    again = from_coco(json.loads(text))
    assert (again.scale, again.description) == (annotated.scale, annotated.description)
    assert [(p.name, p.width, p.height) for p in again.photographs] == [
        (p.name, p.width, p.height) for p in annotated.photographs
    ]
    for ours, theirs in zip(annotated.photographs, again.photographs, strict=True):
        for a, b in zip(ours.readings, theirs.readings, strict=True):
            assert (a.count, a.grade, a.by, a.at, a.note) == (b.count, b.grade, b.by, b.at, b.note)
            assert (a.marks is None) == (b.marks is None)
            assert all(near(u, v, ours.width, ours.height) for u, v in zip(a.marks or (), b.marks or (), strict=True))
    assert json.dumps(to_coco(again)) == text  # what was read is written as it was


def test_an_edge_that_rounds_to_zero_has_no_sign() -> None:
    edges = AnnotatedPhotograph("a.jpg", 100, 100, (Reading(marks=(Mark(0.2 - 1e-9, 0.5, 0.4, 0.2),)),))
    assert "-0.0" not in json.dumps(to_coco(AnnotatedSet((edges,))))


ONE = AnnotatedSet(
    (
        AnnotatedPhotograph(
            "visit1/left.jpg",
            1000,
            800,
            (
                Reading(
                    2, 0, (Mark(0.5, 0.25, 0.1, 0.05), Mark(0.1, 0.9, score=0.75)), "Dr A", "2026-11-28T10:00:00+00:00", "clear"
                ),
                Reading(3, None, None, "Dr B"),
            ),
        ),
        AnnotatedPhotograph("visit1/right.jpg", 1000, 800, (Reading(0, 0, ()),)),
    ),
    description="drawn",
)


def test_the_form_is_the_documented_one(tmp_path: Path) -> None:
    write_annotated(tmp_path / "set.json", ONE)
    root = json.loads((tmp_path / "set.json").read_text())
    assert root["info"] == {"description": "drawn", "format": "acne-edge annotated set", "version": "1.0", "scale": "hayashi"}
    assert root["images"][0] == {"id": 1, "file_name": "visit1/left.jpg", "width": 1000, "height": 800}
    assert [(r["image_id"], r["by"], r["count"], r["grade"], r["marked"]) for r in root["readings"]] == [
        (1, "Dr A", 2, 0, True), (1, "Dr B", 3, None, False), (2, "", 0, 0, True),
    ]  # fmt: skip
    box, point = root["annotations"]
    assert (box["bbox"], box["point"], box["reading_id"]) == ([450, 180, 100, 40], False, 1)
    assert point["point"]
    assert "keypoints" not in box, "of which Label Studio would make a second mark"
    assert point["bbox"] == [82.4, 702.4, 35.2, 35.2]
    assert (point["score"], "score" in box) == (0.75, False)


def test_a_set_survives_its_file(tmp_path: Path) -> None:
    write_annotated(tmp_path / "set.json", ONE)
    assert read_annotated(tmp_path / "set.json") == ONE


def test_a_readers_fields_in_info_are_kept() -> None:
    root = to_coco(ONE)
    root["info"]["contributor"] = "a clinic"
    assert to_coco(from_coco(root))["info"]["contributor"] == "a clinic"


def plain() -> dict[str, Any]:
    """As an annotation program exports it."""
    return {
        "images": [{"id": 7, "file_name": "..\\media\\upload\\left.jpg", "width": 100, "height": 200, "license": 0}],
        "categories": [{"id": 3, "name": "pimple"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 3, "bbox": [10, 20, 30, 40], "area": 1200, "iscrowd": 0, "segmentation": []},
            {"id": 2, "image_id": 7, "category_id": 3, "keypoints": [50, 60, 2], "num_keypoints": 1},
            {"id": 3, "image_id": 7, "category_id": 3, "bbox": [0, 0, 100, 200], "iscrowd": 1},
        ],
    }


def test_plain_coco_is_one_reading_a_photograph_with_a_count_of_its_annotations() -> None:
    (photograph,) = from_coco(plain()).photographs
    assert photograph.name == "left.jpg"
    (reading,) = photograph.readings
    assert (reading.count, reading.grade, reading.by) == (2, None, "")
    assert reading.marks == (Mark(0.25, 0.2, 0.3, 0.2, "pimple"), Mark(0.5, 0.3, 0, 0, "pimple"))


def test_label_studios_local_files_have_their_own_names() -> None:
    root = plain()
    root["images"][0]["file_name"] = "/data/local-files/?d=visit1/left.jpg"
    assert from_coco(root).photographs[0].name == "visit1/left.jpg"


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("images", None, "images: expected a list"),
        ("images.0", 3, r"images\[0\]: expected a JSON object"),
        ("images.0.width", 0, r"images\[0\]\.width: expected an integer from 1"),
        ("images.0.width", True, "expected an integer"),
        ("images.0.file_name", "../a.jpg", "below the folder"),
        ("images.0.file_name", "/etc/passwd", "below the folder"),
        ("images.1.file_name", "visit1/left.jpg", "two of them have the same file_name"),
        ("images.1.id", 1, "images: two of them have the same id"),
        ("readings.0.count", -1, r"readings\[0\]\.count: expected an integer from 0 to 10000"),
        ("readings.0.grade", 1.5, "grade: expected an integer"),
        ("readings.0.at", "yesterday", r"at is 'yesterday'; expected a time"),
        ("readings.0.by", 5, "by: expected a text"),
        ("readings.0.marked", False, "marked: expected true, or false for a reading without annotations"),
        ("readings.0.image_id", 9, "no such image"),
        ("annotations.0.image_id", 9, "no such image"),
        ("annotations.0.reading_id", 9, "reading_id 9 is no reading's"),
        ("annotations.0.category_id", 9, "no such category"),
        ("annotations.0.bbox", [1, 2, 3], r"bbox: expected x, y, width, height"),
        ("annotations.0.bbox", [1, 2, -3, 4], r"bbox: expected x, y, width, height"),
        ("annotations.0.bbox", [1, 2, 3, 10**400], "bbox: expected numbers"),
        ("annotations.0.bbox", [2000, 2, 3, 4], "outside the photograph's 1000x800 pixels"),
        ("annotations.0.score", "high", "score: expected numbers"),
        ("info.version", "2.0", r"info\.version is 2\.0; this version reads 1\.x"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, path: str, value: Any, says: str) -> None:
    root: Any = to_coco(ONE)
    *parents, last = (int(part) if part.isdecimal() else part for part in path.split("."))
    inner = root
    for part in parents:
        inner = inner[part]
    inner[last] = value
    (tmp_path / "set.json").write_text(json.dumps(root))
    with pytest.raises(UsageError, match=says) as caught:
        read_annotated(tmp_path / "set.json")
    assert str(caught.value).startswith(f"{tmp_path / 'set.json'}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "null", "[]", "{", "[" * 100_000, '{"images": [], "categories": [], "annotations": NaN}'])
def test_what_is_no_set_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "set.json").write_text(text)
    with pytest.raises(UsageError):
        read_annotated(tmp_path / "set.json")
    with pytest.raises(UsageError, match="cannot be read"):
        read_annotated(tmp_path / "missing.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
PLACES = st.sampled_from(
    [(key,) for key in to_coco(ONE)]
    + [(key, 0, field) for key in ("images", "categories", "readings", "annotations") for field in to_coco(ONE)[key][0]]
)


@settings(max_examples=120)
@given(PLACES, JSON)
def test_any_value_in_any_field_is_taken_or_refused(place: tuple[Any, ...], value: Any) -> None:
    root: Any = to_coco(ONE)
    inner = root
    for part in place[:-1]:
        inner = inner[part]
    inner[place[-1]] = value
    try:
        annotated = from_coco(root)
    except UsageError:
        return
    assert from_coco(to_coco(annotated)).photographs[0].name == annotated.photographs[0].name
