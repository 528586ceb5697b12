from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from acne_edge import Prediction
from acne_edge.errors import UsageError
from acne_edge.evaluation.labels import Label
from acne_edge.prediction import ImageSize
from acne_edge.report import groups


def test_a_source_is_what_the_labels_say_or_the_size_of_acne04s_originals(tmp_path: Path) -> None:
    photos = tmp_path / "JPEGImages"
    labels = [Label("a.jpg", 0, 1), Label("b.jpg", 0, 1), Label("c.jpg", 0, 1), Label("d.jpg", 0, 1, "clinic")]
    assert groups.by_source(photos, labels[:3]) == {}
    assert groups.by_source(photos, labels) == {"clinic": [3], "unknown": [0, 1, 2]}
    (tmp_path / "images.csv").write_text("file,original_width,original_height\na.jpg,3112,3456\nb.jpg,600,700\n")
    assert groups.by_source(photos, labels) == {"clinic": [3], "hospital": [0], "web": [1], "unknown": [2]}
    (tmp_path / "images.csv").write_text("file,original_width,original_height\na.jpg,wide,high\n")
    with pytest.raises(UsageError, match=r"images\.csv: expected rows"):
        groups.by_source(photos, labels)


def test_resolutions_are_those_of_the_shorter_side(predictions: list[Prediction]) -> None:
    sizes = [(499, 3000), (3000, 500), (999, 999), (1000, 4000), (2000, 2000), (3112, 3456)]
    sized = [replace(predictions[0], image=ImageSize(*size)) for size in sizes]
    assert groups.by_resolution(sized) == {"0": [0], "500": [1, 2], "1000": [3], "2000": [4, 5]}


def test_all_tones_are_named_also_those_that_nobody_has() -> None:
    assert groups.by_tone([45.0, None, 45.0]) == {
        "very_light": [], "light": [0, 2], "intermediate": [], "tan": [], "brown": [], "dark": [], "unknown": [1],
    }  # fmt: skip
