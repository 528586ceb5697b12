"""Turns the lesion map into single places, by a rule that the C library follows to the last bit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from acne_edge.framing import Box

CROSS = "cross"  # the only rule so far; see `locate`
MOST = 512  # lesions; a face has under 150, and the limit bounds the time for a damaged map


class Lesion(NamedTuple):
    """A place where the network sees a lesion."""

    x: float  # of its centre: 0 at the left edge of the upright, uncropped photograph, 1 at the right edge
    y: float  # of its centre: 0 at the top, 1 at the bottom
    score: float  # expected lesions there by the map, over 0 and at most 1


@dataclass(frozen=True)
class PositionDecoding:
    """How positions are read from the lesion map; fitted on images that the network was not trained on, named by `fitted_on`.

    The defaults are for a model whose manifest has no positions: a lesion is where at least half a lesion is expected.
    """

    rule: str = CROSS
    threshold: float = 0.5  # the least score of a lesion, 0..1
    fitted_on: str = ""


def locate(lesion_map: NDArray[np.float32], threshold: float) -> tuple[Lesion, ...]:
    """Find lesions in a map [h, w] of expected lesions per cell, one at a time; returns them with the highest score first.

    The highest cell is taken together with its four neighbours, a cross, because training spreads a lesion over the cells
    around its centre. One lesion, or the cross's sum if that is less, is subtracted: from the centre first, and the rest from
    the neighbours in proportion. The amount subtracted is the score, and its centre of mass is the place. The next lesion is
    then searched for in what remains, so that two adjacent lesions give two places and none is counted twice. Lesions under
    `threshold` are subtracted too, but not returned. Places are in 0..1 of the map.

    Among equal cells, the first in row order is taken; equal scores keep the order in which they were taken. All sums are
    float64, in the order of the code below. A map with a NaN cell holds no lesions, and a negative cell counts as 0.
    """
    if not np.isfinite(lesion_map).all():
        return ()
    height, width = lesion_map.shape
    row = width + 2  # an empty cell on every side spares asking for the edges
    rest = np.zeros((height + 2, row))
    rest[1:-1, 1:-1] = np.maximum(lesion_map, 0)
    cells = rest.ravel()
    taken = []
    for _ in range(MOST):
        at = int(cells.argmax())
        centre = cells.item(at)
        if not 0 < centre * 5 >= threshold:  # no cross can reach the threshold
            break
        up, left, right, down = cells.item(at - row), cells.item(at - 1), cells.item(at + 1), cells.item(at + row)
        around = up + left + right + down
        score = min(centre + around, 1.0)
        share = 1.0 if score < 1 else (1 - min(centre, 1.0)) / max(around, 1e-12)  # of the neighbours, that goes with the centre
        if score >= threshold:
            y, x = divmod(at, row)
            x_cell, y_cell = x - 0.5 + (right - left) * share / score, y - 0.5 + (down - up) * share / score
            taken.append(Lesion(x_cell / width, y_cell / height, score))
        keep = 1 - share
        cells[at], cells[at - row], cells[at - 1] = max(centre - 1, 0), up * keep, left * keep
        cells[at + 1], cells[at + row] = right * keep, down * keep
    return tuple(sorted(taken, key=lambda lesion: -lesion.score))


def moved(lesions: Iterable[Lesion], crop: Box, width: int, height: int) -> tuple[Lesion, ...]:
    """The same lesions in 0..1 of a whole photograph, `width` x `height` pixels, of which `crop` was looked at."""
    return tuple(
        Lesion((crop.left + lesion.x * crop.width) / width, (crop.top + lesion.y * crop.height) / height, lesion.score)
        for lesion in lesions
    )
