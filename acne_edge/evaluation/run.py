"""A model measured on labelled photographs, through the whole path that a device runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from acne_edge.errors import UsageError
from acne_edge.evaluation import metrics
from acne_edge.evaluation.labels import read_labels
from acne_edge.grader import AcneGrader


def evaluate_list(grader: AcneGrader, images: Path, labels: Path) -> dict[str, Any]:
    """Predict every photograph that the list file names and compare. Images that fail are counted under `failed`.

    Returns grade and count metrics, the share of true counts inside the interval and of true grades inside the grade set,
    their mean sizes, the expected calibration error of the grade, and what chance alone would make of it.
    Raises UsageError if no image can be used.
    """
    rows = read_labels(labels)
    top = len(grader.scale.labels) - 1
    if any(label.grade > top for label in rows):
        raise UsageError(f"{labels}: a grade is over {top}, the highest of the scale {grader.scale.name}")
    results = list(grader.predict_many(images / label.name for label in rows))
    done = [(row, r) for row, r in zip(rows, results, strict=True) if r.ok]
    if not done:
        raise UsageError(f"{images}: none of the {len(rows)} listed images can be used; the first: {results[0].error}")  # type: ignore[union-attr]
    grades, counts = [label.grade for label, _ in done], [label.count for label, _ in done]
    predictions: list[Any] = [r for _, r in done]
    intervals, probs = [p.count_interval for p in predictions], np.array([p.grade_probs for p in predictions])
    return {
        "model": vars(grader.model),
        "images": len(done),
        "failed": len(rows) - len(done),
        "grade": metrics.grade_metrics(grades, [p.grade.index for p in predictions], top + 1),
        "count": metrics.count_metrics(counts, [p.count for p in predictions]),
        "interval": {
            "coverage": _mean(i.low <= c <= i.high for i, c in zip(intervals, counts, strict=True)),
            "width": _mean(i.high - i.low for i in intervals),
        },
        "grade_set": {
            "coverage": _mean(g in p.grade_set for p, g in zip(predictions, grades, strict=True)),
            "size": _mean(len(p.grade_set) for p in predictions),
        },
        "ece": metrics.expected_calibration_error(grades, probs),
        "ece_if_calibrated": metrics.ece_if_calibrated(probs),
    }


def _mean(values: Any) -> float:
    items = [float(v) for v in values]
    return sum(items) / len(items)
