"""Holds labels and a device's results side by side, and turns them into figures; nothing else does.

A figure has the same name everywhere: in the output of `evaluate`, in tables of studies, in an analysis and in the model card.
`figures` computes them, `with_intervals` adds 95 % bootstrap intervals, `summary` arranges them for a manifest, and `changes`
compares two versions of a model. Their names:

* `accuracy`, `balanced_accuracy`, `qwk` (quadratic weighted kappa), `recall_0` and so on: figures of the grade, in 0..1.
* `accuracy_head`, `accuracy_count`: accuracy of the grade head, and of the count distribution summed over the bands, before
  any calibration; only if the network's outputs are known.
* `mae`, `rmse`, `bias`, `loa_low` and `loa_high` (limits of agreement): errors of the count, in lesions.
* `icc`: ICC(2,1), the agreement of count and label.
* `interval_coverage`, `interval_width`, `grade_set_coverage`, `grade_set_size`: figures of the count interval and the grade set.
* `abstained`: share of photographs without a grade.
* `ece`: expected calibration error of the grade's probability; `ece_if_calibrated`: the error that chance alone would give.

A figure that does not exist is nan in `figures`, and None (null in JSON) in `with_intervals` and `summary`; `REASONS` says why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acne_edge.evaluation.bootstrap import REPEATS, Figure, bootstrap
from acne_edge.evaluation.labels import Label
from acne_edge.evaluation.metrics import (
    agreement,
    confusion_matrix,
    count_metrics,
    ece_if_calibrated,
    expected_calibration_error,
    grade_metrics,
    limits_of_agreement,
    quadratic_kappa,
)
from acne_edge.evaluation.rows import Rows
from acne_edge.evaluation.tables import strict
from acne_edge.fit.outputs import LabelledOutputs
from acne_edge.grading import Interpretation
from acne_edge.prediction import Prediction

REASONS = {
    "qwk": "all photographs have one grade and were given that grade",
    "recall": "no photograph is of this grade",
    "SE": "no photograph is of this grade",
    "precision": "no photograph was given this grade",
    "SP": "every photograph is of this grade",
    "YI": "SE or SP of this grade does not exist",
    "icc": "it takes two photographs or more, and counts that are not all equal",
    "limits_of_agreement": "they take two photographs or more",
    "loa": "they take two photographs or more",
    "ece": "an ECE has no bootstrap interval, because photographs drawn twice make it larger",
    "MAE": "no photograph is of this grade",
    "RMSE": "no photograph is of this grade",
}
"""Why a figure may not exist, keyed by the beginning of its name."""


@dataclass(frozen=True)
class Graded(Rows):
    """True and predicted counts and grades of N photographs: all that comparing two versions of a model needs."""

    true_grade: NDArray[np.int64]  # [N], index into the scale's labels
    true_count: NDArray[np.int64]  # [N], lesions
    grade: NDArray[np.int64]  # [N]
    count: NDArray[np.float64]  # [N], lesions

    def __len__(self) -> int:
        return len(self.true_grade)


@dataclass(frozen=True)
class Outcome(Graded):
    """All results of a device for N photographs, and their labels."""

    low: NDArray[np.int64]  # [N], ends of the count interval, both included
    high: NDArray[np.int64]  # [N]
    grade_probs: NDArray[np.float64]  # [N, G], each row sums to 1
    grade_set: NDArray[np.bool_]  # [N, G], grades that cannot be excluded
    abstained: NDArray[np.bool_]  # [N]
    head_grade: NDArray[np.int64] | None = None  # [N], by the grade head before calibration
    band_grade: NDArray[np.int64] | None = None  # [N], by the count distribution before calibration

    @staticmethod
    def of_outputs(data: LabelledOutputs, results: Sequence[Interpretation]) -> Outcome:
        """From the network's outputs with their labels, and the device's interpretation of each."""
        low, high = np.array([r.interval for r in results]).T
        return Outcome(
            true_grade=data.grades,
            true_count=data.counts,
            grade=np.array([r.grade for r in results]),
            count=np.array([r.count for r in results]),
            low=low,
            high=high,
            grade_probs=np.array([r.grade_probs for r in results]),
            grade_set=_members([r.grade_set for r in results], data.grade_probs.shape[1]),
            abstained=np.array([r.abstained is not None for r in results]),
            head_grade=data.grade_probs.argmax(1),
            band_grade=(data.count_probs @ data.scale.bands(data.count_probs.shape[1])).argmax(1),
        )

    @staticmethod
    def of_predictions(labels: Sequence[Label], predictions: Sequence[Prediction]) -> Outcome:
        """From labels, and a device's predictions for the same photographs in the same order; at least one."""
        return Outcome(
            true_grade=np.array([label.grade for label in labels]),
            true_count=np.array([label.count for label in labels]),
            grade=np.array([p.grade.index for p in predictions]),
            count=np.array([p.count for p in predictions]),
            low=np.array([p.count_interval.low for p in predictions]),
            high=np.array([p.count_interval.high for p in predictions]),
            grade_probs=np.array([p.grade_probs for p in predictions]),
            grade_set=_members([p.grade_set for p in predictions], len(predictions[0].grade_probs)),
            abstained=np.array([p.abstained is not None for p in predictions]),
        )


