"""Quality of a photograph: whether it shows skin well enough to count lesions. It does not judge the skin's health.

Scores are computed on the photograph at 256 x 256 pixels, close to what the networks see: a lesion is four to ten pixels wide
there. So an original of twelve megapixels and its small copy get the same scores. Detail is measured in three bands, between
means over squares of 1, 3, 5 and 9 pixels, in each of 15 x 15 blocks; scores are ratios of bands, which neither brightness nor
contrast changes. All sums are integers, so that Python and C agree. `docs/explanation/judging-a-picture.md` says how the
thresholds were chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from acne_edge import preprocess

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from acne_edge.image import ImageArray

SIDE = 256  # pixels of the picture that is judged
BLOCKS, BLOCK = 15, 16  # blocks a side, and pixels a side of each; the frame of 8 pixels around them is left out
RADII = (1, 2, 4)  # of the squares: 3, 5 and 9 pixels a side
_AT_25, _AT_50, _AT_75 = 56, 112, 168  # ranks among 225 blocks
BLANK_VARIANCE = 16.0
MIN_SHORT_SIDE = 160
DARK, BRIGHT, MAX_CLIPPED = 50.0, 200.0, 0.25
MIN_SHARPNESS = 0.47
MAX_NOISE = 1.4
MIN_COLOUR_DETAIL = 0.55
MIN_GRAIN = 0.02  # levels of noise; less is a drawing, whose flat areas have no detail that compression could take
MIN_SKIN = 0.1

BLANK, LOW_RESOLUTION, TOO_DARK, TOO_BRIGHT, BLURRED, NOISY, COMPRESSED, NO_SKIN = (
    "blank",  # a lens cap or a wall: nothing to grade, whatever the policy for poor photographs
    "low_resolution",
    "too_dark",
    "too_bright",
    "blurred",
    "noisy",
    "compressed",
    "no_skin",
)


@dataclass(frozen=True)
class Quality:
    """Scores of one photograph and the reason codes that follow from them; no reasons mean a good photograph."""

    short_side: int  # pixels, as decoded
    brightness: float  # mean luma of the skin, 0..255; of the whole frame where there is too little skin
    clipped: float  # share of the skin that is too bright for the camera, 0..1
    sharpness: float  # finest detail over coarse detail, from 0; 0.8 is typical
    noise: float  # finest detail of red minus green where the picture is smoothest, levels of 255; 0.2 is typical
    colour_detail: float  # finest over coarse detail of red minus green, from 0; 0.7 is typical
    skin: float  # share of pixels of skin colour, 0..1
    reasons: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, rounded."""
        return {
            "short_side": self.short_side,
            "brightness": round(self.brightness, 1),
            "clipped": round(self.clipped, 3),
            "sharpness": round(self.sharpness, 3),
            "noise": round(self.noise, 3),
            "colour_detail": round(self.colour_detail, 3),
            "skin": round(self.skin, 3),
            "reasons": list(self.reasons),
        }


