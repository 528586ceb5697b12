"""The photograph inside a picture: borders, letterbox bars and the interface around it are cut off before the squash.

Rule `framing-1`, in whole numbers, so that Python and C find the same rectangle to the pixel:

1. *Border.* The colour of a side is the median, channel by channel, of its outermost row or column. The border goes inwards as
   long as all but one in `STRAY` of a line's pixels lie within `NEAR` of that colour in every channel. It counts if it ends in a
   straight edge: on the line `DEPTH` lines on, at least one in `SHARE` of the pixels lies farther than `FAR` from the colour in
   some channel. A dark background that a cheek grows out of ends in no such edge. Sides are cut in turn (top, bottom, left,
   right) until none has a border.
2. *Interface.* Pixels are *flat* in a run of one colour (each channel within `EQUAL` of the pixel before) of at least 1/`RUN` of
   the width, and a row is *drawn* if at least half of it is flat: interfaces are, skin is not. If the first or the last row is
   drawn, the highest block of rows that are not is taken for the photograph, if it has `LOWEST`. Its left and right borders are
   cut by step 1, read without its outermost `DEPTH` rows. If there are both, the block goes on up and down to the next row that
   has the colour of a left one. If not, the cut counts only if the block's upper and lower edges are straight: at least one in
   `SHARE` of the pixels of the row outside is flat, and farther than `FAR` from the pixel `DEPTH` rows on inwards. Then step 1 is
   taken once more.

A cut that leaves less than 1/`LEAST` of a side, or under 32 pixels of it, or takes less than 1/`THICK` of both, is not made.

The rule reads the photograph as it was decoded for the network, a JPEG at its DCT scale. Where what is left of a JPEG has too few
pixels for the network, the photograph is decoded again at a finer scale, and the rule reads that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from acne_edge import image as images
from acne_edge.errors import ImageSizeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from acne_edge.image import ImageArray, ImageSource, Photograph

RULE = "framing-1"  # what the manifest of a model requires whose photographs are cut by this rule

NEAR, FAR, STRAY, DEPTH, SHARE, THICK = 8, 16, 50, 8, 3, 32
EQUAL, RUN = 2, 12
LEAST, LOWEST = 5, 64

TOP, BOTTOM, LEFT, RIGHT = SIDES = range(4)
BAND = 64  # lines that are looked at together, at most


class Box(NamedTuple):
    """A rectangle of whole pixels; right and bottom are the first that lie outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Pixels."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Pixels."""
        return self.bottom - self.top

    def without(self, side: int, lines: int) -> Box:
        """The rectangle without its outermost lines on one side."""
        left, top, right, bottom = self
        return (
            Box(left, top + lines, right, bottom),
            Box(left, top, right, bottom - lines),
            Box(left + lines, top, right, bottom),
            Box(left, top, right - lines, bottom),
        )[side]


class Framed(NamedTuple):
    """A photograph that is decoded, upright, of mode RGB, and without what stood around it."""

    pixels: Image.Image  # what is left, perhaps at a reduced DCT scale
    width: int  # pixels of the photograph itself, upright and uncut
    height: int
    crop: Box | None  # what is left, in those pixels; None where nothing was cut


def photograph(source: ImageSource, min_side: int) -> Framed:
    """Decode a photograph, as `image.photograph`, and `cut` it. Raises what that does."""
    return cut(source, images.photograph(source, min_side), min_side)


def uncut(photograph: Photograph) -> Framed:
    """The photograph with all that stands around it, for a model that does not require this rule."""
    return Framed(photograph.pixels, photograph.width, photograph.height, None)