def figures(o: Outcome) -> dict[str, float]:
    """The figures that have an interval, by name; nan for one that does not exist."""
    grade = grade_metrics(o.true_grade, o.grade, o.grade_probs.shape[1])
    loa_low, loa_high = limits_of_agreement(o.true_count, o.count)
    heads = {"accuracy_head": o.head_grade, "accuracy_count": o.band_grade}
    return {
        **{name: float((given == o.true_grade).mean()) for name, given in heads.items() if given is not None},
        **{name: grade[name] for name in ("accuracy", "balanced_accuracy", "qwk")},
        **{f"recall_{g}": value for g, value in enumerate(grade["per_grade"]["SE"])},
        **count_metrics(o.true_count, o.count),
        "icc": agreement(np.stack([o.true_count, o.count], 1)),
        "loa_low": loa_low,
        "loa_high": loa_high,
        "interval_coverage": float(((o.low <= o.true_count) & (o.true_count <= o.high)).mean()),
        "interval_width": float((o.high - o.low).mean()),
        "grade_set_coverage": float(o.grade_set[np.arange(len(o)), o.true_grade].mean()),
        "grade_set_size": float(o.grade_set.sum(1).mean()),
        "abstained": float(o.abstained.mean()),
    }


def with_intervals(outcomes: Sequence[Outcome], repeats: int = REPEATS) -> dict[str, Figure]:
    """All figures, each with `value`, and `low` and `high` of a 95 % bootstrap interval over photographs.

    Several `outcomes` must have the same photographs in the same order, with constants fitted in different ways; a figure is
    then their mean. `ece` and `ece_if_calibrated` have no interval (`REASONS`).
    """
    found = bootstrap(lambda index: mean([figures(o.take(index)) for o in outcomes]), len(outcomes[0]), repeats)
    for name, value in mean([calibration(o) for o in outcomes]).items():
        found[name] = {"value": value, "low": None, "high": None}
    return found


def calibration(o: Outcome) -> dict[str, float]:
    """`ece` and `ece_if_calibrated` of the grade's probability."""
    return {
        "ece": expected_calibration_error(o.true_grade, o.grade_probs),
        "ece_if_calibrated": ece_if_calibrated(o.grade_probs),
    }


