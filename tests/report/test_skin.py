from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from acne_edge.report import skin
from tests import drawing

SKIN = (206, 160, 138)


@pytest.mark.parametrize(
    ("rgb", "expected"),
    [((255, 255, 255), (100, 0, 0)), ((0, 0, 0), (0, 0, 0)), ((255, 0, 0), (53.24, 80.09, 67.20)),
     ((0, 0, 255), (32.30, 79.19, -107.86))],
)  # fmt: skip
def test_cielab_of_known_colours(rgb: tuple[int, ...], expected: tuple[float, ...]) -> None:
    assert skin.lab(np.array(rgb, np.uint8)) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(
    ("angle", "group"),
    [(70.0, "very_light"), (55.0, "light"), (41.5, "light"), (41.0, "intermediate"), (28.0, "tan"), (10.0, "brown"),
     (-30.0, "dark"), (-80.0, "dark"), (None, None)],
)  # fmt: skip
def test_groups_begin_above_their_angle(angle: float | None, group: str | None) -> None:
    assert skin.tone(angle) == group


def test_the_angle_is_that_of_the_skin_whatever_is_around_it_and_on_it() -> None:
    lightness, _, yellow = skin.lab(np.array(SKIN, np.uint8))
    expected = math.degrees(math.atan((lightness - 50) / yellow))
    plain = Image.new("RGB", (300, 300), SKIN)
    assert skin.typology_angle(plain) == pytest.approx(expected, abs=0.5)
    face = Image.fromarray(drawing.face(lesions=20))  # a grey background, red blobs, and noise
    assert skin.typology_angle(face) == pytest.approx(expected, abs=2)
    assert skin.typology_angle(Image.new("RGB", (300, 300), (92, 58, 40))) < 0


def test_without_skin_nothing_is_said() -> None:
    assert skin.typology_angle(Image.new("RGB", (300, 300), (40, 90, 200))) is None
