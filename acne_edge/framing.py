"""The photograph inside a picture: borders, letterbox bars and a messenger's interface are cut off before the squash.

Rule `framing-1`, in whole numbers, so that Python and C find the same rectangle to the pixel:

1. *Border.* The colour of a side is the median, channel by channel, of its outermost row or column. The border goes inwards as
   long as all but one in `STRAY` of a line's pixels lie within `NEAR` of that colour in every channel. It counts if it ends in a
   straight edge: on the line `DEPTH` lines on, at least one in `SHARE` of the pixels lies farther than `FAR` from the colour in some
   channel. A dark background that a cheek grows out of ends in no such edge. Sides are cut in turn (top, bottom, left, right) until
   none has a border.
2. *Interface.* A row is *drawn* if at least half of it lies in runs of one colour (each channel within `EQUAL` of the pixel
   before) of at least 1/`RUN` of the width: interfaces are drawn in flat colours, skin is not. If the first or the last row is
   drawn, the highest block of rows that are not is taken for the photograph, and its left and right borders are cut by step 1.
   If there are both, the block goes on up and down to the next row that has the colour of the innermost left border. If not, the
   cut counts only if the block's upper and lower edges are straight, by the measure of step 1. Then step 1 is taken once more.

A cut that leaves less than 1/`LEAST` of a side, or takes less than 1/`THICK` of both, is not made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from acne_edge.image import ImageArray

NEAR, FAR, STRAY, DEPTH, SHARE, THICK = 8, 16, 50, 8, 3, 32
EQUAL, RUN = 2, 12
LEAST = 5


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


def find(image: ImageArray) -> Box:
    """Where the photograph lies in a picture, uint8 [H, W, 3], RGB; the whole of it where nothing is to be cut."""
    whole = Box(0, 0, image.shape[1], image.shape[0])
    box = _without_borders(image, whole)
    box = _without_borders(image, _without_interface(image, box))
    sides = ((box.width, whole.width), (box.height, whole.height))
    if any(LEAST * left < before for left, before in sides) or all(THICK * (before - left) < before for left, before in sides):
        return whole
    return box


def _without_borders(image: ImageArray, box: Box) -> Box:
    while True:
        before = box
        for side in range(4):
            view = image[box.top : box.bottom, box.left : box.right]
            lines = view if side < 2 else view.transpose(1, 0, 2)
            n = _border(lines if side % 2 == 0 else lines[::-1])
            box = Box(
                box.left + (n if side == 2 else 0),
                box.top + (n if side == 0 else 0),
                box.right - (n if side == 3 else 0),
                box.bottom - (n if side == 1 else 0),
            )
        if box == before:
            return box


def _border(lines: ImageArray) -> int:
    """How many of the first lines [L, n, 3] are a border; 0 if it does not end in a straight edge."""
    total, n = lines.shape[:2]
    colour = _median(lines[0])
    count = 0
    while count < total and _far(lines[count], colour, NEAR) * STRAY <= n:
        count += 1
    if count == 0 or count + DEPTH > total:
        return 0
    return count if SHARE * _far(lines[count + DEPTH - 1], colour, FAR) >= n else 0


def _far(line: ImageArray, colour: NDArray[np.int16], limit: int) -> int:
    """How many pixels of a line [n, 3] are farther than `limit` from a colour, or from another line, in some channel."""
    return int((np.abs(line - colour) > limit).any(1).sum())


def _without_interface(image: ImageArray, box: Box) -> Box:
    view = image[box.top : box.bottom, box.left : box.right]
    if not (_drawn(view[:1])[0] or _drawn(view[-1:])[0]):
        return box
    top, bottom = _highest_block(~_drawn(view))
    if bottom - top < 2 * DEPTH or (top, bottom) == (0, len(view)):
        return box
    columns = view[top:bottom].transpose(1, 0, 2)
    left = _borders(columns)
    right = _borders(columns[left:][::-1])
    inside = view[:, left : view.shape[1] - right]
    if left and right:
        colour = _median(view[top:bottom, left - 1])
        top, bottom = _up_to(inside, colour, top, -1), _up_to(inside, colour, bottom - 1, 1) + 1
    elif not all(
        SHARE * _far(inside[inner], inside[outer].astype(np.int16), FAR) >= inside.shape[1]
        for outer, inner in ((top - 1, top + DEPTH - 1), (bottom, bottom - DEPTH))
        if 0 <= outer < len(view)
    ):
        return box
    return Box(box.left + left, box.top + top, box.right - right, box.top + bottom)


def _borders(lines: ImageArray) -> int:
    """How many of the first lines [L, n, 3] are borders, one after the other."""
    total = 0
    while count := _border(lines[total:]):
        total += count
    return total


def _up_to(rows: ImageArray, colour: NDArray[np.int16], start: int, step: int) -> int:
    """The last row, going from `start` by `step`, before one of a colour; `start` if there is no such row."""
    at = start
    while 0 <= at + step < len(rows):
        if _far(rows[at + step], colour, NEAR) * STRAY <= rows.shape[1]:
            return at
        at += step
    return start


def _median(line: ImageArray) -> NDArray[np.int16]:
    """The upper median of a line [n, 3], channel by channel."""
    return np.asarray(np.sort(line, axis=0)[len(line) // 2], np.int16)


def _drawn(rows: ImageArray) -> NDArray[np.bool_]:
    """Which rows [h, w, 3] are drawn rather than photographed."""
    height, width = rows.shape[:2]
    least = max(4, width // RUN)
    breaks = np.ones((height, width + 1), np.bool_)  # before which pixel a run ends; the row's ends among them
    breaks[:, 1:-1] = (np.abs(np.diff(rows.astype(np.int16), axis=1)) > EQUAL).any(2)
    where = np.flatnonzero(breaks)
    row, column = where // (width + 1), where % (width + 1)
    runs = np.diff(column)
    long = np.where((row[1:] == row[:-1]) & (runs >= least), runs, 0)
    return np.asarray(2 * np.bincount(row[:-1], long, height) >= width)


def _highest_block(rows: NDArray[np.bool_]) -> tuple[int, int]:
    """The longest stretch of true values; the first of several. (0, 0) if there is none."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], rows, [False]])))
    if not len(edges):
        return 0, 0
    starts, ends = edges[::2], edges[1::2]
    best = int(np.argmax(ends - starts))
    return int(starts[best]), int(ends[best])
