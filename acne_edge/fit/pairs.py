"""Fits how far the difference of two counts may be off, on pairs of photographs that look alike.

The pairs stand for two visits of one person: photographs of one group show one person or session. Groups differ in size, so each
group weighs the same, and a large one gives no more than `MOST` pairs. Numpy alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from acne_edge.difference import Counted, PairUncertainty, arms

MOST = 10  # pairs of a group
LEVELS = (*np.round(np.arange(0.05, 0.96, 0.05), 2).tolist(), 0.975, 0.99)


@dataclass(frozen=True)
class Pairs:
    """P pairs of photographs, each an index into the same N."""

    first: NDArray[np.int64]  # [P]
    second: NDArray[np.int64]  # [P]
    group: NDArray[np.int64]  # [P]
    weight: NDArray[np.float64]  # [P], 1 in sum over a group

    def take(self, index: NDArray[np.integer] | NDArray[np.bool_]) -> Pairs:
        """Some of the pairs, with their weights as they are."""
        return Pairs(self.first[index], self.second[index], self.group[index], self.weight[index])


def pairs_of(groups: NDArray[np.int64], most: int = MOST, seed: int = 0) -> Pairs:
    """The pairs within groups [N]; of a group with more than `most`, that many are drawn. Which comes first is drawn too."""
    rng = np.random.default_rng(seed)
    first: list[int] = []
    second: list[int] = []
    group: list[int] = []
    weight: list[float] = []
    for number in np.unique(groups):
        members = rng.permutation(np.flatnonzero(groups == number))
        if len(members) < 2:
            continue
        a, b = np.triu_indices(len(members), 1)
        kept = rng.permutation(len(a))[:most]
        swapped = rng.random(len(kept)) < 0.5
        first.extend(members[np.where(swapped, b[kept], a[kept])])
        second.extend(members[np.where(swapped, a[kept], b[kept])])
        group.extend([number] * len(kept))
        weight.extend([1 / len(kept)] * len(kept))
    return Pairs(np.array(first, np.int64), np.array(second, np.int64), np.array(group, np.int64), np.array(weight))


def scores(counted: Counted, truth: NDArray[np.int64], pairs: Pairs) -> NDArray[np.float64]:
    """|error of the difference| / arm [P]: over 1 where the truth lies outside the combined arms."""
    before, after = (Counted(*(np.asarray(part)[index] for part in counted)) for index in (pairs.first, pairs.second))
    down, up = arms(before, after)
    error = (truth[pairs.second] - truth[pairs.first]) - (np.asarray(after.lesions) - np.asarray(before.lesions))
    return np.asarray(np.abs(error) / np.where(error > 0, up, down))


def fit_pairs(found: NDArray[np.float64], pairs: Pairs, fitted_on: str) -> PairUncertainty:
    """The quantiles of the scores at `LEVELS`, each group weighing the same.

    Conformal with a group in the place of a photograph: one group more, whose score is unknown and counts as infinite, is added
    to those that are known (as in Tibshirani et al., Conformal Prediction Under Covariate Shift, 2019, eq. 7, for weights). A
    level that so few groups cannot tell gets the largest score.
    """
    order = np.argsort(found, kind="stable")
    reached = np.cumsum(pairs.weight[order]) / (len(np.unique(pairs.group)) + 1)
    places = np.minimum(np.searchsorted(reached, np.array(LEVELS) - 1e-9), len(order) - 1)
    return PairUncertainty(LEVELS, tuple(np.round(found[order][places] + 5e-5, 4).tolist()), fitted_on)
