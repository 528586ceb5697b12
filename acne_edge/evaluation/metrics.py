"""Figures of merit for grades and counts, in the form of the acne-grading literature. All pure functions of arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def confusion_matrix(truth: ArrayLike, predicted: ArrayLike, grades: int) -> NDArray[np.int64]:
    """[grades, grades] counts; row = true grade, column = predicted grade."""
    matrix = np.zeros((grades, grades), np.int64)
    np.add.at(matrix, (np.asarray(truth), np.asarray(predicted)), 1)
    return matrix


def quadratic_kappa(matrix: NDArray[np.int64]) -> float:
    """Quadratic weighted kappa (Cohen 1968) of a confusion matrix; nan when one grade is all there is."""
    n = len(matrix)
    weight = (np.arange(n)[:, None] - np.arange(n)) ** 2
    expected = np.outer(matrix.sum(1), matrix.sum(0)) / max(matrix.sum(), 1)
    disagreement = float((weight * expected).sum())
    return 1 - float((weight * matrix).sum()) / disagreement if disagreement else float("nan")


def grade_metrics(truth: ArrayLike, predicted: ArrayLike, grades: int) -> dict[str, Any]:
    """Accuracy, balanced accuracy, QWK and, for each grade, precision, sensitivity (SE), specificity (SP), Youden index (YI).

    A ratio without cases is nan. `average` is the mean over the grades that have cases.
    """
    matrix = confusion_matrix(truth, predicted, grades)
    total, hit = matrix.sum(), matrix.diagonal()
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = hit / matrix.sum(0)
        sensitivity = hit / matrix.sum(1)
        specificity = (total - matrix.sum(0) - matrix.sum(1) + hit) / (total - matrix.sum(1))
    per_grade = {"precision": precision, "SE": sensitivity, "SP": specificity, "YI": sensitivity + specificity - 1}
    return {
        "n": int(total),
        "accuracy": float(hit.sum() / total) if total else float("nan"),
        "balanced_accuracy": _mean(sensitivity),
        "qwk": quadratic_kappa(matrix),
        "per_grade": {name: [float(v) for v in values] for name, values in per_grade.items()},
        "average": {name: _mean(values) for name, values in per_grade.items()},
        "confusion": matrix.tolist(),
    }


def count_metrics(truth: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """Mean absolute error, root mean squared error (which this literature prints as "MSE") and bias, in lesions."""
    error = np.asarray(predicted, np.float64) - np.asarray(truth, np.float64)
    return {"mae": float(np.abs(error).mean()), "rmse": float(np.sqrt((error**2).mean())), "bias": float(error.mean())}


def expected_calibration_error(truth: ArrayLike, probs: NDArray[np.floating], bins: int = 10) -> float:
    """ECE of the top grade over equally filled bins of confidence (Guo et al. 2017, eq. 3; Nixon et al. 2019)."""
    confidence, right = probs.max(1), probs.argmax(1) == np.asarray(truth)
    order = np.argsort(confidence, kind="stable")
    gaps = [abs(right[part].mean() - confidence[part].mean()) * len(part) for part in np.array_split(order, bins) if len(part)]
    return float(sum(gaps) / len(order))


def ece_if_calibrated(probs: NDArray[np.floating], bins: int = 10, repeats: int = 500, seed: int = 0) -> float:
    """The ECE to expect of as many images if the probabilities [N, G] were right: what chance alone puts into the bins.

    It is the mean over grades drawn from `probs` (consistency resampling: Bröcker and Smith 2007). An ECE means something by
    how far it is above this.
    """
    rng, confidence = np.random.default_rng(seed), np.sort(probs.max(1))
    parts = np.array_split(np.arange(len(confidence)), bins)
    right = rng.random((repeats, len(confidence))) < confidence
    gaps = [np.abs((right[:, part] - confidence[part]).sum(1)) for part in parts]
    return float(np.mean(sum(gaps)) / len(confidence))


def _mean(values: NDArray[np.floating]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def bootstrap(
    figures: Callable[[NDArray[np.int64]], Mapping[str, float]], n: int, repeats: int = 1000, level: float = 0.95, seed: int = 0
) -> dict[str, dict[str, float]]:
    """Percentile bootstrap (Efron 1979) over `n` images: {name: {value, low, high}} of what `figures(indices)` returns.

    A figure that is nan in a resample (a grade without images) is left out of that figure's percentiles.
    """
    rng = np.random.default_rng(seed)
    values = figures(np.arange(n))
    draws = [figures(rng.integers(0, n, n)) for _ in range(repeats)]
    tail = 50 * (1 - level)
    result = {}
    for name, value in values.items():
        drawn = np.array([d[name] for d in draws])
        drawn = drawn[~np.isnan(drawn)]
        low, high = np.percentile(drawn, [tail, 100 - tail]) if len(drawn) else (np.nan, np.nan)
        result[name] = {"value": float(value), "low": float(low), "high": float(high)}
    return result


def changes_line(changes: Mapping[str, Mapping[str, float]]) -> str:
    """Differences as `bootstrap` gives them, on one line."""
    return "  ".join(f"{name} {v['value']:+.4f} [{v['low']:+.4f}, {v['high']:+.4f}]" for name, v in changes.items())


def risk_coverage(right: ArrayLike, confidence: ArrayLike) -> dict[str, Any]:
    """Error among the most confident images, from all of them down (El-Yaniv and Wiener, JMLR 2010), and the area under it.

    Returns `coverage` and `risk`, rising in coverage, and `aurc`.
    """
    order = np.argsort(-np.asarray(confidence, np.float64), kind="stable")
    wrong = 1.0 - np.asarray(right, np.float64)[order]
    seen = np.arange(1, len(order) + 1)
    risk = wrong.cumsum() / seen
    return {"coverage": (seen / len(order)).tolist(), "risk": risk.tolist(), "aurc": float(risk.mean())}
