"""The gate for INT8 models: how much worse than the float model they may be on labelled photographs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from acne_edge.errors import ModelError
from acne_edge.evaluation.bootstrap import REPEATS, Figure
from acne_edge.evaluation.outcome import Graded, changes_with_intervals
from export.parity import Decoded, Images

BUDGET = {
    "accuracy_drop": 0.005,  # share of images
    "mae_increase": 0.1,  # lesions
    "grade_flips": 0.02,  # share of images whose grade differs from the float model's, right or wrong
    "qwk_drop": 0.01,
}
# On training photographs the network is almost always right, so that nearly every flip also costs accuracy and kappa.
CHOSEN_BY = ("mae_increase", "grade_flips")

Losses = dict[str, Figure]  # by the names of `BUDGET`: value, low, high, budget


class GateError(ModelError):
    """No version of the INT8 model stays within the budget."""


@dataclass(frozen=True)
class EvaluationSet:
    """Images uint8 [N, S, S, 3], RGB, with true grades [N] and counts [N], and the float model's grades and counts.

    They are P photographs in `views` views each, N = views * P: all photographs in one view, then all in the next.
    """

    images: Images
    grades: NDArray[np.int64]
    counts: NDArray[np.int64]
    reference: Decoded
    views: int = 1


def losses(candidate: Decoded, truth: EvaluationSet, resamples: int = REPEATS) -> Losses:
    """A candidate's losses against the float model, with the names of `BUDGET` (`evaluation.outcome.changes`).

    Each has its `value`, the `low` and `high` end of a 95 % bootstrap interval over photographs, both models on the same sample,
    and its `budget`. The value is judged; the interval says how far to trust the verdict.
    """
    reference, found = (Graded(truth.grades, truth.counts, r.grades, r.counts) for r in (truth.reference, candidate))
    lost = changes_with_intervals([(reference, found)], resamples, truth.views)
    return {name: {**lost[name], "budget": budget} for name, budget in BUDGET.items()}


def strain(lost: Losses, names: Collection[str] = tuple(BUDGET)) -> float:
    """The largest of the named losses as a share of its budget; the gate passes up to 1."""
    return round(max(lost[name]["value"] / lost[name]["budget"] for name in names), 9)  # so that 3 of 600 are exactly 0.005


def granularity(name: str, images: int) -> str:
    """A text that says how finely a set of this size can measure the loss."""
    step = 1 / images
    return f"{name}: {images} images, one is {100 * step:.2f} points: at most {int(BUDGET['accuracy_drop'] / step + 1e-9)} " + (
        f"lost in net, {int(BUDGET['grade_flips'] / step + 1e-9)} flipped"
    )
