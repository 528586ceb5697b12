"""Measures how well positions agree with boxes that people drew around lesions. Pure functions of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Boxes = NDArray[np.floating]  # [n, 4]: (xmin, ymin, xmax, ymax) in 0..1 of the frame; a point is a box of size 0

RULE = "centre inside the box widened by half a cell of the map on every side; best first, each takes the nearest box still free"
LOWEST = 0.01  # lowest score of the positions in an average precision; lower ones would add almost nothing


def match(lesions: ArrayLike, boxes: Boxes, slack: float) -> NDArray[np.bool_]:
    """Which of the lesions [n, 3], each (x, y, score), hit a box by RULE.

    Args:
        lesions: centres in 0..1 of the frame and their scores, in any order.
        boxes: see `Boxes`.
        slack: how much to widen boxes on every side, in 0..1 of the frame; half a cell of the map.
    """
    lesions = np.asarray(lesions, np.float64).reshape(-1, 3)
    hit = np.zeros(len(lesions), bool)
    free = np.ones(len(boxes), bool)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    for i in np.argsort(-lesions[:, 2], kind="stable"):
        centre = lesions[i, :2]
        inside = ((centre >= boxes[:, :2] - slack) & (centre <= boxes[:, 2:] + slack)).all(1) & free
        if inside.any():
            nearest = int(np.argmin(np.where(inside, ((middle - centre) ** 2).sum(1), np.inf)))
            hit[i], free[nearest] = True, False
    return hit


def localisation(
    lesions: Sequence[ArrayLike], boxes: Sequence[Boxes], slack: float, threshold: float | None = None
) -> dict[str, Any]:
    """Average precision of positions, and F1, precision and recall at a score threshold, by RULE.

    Args:
        lesions: for each photograph [n, 3], each (x, y, score); for the average precision, down to the score LOWEST.
        boxes: for each photograph, one box per lesion.
        slack: see `match`.
        threshold: the lowest score that counts for F1; None takes the one with the best F1, which is optimistic unless it is
            then used on other photographs.

    Average precision is the area under the precision-recall curve, with precision made non-increasing (Everingham et al., IJCV
    2010; the rule since VOC 2010). Without boxes, average precision, recall and F1 are nan; without positions, precision is.
    """
    found = [np.asarray(places, np.float64).reshape(-1, 3) for places in lesions]
    scores = np.concatenate([places[:, 2] for places in found])
    hits = np.concatenate([match(places, b, slack) for places, b in zip(found, boxes, strict=True)])
    order = np.argsort(-scores, kind="stable")
    scores, hits, total = scores[order], hits[order], sum(map(len, boxes))
    with np.errstate(invalid="ignore"):
        right = np.concatenate([[0.0], hits.cumsum()])  # of the best 0, 1, 2, ... positions
        precision, recall = right / np.arange(len(right)), right / np.float64(total)
        f1 = 2 * right / (np.arange(len(right)) + np.float64(total))
    envelope = np.maximum.accumulate(precision[:0:-1])[::-1]
    if threshold is None:
        best = int(np.argmax(f1))
        threshold = float(scores[best - 1]) if best else 1.0
    taken = int((scores >= threshold).sum())
    return {
        "rule": RULE,
        "photographs": len(found),
        "lesions": total,
        "average_precision": float((np.diff(recall) * envelope).sum()),
        "threshold": threshold,
        "positions": taken,
        "f1": float(f1[taken]),
        "precision": float(precision[taken]),
        "recall": float(recall[taken]),
    }
