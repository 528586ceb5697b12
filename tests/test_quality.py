from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from acne_edge.evaluation.labels import read_labels
from acne_edge.image import decode
from acne_edge.quality import assess
from tests import drawing


def test_a_drawn_face_passes(face: np.ndarray) -> None:
    assert assess(face).reasons == ()


def blurred(face: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(face).filter(ImageFilter.GaussianBlur(9)))


def text(face: np.ndarray) -> np.ndarray:
    page = Image.new("RGB", (600, 600), "white")
    for y in range(10, 590, 14):
        ImageDraw.Draw(page).text((10, y), "the quick brown fox jumps over the lazy dog " * 2, fill="black")
    return np.asarray(page)


def gradient(face: np.ndarray) -> np.ndarray:
    return np.tile(np.linspace(0, 255, 512).astype(np.uint8)[None, :, None], (512, 1, 3))


def noise(face: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (blurred, "blurred"),
        (lambda face: (face * 0.15).astype(np.uint8), "too_dark"),
        (lambda face: (255 - (255 - face.astype(float)) * 0.15).astype(np.uint8), "too_bright"),
        (lambda face: np.zeros_like(face), "too_dark"),
        (lambda face: np.full_like(face, 255), "too_bright"),
        (lambda face: np.full_like(face, 128), "blurred"),
        (text, "no_skin"),
        (gradient, "no_skin"),
        (noise, "noisy"),
        (lambda face: face[..., ::-1].copy(), "no_skin"),
        (lambda face: face[::6, ::6].copy(), "low_resolution"),
    ],
)
def test_a_spoilt_capture_is_named(face: np.ndarray, spoil, reason: str) -> None:
    assert reason in assess(spoil(face)).reasons


def grainy(level: int, sigma: float) -> np.ndarray:
    """A wall, or the inside of a lens cap, as a noisy camera sees it."""
    noise = np.random.default_rng(0).normal(level, sigma, (400, 300, 3))
    return noise.clip(0, 255).round().astype(np.uint8)


def uniform(*colour: int) -> np.ndarray:
    return np.full((400, 300, 3), colour, np.uint8)


@pytest.mark.parametrize(
    "frame",
    [uniform(0, 0, 0), uniform(255, 255, 255), uniform(205, 160, 138), uniform(20, 90, 200), grainy(2, 12), grainy(250, 20),
     grainy(128, 8), decode(drawing.encode(uniform(205, 160, 138), "JPEG"))],
)  # fmt: skip
def test_a_blank_frame_is_named(frame: np.ndarray) -> None:
    assert assess(frame).reasons[0] == "blank"


@pytest.mark.parametrize("spoil", [blurred, text, gradient, noise, lambda face: (face * 0.15).astype(np.uint8)])
def test_what_is_spoilt_is_not_blank(face: np.ndarray, spoil) -> None:
    assert "blank" not in assess(spoil(face)).reasons


def test_scores_are_json_ready(face: np.ndarray) -> None:
    scores = assess(face).to_dict()
    assert scores["short_side"] == 576
    assert 0 <= scores["skin"] <= 1
    assert scores["reasons"] == []


def test_lesions_do_not_spoil_a_capture() -> None:
    assert assess(drawing.face(lesions=65, seed=3)).reasons == ()


@pytest.mark.slow
def test_training_photographs_pass(acne04: Path) -> None:
    root = acne04 / "Classification"
    names = [label.name for label in read_labels(root / "NNEW_trainval_0.txt")]
    passed = [not assess(decode(root / "JPEGImages" / name)).reasons for name in names]
    assert np.mean(passed) >= 0.97
