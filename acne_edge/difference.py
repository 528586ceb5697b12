"""The difference of two counts, with an interval of its own.

Two counts of one face have errors that partly cancel, so the difference is known better than the ends of two intervals suggest.
The interval is made in two steps:

* The arms of the two intervals are combined by the square root of the sum of squares: MOVER, Zou and Donner, Statistics in
  Medicine 27, 2008. That allows for intervals that are longer on one side, as those of counts are.
* Both arms are multiplied by a factor, the conformal quantile of |error of the difference| / arm over pairs of photographs of
  which both labels are known (`fit.pairs`).

A model without that factor gets the two single intervals combined: the difference lies between (low - high) and (high - low) if
each interval holds its count, so with at least 2 level - 1 (Bonferroni's inequality).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

RULE = "mover-1"
SLACK = 0.5  # lesions; counts are whole, so an interval that ends at k reaches to k + 1/2
LEVEL = 0.9  # of the interval of a difference, where a model can tell it


@dataclass(frozen=True)
class PairUncertainty:
    """Quantiles of |error of the difference| / arm on pairs; between them the quantile is interpolated."""

    levels: tuple[float, ...]  # shares of pairs, increasing, within 0..1
    scores: tuple[float, ...]  # the quantiles at them, not decreasing
    fitted_on: str
    rule: str = RULE

    def factor(self, level: float) -> float:
        """The multiple of the arms that covers this share of pairs."""
        return float(np.interp(level, self.levels, self.scores))

    def share(self, score: float) -> float:
        """The share of pairs with a smaller score."""
        return float(np.interp(score, (0.0, *self.scores), (0.0, *self.levels)))


class Counted(NamedTuple):
    """A count and the ends of its interval, lesions; single numbers, or arrays [N] of as many photographs."""

    lesions: NDArray[np.float64] | float
    low: NDArray[np.float64] | float
    high: NDArray[np.float64] | float


class Difference(NamedTuple):
    """What changed from one visit to the next."""

    change: float  # lesions; below 0: fewer
    level: float  # that the interval holds the true difference of whole counts
    low: int  # lesions, both ends included
    high: int
    fewer: float | None  # probability of fewer lesions, 0..1; equal counts are half of that; None: the model cannot tell


def arms(before: Counted, after: Counted) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far below and above the change the true difference may lie, lesions, before the factor; as many as the counts."""
    down = np.hypot(after.lesions - after.low + SLACK, before.high - before.lesions + SLACK)
    up = np.hypot(after.high - after.lesions + SLACK, before.lesions - before.low + SLACK)
    return np.asarray(down), np.asarray(up)


def difference(before: Sequence[Counted], after: Sequence[Counted], level: float, pairs: PairUncertainty | None) -> Difference:
    """The change of the sum over views, each seen twice; one view is the usual case.

    The arms of several views are added, as if the errors of all views pointed the same way: nothing that they have to do with
    each other can make the standard deviation of the sum larger.

    Args:
        before: of each view at the first visit.
        after: of each view at the second visit, in the same order.
        level: of the single intervals.
        pairs: the model's constants; None: it has none, and the single intervals are combined (see the top of this module).
    """
    change = float(sum(b.lesions for b in after) - sum(a.lesions for a in before))
    if pairs is None:
        low = sum(b.low - a.high for a, b in zip(before, after, strict=True))
        high = sum(b.high - a.low for a, b in zip(before, after, strict=True))
        sure = 1 - 2 * len(before) * (1 - level)
        return Difference(change, max(0.0, round(sure, 6)), int(low), int(high), None)
    each = [arms(a, b) for a, b in zip(before, after, strict=True)]
    down, up = (float(sum(arm[end] for arm in each)) for end in (0, 1))
    factor = pairs.factor(LEVEL)
    low, high = int(np.ceil(change - factor * down)), int(np.floor(change + factor * up))
    return Difference(
        change, LEVEL, min(low, int(np.floor(change))), max(high, int(np.ceil(change))), _fewer(change, down, up, pairs)
    )


def _fewer(change: float, down: float, up: float, pairs: PairUncertainty) -> float:
    """The probability that the true difference is below 0; errors are as often positive as negative, as a pair has no order."""
    arm = up if change < 0 else down  # the error that would bring the difference to 0
    beyond = (1 - pairs.share(abs(change) / arm)) / 2
    return 1 - beyond if change < 0 else beyond
