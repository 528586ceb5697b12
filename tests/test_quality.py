from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from acne_edge import framing
from acne_edge.evaluation.labels import read_labels
from acne_edge.evaluation.perturbations import PERTURBATIONS
from acne_edge.image import decode
from acne_edge.preprocess import resize
from acne_edge.quality import SIDE, assess
from tests import drawing

MIN_SIDE = 512  # of a decoded JPEG, as the shipped models want it


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


def skin(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Skin with texture at every scale, as a photograph has it: noise whose power falls with the frequency."""
    rng = np.random.default_rng(seed)
    y, x = np.fft.fftfreq(height)[:, None] * height, np.fft.rfftfreq(width)[None] * width
    frequency = np.maximum(np.hypot(y, x), 1)

    def texture(contrast: float, fall: float) -> np.ndarray:
        plane = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(height, width))) / frequency**fall, s=(height, width))
        return contrast * plane / plane.std()

    luma, redness = texture(14, 1.3), texture(4, 1.4)
    return np.stack([165 + luma + redness, 120 + luma - redness, 100 + luma], 2).clip(0, 255).astype(np.uint8)


def copy_of(original: np.ndarray, width: int) -> np.ndarray:
    """A small copy, as messengers and data sets hold."""
    height = round(original.shape[0] * width / original.shape[1])
    return np.asarray(Image.fromarray(original).resize((width, height), Image.Resampling.LANCZOS))


def perturbed(name: str, photograph: np.ndarray) -> np.ndarray:
    (perturbation,) = (p for p in PERTURBATIONS if p.name == name)
    return np.asarray(perturbation.copy(Image.fromarray(photograph), "drawn"))


@pytest.mark.parametrize(
    ("name", "reason"),
    [("noise 20", "noisy"), ("defocus .5 %", "blurred"), ("defocus 1 %", "blurred")],
)
def test_what_makes_counts_wrong_is_named(name: str, reason: str) -> None:
    photograph = skin(576, 640)
    assert assess(photograph).reasons == ()
    assert assess(perturbed(name, photograph)).reasons == (reason,)


@pytest.mark.parametrize(
    "name", ["320 px", "mirror", "turned 90", "brightness -20 %", "askew 10", "cropped 20 %", "WebP quality 80", "noise 8"]
)
def test_what_does_little_harm_is_not(name: str) -> None:
    assert assess(perturbed(name, skin(576, 640))).reasons == ()


def test_strong_compression_is_named() -> None:
    photograph = Image.fromarray(skin(576, 640))
    strong = decode(drawing.encode(photograph, "JPEG", quality=25, subsampling=2))
    assert "compressed" in assess(strong).reasons
    assert assess(decode(drawing.encode(photograph, "JPEG", quality=85, subsampling=2))).reasons == ()


def test_blown_skin_is_too_bright() -> None:
    assert assess((skin(576, 640).astype(float) * 1.7).clip(0, 255).astype(np.uint8)).reasons[0] == "too_bright"


def test_a_white_wall_behind_the_face_is_not_too_bright() -> None:
    photograph = skin(576, 640)
    photograph[:, :200] = 255
    assert assess(photograph).clipped == 0
    assert "too_bright" not in assess(photograph).reasons


def test_the_skin_is_judged_and_not_the_room_around_it() -> None:
    photograph = skin(576, 640)
    bright = assess(photograph).brightness
    photograph[:, :300] = 8
    assert assess(photograph).brightness == pytest.approx(bright, abs=5)


@pytest.mark.slow
def test_an_original_and_its_small_copy_are_judged_alike() -> None:
    original = skin(3112, 3456)
    whole, small = assess(original), assess(copy_of(original, 576))
    assert whole.sharpness == pytest.approx(small.sharpness, rel=0.05)
    assert whole.colour_detail == pytest.approx(small.colour_detail, rel=0.05)
    assert whole.noise == pytest.approx(small.noise, abs=0.05)
    assert whole.reasons == small.reasons == ()


def test_a_picture_resized_before_is_judged_the_same() -> None:
    photograph = skin(576, 640)
    assert assess(photograph, resize(photograph, SIDE, SIDE)) == assess(photograph)


@pytest.mark.slow
def test_training_photographs_pass(acne04: Path) -> None:
    root = acne04 / "Classification"
    names = [label.name for label in read_labels(root / "NNEW_trainval_0.txt")]
    passed = [not assess(framing.photograph(root / "JPEGImages" / name, MIN_SIDE).pixels).reasons for name in names]
    assert np.mean(passed) >= 0.97