def assess(image: ImageArray | Image.Image, small: ImageArray | None = None) -> Quality:
    """Score a decoded photograph.

    Args:
        image: RGB, uint8 [H, W, 3].
        small: the same at SIDE x SIDE pixels, as `preprocess.resize` makes it; None: it is made here.
    """
    short_side = min(image.shape[:2] if isinstance(image, np.ndarray) else image.size)
    small = preprocess.resize(image, SIDE, SIDE) if small is None else small
    luma, cb, cr = np.moveaxis(np.asarray(Image.fromarray(small).convert("YCbCr")), 2, 0)
    red, green, blue = (small[..., channel].astype(np.int32) for channel in range(3))
    mask = is_skin(cb, cr)
    skin = int(mask.sum())
    blown = int(((red >= 250) & (red - blue >= 8)).sum())  # skin keeps a little colour there; a white wall does not
    brightness = float(luma[mask].mean(dtype=np.float64) if skin > MIN_SKIN * mask.size else luma.mean(dtype=np.float64))
    clipped = blown / (blown + skin) if blown else 0.0
    finest, _, coarse = _detail(red + 2 * green + blue)
    finest_colour, _, coarse_colour = _detail(red - green)
    sharpness = float(finest[_AT_75] / coarse[_AT_75]) if coarse[_AT_75] else 0.0
    colour_detail = float(finest_colour[_AT_50] / coarse_colour[_AT_50]) if coarse_colour[_AT_50] else 0.0
    noise = float(finest_colour[_AT_25])
    tests = (
        (BLANK, _variance(luma, cb, cr) < BLANK_VARIANCE),
        (LOW_RESOLUTION, short_side < MIN_SHORT_SIDE),
        (TOO_DARK, brightness < DARK),
        (TOO_BRIGHT, brightness > BRIGHT or clipped > MAX_CLIPPED),
        (BLURRED, sharpness < MIN_SHARPNESS),
        (NOISY, noise > MAX_NOISE),
        (COMPRESSED, noise > MIN_GRAIN and colour_detail < MIN_COLOUR_DETAIL),
        (NO_SKIN, skin < MIN_SKIN * mask.size),
    )
    reasons = tuple(code for code, failed in tests if failed)
    return Quality(short_side, brightness, clipped, sharpness, noise, colour_detail, skin / mask.size, reasons)


def is_skin(cb: NDArray[np.floating], cr: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which pixels have the colour of skin, by their chroma, 0..255 each (as Pillow's YCbCr has it).

    Skin of all tones lies in a rectangle of chroma: Chai and Ngan, IEEE CSVT 1999.
    """
    return np.asarray((cb >= 77) & (cb <= 127) & (cr >= 133) & (cr <= 173))


def _detail(channel: NDArray[np.int32]) -> list[NDArray[np.float64]]:
    """Mean absolute detail in three bands, finest first: for each block of [SIDE, SIDE], sorted, in the channel's units.

    The bands are a pixel less the mean of its square of 3 x 3, that less the mean of 5 x 5, and that less the mean of 9 x 9.
    """
    reach = max(RADII)
    size = SIDE - 2 * reach
    sums = [_square_sums(channel, r)[reach - r : reach - r + size, reach - r : reach - r + size] for r in RADII]
    levels = [channel[reach:-reach, reach:-reach], *sums]
    areas = [1, *((2 * radius + 1) ** 2 for radius in RADII)]
    bands = []
    for inner, outer, n, m in zip(levels, levels[1:], areas, areas[1:], strict=False):
        edge = (inner.shape[0] - BLOCKS * BLOCK) // 2
        band = np.abs(m * inner - n * outer)[edge:-edge, edge:-edge]  # n * m times the band
        blocks = band.reshape(BLOCKS, BLOCK, BLOCKS, BLOCK).sum((1, 3), dtype=np.int64)
        bands.append(np.sort(blocks.ravel()) / (n * m * BLOCK * BLOCK))
    return bands


def _square_sums(channel: NDArray[np.int32], radius: int) -> NDArray[np.int32]:
    """Sums over squares of 2 * radius + 1 pixels a side that lie inside: [SIDE - 2 * radius, SIDE - 2 * radius]."""
    size = SIDE - 2 * radius
    rows = sum((channel[k : k + size] for k in range(1, 2 * radius + 1)), channel[:size])
    return sum((rows[:, k : k + size] for k in range(1, 2 * radius + 1)), rows[:, :size])


def _variance(*channels: ImageArray) -> float:
    """The sum of the channels' variances, over means of 4 x 4 pixels. A wall in front of a noisy camera has little.

    The result is exact, as in C: sums are integers, and the number of pixels is a power of two.
    """
    total = 0.0
    for channel in channels:
        means = channel.reshape(SIDE // 4, 4, SIDE // 4, 4).sum((1, 3), dtype=np.int64)  # times 16
        mean = means.sum() / means.size
        total += float((means * means).sum() / means.size - mean * mean) / 256
    return total
