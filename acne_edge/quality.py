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
_MIDDLE = slice((SIDE - BLOCKS * BLOCK) // 2, (SIDE + BLOCKS * BLOCK) // 2)
RADII = (1, 2, 4)  # of the squares: 3, 5 and 9 pixels a side
_AT_25, _AT_50, _AT_75 = 56, 112, 168  # ranks among 225 blocks
BLANK_VARIANCE = 16.0
MIN_SHORT_SIDE = 160
DARK, BRIGHT, MAX_CLIPPED = 50.0, 200.0, 0.25
MIN_SHARPNESS = 0.36
MAX_NOISE = 2.7
MIN_COLOUR_DETAIL = 0.55
MIN_GRAIN = 0.02  # levels of noise; less is a drawing, whose flat areas have no detail that compression could take
MIN_SKIN = 0.1

CLOSE_UP = "close_up"  # the network's word, not this module's: brow or chin lies outside, and grades are for half a face
VIEWS = (CLOSE_UP,)  # reasons that speak of what is shown, not of how well; no policy refuses a photograph for them

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

    @property
    def faults(self) -> tuple[str, ...]:
        """The reasons without those of the view: why lesions may not be seen."""
        return tuple(reason for reason in self.reasons if reason not in VIEWS)

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
    # Whole planes: on interleaved channels, what follows takes twice as long.
    planes = np.ascontiguousarray(np.moveaxis(np.asarray(Image.fromarray(small).convert("YCbCr")), 2, 0))
    red, green, blue = np.moveaxis(small, 2, 0).astype(np.int32, order="C")
    luma, mask = planes[0], is_skin(*planes[1:])
    skin = int(np.count_nonzero(mask))
    blown = int(np.count_nonzero((red >= 250) & (red - blue >= 8)))  # skin keeps a little colour there; a white wall does not
    brightness = float((luma * mask).sum() / skin if skin > MIN_SKIN * mask.size else luma.sum() / mask.size)
    clipped = blown / (blown + skin) if blown else 0.0
    finest, _, coarse = _detail(red + 2 * green + blue)
    finest_colour, _, coarse_colour = _detail(red - green)
    sharpness = float(finest[_AT_75] / coarse[_AT_75]) if coarse[_AT_75] else 0.0
    colour_detail = float(finest_colour[_AT_50] / coarse_colour[_AT_50]) if coarse_colour[_AT_50] else 0.0
    noise = float(finest_colour[_AT_25])
    tests = (
        (BLANK, _variance(planes) < BLANK_VARIANCE),
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
    levels = [channel[_MIDDLE, _MIDDLE], *_square_sums(channel)]
    areas = [1, *((2 * radius + 1) ** 2 for radius in RADII)]
    bands = []
    for inner, outer, n, m in zip(levels, levels[1:], areas, areas[1:], strict=False):
        band = m * inner
        band -= n * outer
        np.abs(band, out=band)  # n * m times the band; a block's sum is below 2 ** 30
        columns = band.reshape(BLOCKS, BLOCK, -1).sum(1, dtype=np.int32)
        blocks = columns.reshape(BLOCKS, BLOCKS, BLOCK).sum(2, dtype=np.int32)
        bands.append(np.sort(blocks.ravel()) / (n * m * BLOCK * BLOCK))
    return bands


def _square_sums(channel: NDArray[np.int32]) -> list[NDArray[np.int32]]:
    """Sums over the squares around each pixel of the blocks, one array a radius: [BLOCKS * BLOCK, BLOCKS * BLOCK]."""
    start, stop = _MIDDLE.start, _MIDDLE.stop
    rows, reach, sums = channel[_MIDDLE].copy(), 0, []
    for radius in RADII:
        for k in range(reach + 1, radius + 1):  # the rows of a square are those of the smaller one and a few more
            rows += channel[start - k : stop - k]
            rows += channel[start + k : stop + k]
        square = rows[:, _MIDDLE].copy()
        for k in range(1, radius + 1):
            square += rows[:, start - k : stop - k]
            square += rows[:, start + k : stop + k]
        sums.append(square)
        reach = radius
    return sums


def _variance(channels: ImageArray) -> float:
    """The sum of the variances of uint8 [3, SIDE, SIDE], over means of 4 x 4 pixels. A wall has little, in noise too.

    The result is exact, as in C: sums are integers, and the number of pixels is a power of two.
    """
    wide = channels.astype(np.uint16)
    fours = wide[:, ::4] + wide[:, 1::4] + wide[:, 2::4] + wide[:, 3::4]
    sixteens = fours[..., ::4] + fours[..., 1::4] + fours[..., 2::4] + fours[..., 3::4]  # 16 times the means, at most 4080
    total = 0.0
    for means in sixteens.astype(np.int64):
        mean = means.sum() / means.size
        total += float((means * means).sum() / means.size - mean * mean) / 256
    return total
