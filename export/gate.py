"""The gate that an INT8 model must pass: what it may lose against the float model, measured on labelled photographs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from acne_edge.errors import ModelError
from acne_edge.evaluation.metrics import confusion_matrix, quadratic_kappa
from export.parity import Decoded, Images

BUDGET = {
    "accuracy_drop": 0.005,  # share of images
    "mae_increase": 0.1,  # lesions
    "grade_flips": 0.02,  # share of images whose grade differs from the float model's, rightly or wrongly
    "qwk_drop": 0.01,
}
# On photographs of training the network is right almost always, so that every flip counts as lost accuracy and kappa.
CHOSEN_BY = ("mae_increase", "grade_flips")
RESAMPLES = 1000

Losses = dict[str, dict[str, float]]  # by the names of `BUDGET`: value, low, high, budget


class GateError(ModelError):
    """No version of the INT8 model keeps within the budget."""


@dataclass(frozen=True)
class EvaluationSet:
    """Images uint8 [N, S, S, 3], RGB, with true grades [N] and counts [N], and what the float model reads on them.

    Of P photographs each `views` times, N = views * P: all of them in one view, then all in the next.
    """

    images: Images
    grades: NDArray[np.int64]
    counts: NDArray[np.int64]
    reference: Decoded
    views: int = 1


def losses(candidate: Decoded, truth: EvaluationSet, resamples: int = RESAMPLES) -> Losses:
    """What a candidate loses against the float model, by the names of `BUDGET`.

    Each has its `value`, the `low` and `high` end of a 95 % interval (percentile bootstrap over photographs, both models on the
    same resample; Efron and Tibshirani 1993, ch. 13) and its `budget`. The value is judged; the interval says how far to
    trust the verdict.
    """
    reference = truth.reference
    grades = int(max(truth.grades.max(), reference.grades.max(), candidate.grades.max())) + 1

    def measure(index: NDArray[np.int64]) -> list[float]:
        true, before, after = truth.grades[index], reference.grades[index], candidate.grades[index]
        errors = [np.abs(r.counts[index] - truth.counts[index]).mean() for r in (reference, candidate)]
        # Kappa is undefined where one grade is all there is and all that is predicted; that is full agreement.
        kappas = [np.nan_to_num(quadratic_kappa(confusion_matrix(true, p, grades)), nan=1.0) for p in (before, after)]
        drop = (before == true).mean() - (after == true).mean()
        return [drop, errors[1] - errors[0], (before != after).mean(), kappas[0] - kappas[1]]

    everything = np.arange(len(truth.grades))
    rng = np.random.default_rng(0)
    photographs = everything.reshape(truth.views, -1)
    picks = (rng.choice(photographs.shape[1], photographs.shape[1]) for _ in range(resamples))
    samples = np.array([measure(photographs[:, pick].ravel()) for pick in picks])
    low, high = np.percentile(samples, [2.5, 97.5], axis=0)
    return {
        name: {"value": float(value), "low": float(low[i]), "high": float(high[i]), "budget": BUDGET[name]}
        for i, (name, value) in enumerate(zip(BUDGET, measure(everything), strict=True))
    }


def strain(lost: Losses, names: Collection[str] = tuple(BUDGET)) -> float:
    """The largest of the named losses in units of its budget; up to 1 the gate holds."""
    return round(max(lost[name]["value"] / lost[name]["budget"] for name in names), 9)  # three of 600 are half a point, not more


def granularity(name: str, images: int) -> str:
    """How finely a set of so many images can tell."""
    step = 1 / images
    return f"{name}: {images} images, one is {100 * step:.2f} points: at most {int(BUDGET['accuracy_drop'] / step + 1e-9)} " + (
        f"lost in net, {int(BUDGET['grade_flips'] / step + 1e-9)} flipped"
    )
