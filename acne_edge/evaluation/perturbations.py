"""Perturbs photographs as devices, messengers and people do, with a fixed seed, to measure robustness.

Each perturbation is a pure function of the decoded photograph and a generator. Strengths are fixed here, so that all models are
judged on the same copies. Sizes are shares of the photograph, so that large and small ones suffer alike.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Effect = Callable[[Image.Image, np.random.Generator], Image.Image]

FILL = (0, 0, 0)


@dataclass(frozen=True)
class Perturbation:
    """One row of the table: a copy that shows the same skin, so that the right answer stays the same."""

    name: str
    apply: Effect  # RGB image, generator -> RGB image
    keeps_all: bool = True  # whether every lesion stays in the frame; if not, the label does not hold for the copy

    def copy(self, image: Image.Image, name: str) -> Image.Image:
        """The perturbed copy of an RGB photograph; randomness is seeded by `name`, the photograph's own."""
        seed = hashlib.sha256(f"{self.name}\n{name}".encode()).digest()
        return self.apply(image, np.random.default_rng(int.from_bytes(seed[:8], "little")))


def noise(sigma: float) -> Effect:
    """Sensor noise: Gaussian, `sigma` levels of 255, independent in every pixel and channel."""

    def apply(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        pixels = np.asarray(image, np.float32)
        return _image(pixels + rng.normal(0, sigma, pixels.shape).astype(np.float32))

    return apply


def defocus(share: float) -> Effect:
    """Gaussian blur with a standard deviation of `share` of the short side."""
    return lambda image, rng: image.filter(ImageFilter.GaussianBlur(share * min(image.size)))


def motion(share: float) -> Effect:
    """Motion blur in a random direction, as long as `share` of the short side."""

    def apply(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        length = share * min(image.size)
        angle = rng.uniform(0, math.pi)
        steps = max(2, round(length) + 1)
        total = np.zeros((image.height, image.width, 3), np.float32)
        for at in np.linspace(-length / 2, length / 2, steps):
            shift = (1, 0, at * math.cos(angle), 0, 1, at * math.sin(angle))
            moved = image.transform(image.size, Image.Transform.AFFINE, shift, Image.Resampling.BILINEAR)
            total += np.asarray(_held_edges(image, moved, at * math.cos(angle), at * math.sin(angle)), np.float32)
        return _image(total / steps)

    return apply


def jpeg(quality: int) -> Effect:
    """Saved once more as JPEG with 4:2:0 subsampling."""
    return lambda image, rng: _again(image, "JPEG", quality=quality, subsampling=2)


def webp(quality: int) -> Effect:
    """Saved once more as lossy WebP."""
    return lambda image, rng: _again(image, "WEBP", quality=quality)


def exposure(gain: float) -> Effect:
    """Every value times `gain`, clipped at white."""
    return lambda image, rng: _image(np.asarray(image, np.float32) * gain)


def white_balance(warmth: float) -> Effect:
    """Red times 1 + `warmth`, blue times 1 - `warmth`: warm light for a positive value, cool light for a negative one."""
    gains = np.array([1 + warmth, 1, 1 - warmth], np.float32)
    return lambda image, rng: _image(np.asarray(image, np.float32) * gains)


def transposed(method: Image.Transpose) -> Effect:
    """Mirrored, or rotated by 90 degrees."""
    return lambda image, rng: image.transpose(method)


def rotated(degrees: float) -> Effect:
    """Rotated by up to `degrees` either way; corners are filled with black."""
    return lambda image, rng: image.rotate(rng.uniform(-degrees, degrees), Image.Resampling.BICUBIC)


def cropped(share: float) -> Effect:
    """Cropped by `share` of width and height, at a random place."""

    def apply(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        width, height = (round(side * (1 - share)) for side in image.size)
        left, top = rng.integers(0, image.width - width + 1), rng.integers(0, image.height - height + 1)
        return image.crop((int(left), int(top), int(left) + width, int(top) + height))

    return apply


def border(share: float, colour: tuple[int, int, int]) -> Effect:
    """A border all around, as wide as `share` of the photograph's side."""

    def apply(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        x, y = round(share * image.width), round(share * image.height)
        framed = Image.new("RGB", (image.width + 2 * x, image.height + 2 * y), colour)
        framed.paste(image, (x, y))
        return framed

    return apply


def letterbox(width: int, height: int) -> Effect:
    """Black bars that fill the frame up to an aspect ratio, as video players and galleries add."""

    def apply(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        ratio = width / height
        size = (
            (round(image.height * ratio), image.height)
            if image.width < image.height * ratio
            else (image.width, round(image.width / ratio))
        )
        framed = Image.new("RGB", size, FILL)
        framed.paste(image, ((size[0] - image.width) // 2, (size[1] - image.height) // 2))
        return framed

    return apply


def scaled(long_side: int) -> Effect:
    """Scaled down to at most `long_side` pixels."""

    def apply(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        factor = long_side / max(image.size)
        if factor >= 1:
            return image
        width, height = (max(32, round(side * factor)) for side in image.size)
        return image.resize((width, height), Image.Resampling.LANCZOS)

    return apply


def screenshot(dark: bool) -> Effect:
    """A screenshot of a phone's chat with the photograph (status bar, title, bubble, text, input bar), 1080 x 2340, JPEG."""

    def apply(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        back, bar, text, bubble = (
            ((18, 18, 20), (32, 33, 36), (220, 220, 224), (48, 52, 60))
            if dark
            else ((236, 229, 221), (7, 94, 84), (245, 245, 245), (255, 255, 255))
        )
        screen = Image.new("RGB", (1080, 2340), back)
        draw = ImageDraw.Draw(screen)
        draw.rectangle((0, 0, 1080, 230), fill=bar)
        draw.rectangle((40, 30, 190, 60), fill=text)  # the time
        draw.rectangle((900, 30, 1040, 60), fill=text)  # signal and battery
        draw.ellipse((40, 105, 140, 205), fill=bubble)
        draw.rectangle((170, 135, 520, 175), fill=text)
        width = 810
        height = round(image.height * width / image.width)
        if height > 1500:
            width, height = round(width * 1500 / height), 1500
        left = 230 if rng.random() < 0.5 else 40
        top = 300 + int(rng.integers(0, max(1, 1500 - height) + 1))
        draw.rounded_rectangle((left - 10, top - 10, left + width + 10, top + height + 70), 24, fill=bubble)
        screen.paste(image.resize((width, height), Image.Resampling.BICUBIC), (left, top))
        draw.rectangle((left + 20, top + height + 25, left + 420, top + height + 45), fill=(128, 128, 128))
        draw.rounded_rectangle((30, 2200, 930, 2300), 50, fill=bubble)
        draw.ellipse((950, 2200, 1050, 2300), fill=bar)
        return _again(screen, "JPEG", quality=85, subsampling=2)

    return apply


PERTURBATIONS = (
    Perturbation("JPEG quality 50", jpeg(50)),
    Perturbation("WebP quality 80", webp(80)),
    Perturbation("320 px", scaled(320)),
    Perturbation("brightness -20 %", exposure(0.8)),
    Perturbation("brightness +20 %", exposure(1.2)),
    Perturbation("warm 20 %", white_balance(0.2)),
    Perturbation("cool 20 %", white_balance(-0.2)),
    Perturbation("mirror", transposed(Image.Transpose.FLIP_LEFT_RIGHT)),
    Perturbation("turned 90", transposed(Image.Transpose.ROTATE_90)),
    Perturbation("turned 180", transposed(Image.Transpose.ROTATE_180)),
    Perturbation("askew 10", rotated(10), keeps_all=False),
    Perturbation("cropped 20 %", cropped(0.2), keeps_all=False),
    Perturbation("black border 10 %", border(0.1, (0, 0, 0))),
    Perturbation("white border 10 %", border(0.1, (255, 255, 255))),
    Perturbation("letterbox 16:9", letterbox(16, 9)),
    Perturbation("screenshot, light", screenshot(dark=False)),
    Perturbation("screenshot, dark", screenshot(dark=True)),
    Perturbation("defocus .5 %", defocus(0.005)),
    Perturbation("defocus 1 %", defocus(0.01)),
    Perturbation("motion 1 %", motion(0.01)),
    Perturbation("motion 2 %", motion(0.02)),
    Perturbation("noise 8", noise(8)),
    Perturbation("noise 20", noise(20)),
)


def _image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.rint(pixels).clip(0, 255).astype(np.uint8))


def _again(image: Image.Image, kind: str, **options: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return Image.open(stream).convert("RGB")


def _held_edges(image: Image.Image, moved: Image.Image, x: float, y: float) -> Image.Image:
    """A shifted image whose empty margin is filled from the unshifted one."""
    inside = Image.new("L", image.size, 255).transform(image.size, Image.Transform.AFFINE, (1, 0, x, 0, 1, y))
    return Image.composite(moved, image, inside)
