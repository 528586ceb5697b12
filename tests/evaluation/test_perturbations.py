from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from acne_edge.evaluation.perturbations import (
    PERTURBATIONS,
    Perturbation,
    border,
    cropped,
    exposure,
    letterbox,
    motion,
    noise,
    scaled,
)
from tests import drawing

BY_NAME = {p.name: p for p in PERTURBATIONS}


@pytest.fixture(scope="module")
def face() -> Image.Image:
    return Image.fromarray(drawing.face())


@pytest.mark.parametrize("perturbation", PERTURBATIONS, ids=lambda p: p.name)
def test_a_copy_is_the_same_each_time_and_not_the_photograph(perturbation: Perturbation, face: Image.Image) -> None:
    copy = perturbation.copy(face, "a.jpg")
    assert copy.mode == "RGB"
    assert min(copy.size) >= 32
    assert copy.tobytes() == perturbation.copy(face, "a.jpg").tobytes()
    assert copy.size != face.size or copy.tobytes() != face.tobytes()


@pytest.mark.parametrize("name", ["noise 8", "motion 2 %", "cropped 20 %", "askew 10"])
def test_what_is_random_follows_from_the_photographs_name(name: str, face: Image.Image) -> None:
    copies = {BY_NAME[name].copy(face, f"{i}.jpg").tobytes() for i in range(5)}
    assert len(copies) == 5


def test_names_are_unique_and_turns_are_exact(face: Image.Image) -> None:
    assert len(BY_NAME) == len(PERTURBATIONS)
    pixels = np.asarray(face)
    assert np.array_equal(np.asarray(BY_NAME["mirror"].copy(face, "a")), pixels[:, ::-1])
    assert np.array_equal(np.asarray(BY_NAME["turned 90"].copy(face, "a")), np.rot90(pixels))


def test_strengths_are_what_they_say() -> None:
    rng = np.random.default_rng(0)
    grey = Image.new("RGB", (200, 100), (100, 100, 100))
    assert np.asarray(noise(8)(grey, rng), float).std() == pytest.approx(8, rel=0.03)
    assert np.asarray(exposure(0.8)(grey, rng)).max() == 80
    assert border(0.1, (0, 0, 0))(grey, rng).size == (240, 120)
    assert letterbox(16, 9)(grey, rng).size == (200, 112)
    assert letterbox(16, 9)(grey.transpose(Image.Transpose.ROTATE_90), rng).size == (356, 200)
    assert cropped(0.2)(grey, rng).size == (160, 80)
    assert scaled(50)(grey, rng).size == (50, 32)
    assert scaled(320)(grey, rng) is grey


def test_motion_blurs_along_one_line_and_keeps_the_edges_light() -> None:
    picture = Image.new("RGB", (200, 200))
    picture.paste((255, 255, 255), (0, 0, 200, 200))
    assert np.asarray(motion(0.05)(picture, np.random.default_rng(0))).min() == 255  # no black comes in from outside
    picture.paste((0, 0, 0), (99, 99, 102, 102))
    dark = 255 - np.asarray(motion(0.05)(picture, np.random.default_rng(0)), float)[:, :, 0]
    rows, columns = np.nonzero(dark > 5)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == pytest.approx(13, abs=4)
    assert dark.sum() == pytest.approx(9 * 255, rel=0.05)
