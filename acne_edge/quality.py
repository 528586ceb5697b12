"""Judges whether a photograph shows skin well enough to count lesions. It says nothing about the skin's health.

Scores are computed from a thumbnail about as small as the network's input. Thresholds are set so that the training photographs
of ACNE04 pass (`tests/test_quality.py` has pictures that must not).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from acne_edge.image import ImageArray

SIDE = 128  # pixels of the thumbnail

BLANK, LOW_RESOLUTION, TOO_DARK, TOO_BRIGHT, BLURRED, NO_SKIN = (
    "blank",  # a lens cap or a wall: nothing can be graded, whatever the policy for poor photographs
    "low_resolution",
    "too_dark",
    "too_bright",
    "blurred",
    "no_skin",
)


@dataclass(frozen=True)
class Quality:
    """Scores of one photograph and the reason codes that follow from them; a good photograph has none."""

    short_side: int  # pixels, as decoded
    brightness: float  # mean luma, 0..255
    clipped: float  # share of pixels that are white, 0..1
    sharpness: float  # mean absolute Laplacian of the thumbnail's luma
    skin: float  # share of pixels of skin colour, 0..1
    reasons: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, rounded."""
        return {
            "short_side": self.short_side,
            "brightness": round(self.brightness, 1),
            "clipped": round(self.clipped, 3),
            "sharpness": round(self.sharpness, 2),
            "skin": round(self.skin, 3),
            "reasons": list(self.reasons),
        }


def assess(image: ImageArray | Image.Image) -> Quality:
    """Score a decoded photograph, RGB, uint8 [H, W, 3]."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    small = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
    colours = np.asarray(small.convert("YCbCr"))
    luma, cb, cr = np.moveaxis(colours.astype(np.float32), 2, 0)
    brightness, clipped = float(luma.mean()), float((luma >= 250).mean())
    laplacian = luma[1:-1, :-2] + luma[1:-1, 2:] + luma[:-2, 1:-1] + luma[2:, 1:-1] - 4 * luma[1:-1, 1:-1]
    sharpness = float(np.abs(laplacian).mean())
    skin = float(is_skin(cb, cr).mean())
    short_side = min(image.size)
    tests = (
        (BLANK, _variance(colours) < 16),
        (LOW_RESOLUTION, short_side < 160),
        (TOO_DARK, brightness < 45),
        (TOO_BRIGHT, brightness > 195 or clipped > 0.25),
        (BLURRED, sharpness < 4.0),
        (NO_SKIN, skin < 0.15),
    )
    return Quality(short_side, brightness, clipped, sharpness, skin, tuple(code for code, failed in tests if failed))


def is_skin(cb: NDArray[np.floating], cr: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which pixels have the colour of skin, by their chroma, 0..255 each (as Pillow's YCbCr has it).

    Skin of all tones lies in a rectangle of chroma: Chai and Ngan, IEEE CSVT 1999.
    """
    return np.asarray((cb >= 77) & (cb <= 127) & (cr >= 133) & (cr <= 173))


def _variance(colours: ImageArray) -> float:
    """The sum of the three channels' variances. Faces of ACNE04 have 850 or more; crops of bare skin, a fifth of the width, have
    36 or more in 238 of 239 cases; a wall in front of a noisy camera has about 9.

    The result is exact, as in C: sums are integers, and the number of pixels is a power of two.
    """
    values = colours.reshape(-1, 3).astype(np.int64)
    mean = values.sum(0) / len(values)
    return float(((values * values).sum(0) / len(values) - mean * mean).sum())