def mean(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each figure over several measurements of it."""
    return {name: float(np.mean([f[name] for f in found])) for name in found[0]}


def summary(o: Outcome) -> dict[str, Any]:
    """The figures in the form of a manifest's `metrics`, with precision, SE, SP and YI of each grade; JSON-ready."""
    found = figures(o)
    return strict(  # type: ignore[no-any-return]
        {
            "grade": grade_metrics(o.true_grade, o.grade, o.grade_probs.shape[1]),
            "count": {
                **{name: found[name] for name in ("mae", "rmse", "bias", "icc")},
                "limits_of_agreement": {"low": found["loa_low"], "high": found["loa_high"]},
            },
            "interval": {"coverage": found["interval_coverage"], "width": found["interval_width"]},
            "grade_set": {"coverage": found["grade_set_coverage"], "size": found["grade_set_size"]},
            **calibration(o),
            "abstained": found["abstained"],
        }
    )


def per_grade(o: Outcome) -> list[dict[str, float | None]]:
    """The literature's table: precision, SE, SP, YI, MAE and RMSE of each grade, and their average over the grades last."""
    metrics = grade_metrics(o.true_grade, o.grade, o.grade_probs.shape[1])["per_grade"]
    rows = []
    for g in range(o.grade_probs.shape[1]):
        of_grade = o.true_grade == g
        count = count_metrics(o.true_count[of_grade], o.count[of_grade])
        rows.append({**{name: values[g] for name, values in metrics.items()}, "MAE": count["mae"], "RMSE": count["rmse"]})
    return strict([*rows, mean(rows)])  # type: ignore[no-any-return]


def changes(before: Graded, after: Graded) -> dict[str, float]:
    """How much worse another version of a model is on the same photographs, with the names of the INT8 gate's budget.

    `accuracy_drop`, `grade_flips` (photographs whose grade differs, right or wrong) and `qwk_drop` are in 0..1, `mae_increase`
    is in lesions; a negative value is a gain. If all grades, true and predicted, are the same, kappa is undefined and counts
    as 1, full agreement.
    """
    grades = int(max(before.true_grade.max(), before.grade.max(), after.grade.max())) + 1
    kappas = [quadratic_kappa(confusion_matrix(v.true_grade, v.grade, grades)) for v in (before, after)]
    kappa = np.nan_to_num(kappas, nan=1.0)
    error = [np.abs(v.count - v.true_count).mean() for v in (before, after)]
    return {
        "accuracy_drop": float((before.grade == before.true_grade).mean() - (after.grade == after.true_grade).mean()),
        "mae_increase": float(error[1] - error[0]),
        "grade_flips": float((before.grade != after.grade).mean()),
        "qwk_drop": float(kappa[0] - kappa[1]),
    }


def changes_with_intervals(pairs: Sequence[tuple[Graded, Graded]], repeats: int = REPEATS, views: int = 1) -> dict[str, Figure]:
    """The mean of `changes` over pairs of versions, with 95 % intervals; each sample is the same for both versions.

    The arrays hold P photographs `views` times, all in one view and then all in the next; a photograph is drawn with all its
    views.
    """
    rows = np.arange(len(pairs[0][0])).reshape(views, -1)

    def changed(photographs: NDArray[np.int64]) -> dict[str, float]:
        index = rows[:, photographs].ravel()
        return mean([changes(before.take(index), after.take(index)) for before, after in pairs])

    return bootstrap(changed, rows.shape[1], repeats)


def notes(values: Mapping[str, Any]) -> dict[str, str]:
    """Reasons for the figures that are None in a JSON-ready result; the keys are their paths, joined by dots."""
    return {".".join(path): _reason(path) for path in _nulls(values, ())}


def _nulls(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        if item is None:
            yield (*path, str(key))
        yield from _nulls(item, (*path, str(key)))


def _reason(path: Sequence[str]) -> str:
    named = (REASONS[name] for part in reversed(path) for name in REASONS if part.startswith(name))
    return next(named, "it does not exist for these photographs")


def _members(sets: Sequence[Sequence[int]], grades: int) -> NDArray[np.bool_]:
    return np.array([np.isin(np.arange(grades), members) for members in sets])