def cut(source: ImageSource, photograph: Photograph, min_side: int) -> Framed:
    """Cut off what stands around a photograph.

    Args:
        source: what it was decoded from, for a JPEG to be decoded again if need be.
        photograph: as decoded for `min_side`.
        min_side: pixels that a JPEG should have left on both sides, as for `image.photograph`.

    Raises ImageError if `source` can no longer be read.
    """
    box = find(photograph.pixels)
    if box == (0, 0, *photograph.pixels.size):
        return uncut(photograph)
    scale = -(-photograph.width // photograph.pixels.width)  # 1 of what is no JPEG
    finer = images.dct_scale(box.width * scale, box.height * scale, min_side)
    if finer < scale:
        try:
            photograph = images.photograph(source, min(photograph.width, photograph.height) // finer)
            box = find(photograph.pixels)
        except ImageSizeError:  # too large to be decoded at that scale
            pass
    across, down = ((whole, part) for whole, part in zip(photograph[1:3], photograph.pixels.size, strict=True))
    crop = Box(_scaled(box.left, *across), _scaled(box.top, *down), _scaled(box.right, *across), _scaled(box.bottom, *down))
    return Framed(photograph.pixels.crop(box), photograph.width, photograph.height, crop)


def _scaled(at: int, whole: int, part: int) -> int:
    """The pixel of the whole photograph that lies where pixel `at` of the decoded one does, halves rounded up."""
    return (2 * at * whole + part) // (2 * part)


def find(image: ImageArray | Image.Image) -> Box:
    """Where the photograph lies in a picture, RGB, uint8 [H, W, 3]; the whole of it where nothing is to be cut."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    whole = Box(0, 0, *image.size)
    box = _without_borders(image, whole)
    inside = _without_interface(image, box)
    if inside != box:
        box = _without_borders(image, inside)
    sides = ((box.width, whole.width), (box.height, whole.height))
    if any(LEAST * left < before or left < images.MIN_SIDE for left, before in sides):
        return whole
    return whole if all(THICK * (before - left) < before for left, before in sides) else box


def _lines(image: Image.Image, box: Box, side: int, first: int, last: int) -> ImageArray:
    """The lines first..last - 1 of a box, counted inwards from one of its sides: uint8 [last - first, n, 3]."""
    length = box.height if side < LEFT else box.width
    opposite = (BOTTOM, TOP, RIGHT, LEFT)[side]
    lines = np.asarray(image.crop(box.without(side, first).without(opposite, length - last)))
    lines = lines if side < LEFT else lines.transpose(1, 0, 2)
    return lines if side in (TOP, LEFT) else lines[::-1]


def _without_borders(image: Image.Image, box: Box) -> Box:
    before = None
    while box != before:
        before = box
        for side in SIDES:
            box = box.without(side, _border(image, box, side))
    return box


def _border(image: Image.Image, box: Box, side: int) -> int:
    """How many lines of a side are a border; 0 if it does not end in a straight edge."""
    colour = _median(_lines(image, box, side, 0, 1)[0])
    count = _run(image, box, side, colour, True)
    if count == 0 or count + DEPTH > (box.height if side < LEFT else box.width):
        return 0
    edge = _lines(image, box, side, count + DEPTH - 1, count + DEPTH)
    return count if SHARE * _far(edge, colour, FAR)[0] >= edge.shape[1] else 0


def _run(image: Image.Image, box: Box, side: int, colour: ImageArray, uniform: bool) -> int:
    """How many of the lines of a side are of a colour, or are not, before the first one that differs in that."""
    total = box.height if side < LEFT else box.width
    at, band = 0, 1  # of most photographs the first line is seen alone
    while at < total:
        lines = _lines(image, box, side, at, min(at + band, total))
        other = (_far(lines, colour, NEAR) * STRAY <= lines.shape[1]) != uniform
        if other.any():
            return at + int(other.argmax())
        at, band = at + len(lines), min(2 * band, BAND)
    return total


def _far(lines: ImageArray, colour: ImageArray, limit: int) -> NDArray[np.int64]:
    """How many pixels of each line [k, n, 3] are farther than `limit` from a colour, or from a line's, in some channel: [k]."""
    low, high = np.maximum(colour, limit) - limit, np.minimum(colour, 255 - limit) + limit
    return np.asarray(((lines < low) | (lines > high)).any(2).sum(1))


def _median(line: ImageArray) -> ImageArray:
    """The upper median of a line [n, 3], channel by channel."""
    return np.asarray(np.sort(line, axis=0)[len(line) // 2])


def _without_interface(image: Image.Image, box: Box) -> Box:
    if not any(_drawn(_lines(image, box, side, 0, 1))[0] for side in (TOP, BOTTOM)):
        return box
    bands = [_drawn(_lines(image, box, TOP, at, min(at + BAND, box.height))) for at in range(0, box.height, BAND)]
    top, bottom = _highest_block(~np.concatenate(bands))
    if bottom - top < LOWEST or (top, bottom) == (0, box.height):
        return box
    block = Box(box.left, box.top + top, box.right, box.top + bottom)
    middle = block.without(TOP, DEPTH).without(BOTTOM, DEPTH)
    columns, colours = _without_side(image, middle, LEFT)
    columns, others = _without_side(image, columns, RIGHT)
    inside = Box(columns.left, block.top, columns.right, block.bottom)
    above, below = (Box(inside.left, box.top, inside.right, block.top), Box(inside.left, block.bottom, inside.right, box.bottom))
    if colours and others:
        up = min(_run(image, above, BOTTOM, colour, False) for colour in colours)
        down = min(_run(image, below, TOP, colour, False) for colour in colours)
        return Box(inside.left, inside.top - up, inside.right, inside.bottom + down)
    straight = all(_is_straight(image, inside, side, around) for side, around in ((TOP, above), (BOTTOM, below)))
    return inside if straight else box


def _without_side(image: Image.Image, box: Box, side: int) -> tuple[Box, list[ImageArray]]:
    """The box without the borders of one side, one after the other, and their colours."""
    colours = []
    while count := _border(image, box, side):
        colours.append(_median(_lines(image, box, side, 0, 1)[0]))
        box = box.without(side, count)
    return box, colours


def _is_straight(image: Image.Image, box: Box, side: int, around: Box) -> bool:
    """Whether a box ends on one side in a straight edge to what lies around it; so it does where nothing does."""
    if around.height == 0:
        return True
    outer = _lines(image, around, (BOTTOM, TOP)[side], 0, 1)
    inner, flat = _lines(image, box, side, DEPTH - 1, DEPTH), _flat(outer)[0]
    return bool(SHARE * _far(inner[:, flat], outer[0, flat], FAR)[0] >= box.width)


def _drawn(rows: ImageArray) -> NDArray[np.bool_]:
    """Which rows [h, w, 3] are drawn rather than photographed."""
    return np.asarray(2 * _flat(rows).sum(1) >= rows.shape[1])


def _flat(rows: ImageArray) -> NDArray[np.bool_]:
    """Which pixels of rows [h, w, 3] lie in a long run of one colour: [h, w]."""
    height, width = rows.shape[:2]
    breaks = np.ones((height, width + 1), np.bool_)  # before which pixel a run ends; the row's ends among them
    breaks[:, 1:-1] = (np.abs(np.diff(rows.astype(np.int16), axis=1)) > EQUAL).any(2)
    runs = np.diff(np.flatnonzero(breaks), append=breaks.size)  # from a row's end to the next row's start it is 1
    return np.repeat(runs >= max(4, width // RUN), runs).reshape(height, width + 1)[:, :-1]


def _highest_block(rows: NDArray[np.bool_]) -> tuple[int, int]:
    """The longest stretch of true values; the first of several. (0, 0) if there is none."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], rows, [False]])))
    if not len(edges):
        return 0, 0
    starts, ends = edges[::2], edges[1::2]
    best = int(np.argmax(ends - starts))
    return int(starts[best]), int(ends[best])
