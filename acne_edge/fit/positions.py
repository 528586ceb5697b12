"""Fits the threshold of positions, and measures positions, on photographs that the network was not trained on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acne_edge.evaluation.localisation import LOWEST, Boxes, localisation
from acne_edge.positions import PositionDecoding, locate


def measure_positions(
    maps: Iterable[NDArray[np.float32]], boxes: Sequence[Boxes | None], threshold: float | None = None
) -> dict[str, Any]:
    """`evaluation.localisation` of the lesions found in lesion maps [h, w]; photographs without boxes (None) are skipped.

    `average_precision_inside` is that of boxes as they were drawn, so that maps with other cells can be compared.

    Args:
        maps: one per photograph, all of one size.
        boxes: float [n, 4] in 0..1 of the frame, or None if nobody drew any.
        threshold: the least score that counts for F1, precision and recall; None takes the one with the best F1.
    """
    known = [(lesion_map, b) for lesion_map, b in zip(maps, boxes, strict=True) if b is not None]
    if not known:
        return {"photographs": 0}
    slack = 0.5 / known[0][0].shape[1]
    found, drawn = [locate(lesion_map, LOWEST) for lesion_map, _ in known], [b for _, b in known]
    inside = localisation(found, drawn, 0)["average_precision"]
    return {**localisation(found, drawn, slack, threshold), "average_precision_inside": inside}


def fit_positions(
    maps: Iterable[NDArray[np.float32]], boxes: Sequence[Boxes | None], fitted_on: str
) -> tuple[PositionDecoding, dict[str, Any]]:
    """The threshold with the best F1, rounded to three digits, and the figures that it gives on the same photographs.

    See `measure_positions` for `maps` and `boxes`; `fitted_on` names the photographs.
    """
    best = measure_positions(maps, boxes)
    threshold = round(float(best["threshold"]), 3)
    return PositionDecoding(threshold=threshold, fitted_on=fitted_on), measure_positions(maps, boxes, threshold)
