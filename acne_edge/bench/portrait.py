"""A face for measurements and the documentation, drawn from curves: nobody's.

Lesions are where people have them, and the model finds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

Colour: TypeAlias = "tuple[int, int, int]"
Points: TypeAlias = "Sequence[tuple[float, float]]"  # in 0..1 of the picture

SKIN, SHADE, LIGHT, HAIR = (211, 163, 138), (168, 116, 94), (232, 190, 166), (54, 40, 34)
HEAD = (
    (0.27, 0.30), (0.36, 0.14), (0.56, 0.11), (0.76, 0.20), (0.82, 0.38), (0.80, 0.54), (0.72, 0.68), (0.58, 0.79), (0.46, 0.82),
    (0.37, 0.79), (0.32, 0.70), (0.29, 0.60), (0.25, 0.55), (0.27, 0.46),
)  # fmt: skip
HAIR_BEHIND = (
    (0.22, 0.40),
    (0.22, 0.16),
    (0.38, 0.05),
    (0.62, 0.04),
    (0.82, 0.13),
    (0.90, 0.34),
    (0.88, 0.56),
    (0.80, 0.66),
    (0.70, 0.60),
)
HAIR_BEFORE = (
    (0.25, 0.34), (0.24, 0.18), (0.38, 0.06), (0.60, 0.04), (0.80, 0.13), (0.88, 0.30), (0.86, 0.40), (0.80, 0.42), (0.78, 0.30),
    (0.66, 0.20), (0.50, 0.18), (0.34, 0.22), (0.29, 0.30),
)  # fmt: skip
NOSE = (
    (0.415, 0.42),
    (0.40, 0.50),
    (0.365, 0.575),
    (0.36, 0.605),
    (0.40, 0.625),
    (0.46, 0.615),
    (0.475, 0.59),
    (0.45, 0.56),
    (0.445, 0.48),
)
LIPS = (
    (0.335, 0.695),
    (0.375, 0.678),
    (0.405, 0.684),
    (0.44, 0.677),
    (0.505, 0.696),
    (0.45, 0.727),
    (0.40, 0.733),
    (0.36, 0.722),
)
ZONES = ((0.53, 0.74, 0.49, 0.67), (0.36, 0.68, 0.24, 0.33), (0.40, 0.54, 0.755, 0.795))  # cheek, forehead, chin
APART = 0.045
PATIENCE = 10_000  # places that are tried for one lesion


class Brush:
    """Paints soft shapes on a picture that is twice as large as it will be."""

    def __init__(self, width: int, height: int, ground: Colour) -> None:
        self.size = self.width, self.height = 2 * width, 2 * height
        self.image = Image.new("RGB", self.size, ground)
        self.inside: Image.Image | None = None  # what is painted stays in there

    def polygon(self, points: Points, colour: Colour, blur: float = 0.003, opacity: float = 1.0) -> Image.Image:
        """A shape with round corners through the points; returns where it is."""
        mask = Image.new("L", self.size)
        ImageDraw.Draw(mask).polygon(self._curve(points), fill=255)
        return self._paint(mask, colour, blur, opacity)

    def line(self, points: Points, breadth: float, colour: Colour, blur: float = 0.003, opacity: float = 1.0) -> None:
        """A line from point to point."""
        mask = Image.new("L", self.size)
        places = [(x * self.width, y * self.height) for x, y in points]
        ImageDraw.Draw(mask).line(places, fill=255, width=round(breadth * self.width), joint="curve")
        self._paint(mask, colour, blur, opacity)

    def spot(
        self, x: float, y: float, rx: float, ry: float, colour: Colour, blur: float, opacity: float = 1.0, out: bool = False
    ) -> None:
        """An ellipse, radii in widths, or all that lies outside of it."""
        mask = Image.new("L", self.size, 255 if out else 0)
        left, top, a, b = x * self.width, y * self.height, rx * self.width, ry * self.width
        ImageDraw.Draw(mask).ellipse((left - a, top - b, left + a, top + b), fill=0 if out else 255)
        self._paint(mask, colour, blur, opacity)

    def _paint(self, mask: Image.Image, colour: Colour, blur: float, opacity: float) -> Image.Image:
        mask = mask.filter(ImageFilter.GaussianBlur(blur * self.width))
        if self.inside is not None:
            mask = ImageChops.multiply(mask, self.inside)
        self.image.paste(colour, (0, 0, *self.size), mask.point([round(opacity * v) for v in range(256)]))
        return mask

    def _curve(self, points: Points) -> list[tuple[float, float]]:
        """A closed curve through the points (Catmull and Rom 1974)."""
        p, t = np.array(points) * self.size, np.linspace(0, 1, 24, endpoint=False)[:, None]
        before, here, next_, after = (np.roll(p, shift, 0)[:, None] for shift in (1, 0, -1, -2))
        path = 2 * here + (next_ - before) * t + (2 * before - 5 * here + 4 * next_ - after) * t**2
        path = (path + (3 * here - before - 3 * next_ + after) * t**3) / 2
        return [(float(x), float(y)) for x, y in path.reshape(-1, 2)]


def portrait(lesions: int = 12, seed: int = 0, width: int = 512, height: int = 576) -> np.ndarray:
    """A head that looks a little aside, with red lesions on cheek, forehead and chin: uint8 [height, width, 3]. Not a person.

    There is room for some 30 lesions; raises ValueError for more than find a place.
    """
    rng, brush = np.random.default_rng(seed), Brush(width, height, (86, 98, 108))
    brush.spot(0.6, 0.4, 0.5, 0.55, (112, 124, 134), 0.12)
    brush.polygon(((0.05, 1.1), (0.16, 0.96), (0.40, 0.90), (0.72, 0.90), (0.93, 0.97), (1.02, 1.1)), (70, 86, 104))
    brush.inside = brush.polygon(
        ((0.40, 0.70), (0.40, 0.90), (0.50, 0.95), (0.66, 0.95), (0.75, 0.88), (0.76, 0.66)), (178, 128, 104)
    )
    brush.polygon([(x + 0.01, y + 0.035) for x, y in HEAD], (128, 84, 66), 0.02, 0.55)  # the jaw's shadow
    brush.inside = None
    brush.polygon(HAIR_BEHIND, HAIR)
    brush.inside = brush.polygon(HEAD, SKIN)
    brush.spot(0.50, 0.44, 0.31, 0.41, SHADE, 0.06, 0.75, out=True)
    for x, y, rx, ry, blur in ((0.48, 0.26, 0.15, 0.09, 0.06), (0.55, 0.56, 0.10, 0.10, 0.05), (0.44, 0.76, 0.05, 0.034, 0.02)):
        brush.spot(x, y, rx, ry, LIGHT, blur, 0.5)
    _features(brush)
    _lesions(brush, lesions, rng)
    brush.inside = None
    brush.polygon(((0.79, 0.40), (0.83, 0.36), (0.875, 0.39), (0.87, 0.47), (0.84, 0.54), (0.80, 0.55)), (196, 146, 122))
    brush.line(((0.815, 0.42), (0.845, 0.41), (0.85, 0.46), (0.83, 0.51)), 0.008, SHADE, 0.004, 0.9)
    brush.polygon(HAIR_BEFORE, HAIR, 0.004)
    small = np.asarray(brush.image.resize((width, height), Image.Resampling.LANCZOS), np.float32)
    coarse = Image.fromarray((128 + 30 * rng.normal(size=(height // 4, width // 4))).clip(0, 255).astype(np.uint8))
    pores = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float32)[..., None] - 128
    return np.clip(small + 0.12 * pores + rng.normal(0, 2.2, (height, width, 1)), 0, 255).astype(np.uint8)


def _features(brush: Brush) -> None:
    for x, y, reach in ((0.335, 0.42, 0.042), (0.565, 0.415, 0.055)):
        brush.spot(x, y, 1.5 * reach, 0.04, SHADE, 0.02, 0.5)
        lid = ((x - reach, y + 0.004), (x - 0.4 * reach, y - 0.017), (x + 0.4 * reach, y - 0.017), (x + reach, y + 0.004))
        brush.polygon((*lid, (x + 0.3 * reach, y + 0.014), (x - 0.4 * reach, y + 0.013)), (238, 232, 226), 0.001)
        for radius, colour in ((0.0165, (84, 58, 42)), (0.008, (22, 18, 18))):
            brush.spot(x - 0.004, y - 0.002, radius, radius, colour, 0.001)
        brush.spot(x + 0.003, y - 0.007, 0.003, 0.003, (250, 250, 250), 0.001)
        brush.line(lid, 0.008, (60, 40, 34), 0.002)
        brow = ((-1.25, 0.045), (-0.2, 0.066), (1.2, 0.05), (1.25, 0.043), (-0.1, 0.052), (-1.2, 0.034))
        brush.polygon([(x + a * reach, y - b) for a, b in brow], (66, 48, 40), 0.003, 0.95)
    brush.polygon(NOSE, LIGHT, 0.012, 0.5)
    brush.line(((0.455, 0.45), (0.46, 0.54), (0.485, 0.585), (0.475, 0.61)), 0.02, SHADE, 0.012, 0.8)
    for x, rx in ((0.385, 0.016), (0.445, 0.018)):
        brush.spot(x, 0.616, rx, 0.007, (110, 62, 52), 0.004, 0.9)
    brush.polygon(LIPS, (184, 96, 92), 0.003, 0.9)
    brush.line(((0.335, 0.696), (0.39, 0.701), (0.43, 0.699), (0.505, 0.697)), 0.005, (112, 52, 50), 0.002, 0.9)
    brush.spot(0.43, 0.748, 0.05, 0.009, SHADE, 0.012, 0.5)


def _lesions(brush: Brush, number: int, rng: np.random.Generator) -> None:
    """Lesions in the zones, none too near to another or to the edge."""
    placed: list[tuple[float, float]] = []
    assert brush.inside is not None
    tried = 0
    while len(placed) < number:
        tried += 1
        if tried > PATIENCE:
            raise ValueError(f"{number} lesions: there is room for {len(placed)}")
        left, right, top, bottom = ZONES[rng.choice(len(ZONES), p=(0.62, 0.23, 0.15))]
        x, y = rng.uniform(left, right), rng.uniform(top, bottom)
        pixel = brush.inside.getpixel((int(x * brush.width), int(y * brush.height)))
        if pixel != 255 or x + y > 1.38 or any((x - a) ** 2 + (y - b) ** 2 < APART**2 for a, b in placed):
            continue
        placed.append((x, y))
        tried = 0
        radius = rng.uniform(0.010, 0.017)
        brush.spot(x, y, 1.9 * radius, 1.9 * radius, (206, 112, 100), 0.008, 0.75)
        brush.spot(x, y, radius, radius, (178, 62, 60), 0.0035, 0.95)
        brush.spot(x - 0.003, y - 0.003, 0.35 * radius, 0.35 * radius, (238, 190, 170), 0.002, 0.8)
