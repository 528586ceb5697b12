"""Figures of merit for grades and counts, as the acne-grading literature defines them. All are pure functions of arrays.

A figure that does not exist for the given photographs (the sensitivity of a grade that none of them has) is nan here, so that
arrays of figures stay numeric. It is null in every JSON (`tables.to_json`), and `outcome.REASONS` says why.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def confusion_matrix(truth: ArrayLike, predicted: ArrayLike, grades: int) -> NDArray[np.int64]:
    """Numbers of photographs [grades, grades]; row = true grade, column = predicted grade."""
    matrix = np.zeros((grades, grades), np.int64)
    np.add.at(matrix, (np.asarray(truth), np.asarray(predicted)), 1)
    return matrix


def quadratic_kappa(matrix: NDArray[np.int64]) -> float:
    """Quadratic weighted kappa (Cohen 1968) of a confusion matrix; nan if truth and prediction have one and the same grade."""
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
    """Mean absolute error, root mean squared error (which this literature prints as "MSE") and bias, in lesions.

    All are nan without photographs.
    """
    error = np.asarray(predicted, np.float64) - np.asarray(truth, np.float64)
    if not len(error):
        return dict.fromkeys(("mae", "rmse", "bias"), float("nan"))
    return {"mae": float(np.abs(error).mean()), "rmse": float(np.sqrt((error**2).mean())), "bias": float(error.mean())}


def agreement(ratings: ArrayLike) -> float:
    """ICC(2,1), the agreement of single raters drawn at random, of `ratings` [n photographs, k raters] (Shrout and Fleiss 1979).

    A two-way analysis of variance gives the mean squares BMS between photographs, JMS between raters and EMS of the residual:

        ICC(2,1) = (BMS - EMS) / (BMS + (k - 1) EMS + k (JMS - EMS) / n)

    (Psychological Bulletin 86, 420-428, case 2). Unlike a correlation, it is lower if one rater always counts more. It is nan
    for fewer than two photographs or raters, and if all ratings are equal.
    """
    x = np.asarray(ratings, np.float64)
    n, k = x.shape
    if n < 2 or k < 2:
        return float("nan")
    centre, rows, columns = x.mean(), x.mean(1), x.mean(0)
    bms = k * ((rows - centre) ** 2).sum() / (n - 1)
    jms = n * ((columns - centre) ** 2).sum() / (k - 1)
    ems = ((x - rows[:, None] - columns + centre) ** 2).sum() / ((n - 1) * (k - 1))
    whole = bms + (k - 1) * ems + k * (jms - ems) / n
    return float((bms - ems) / whole) if whole else float("nan")


def limits_of_agreement(truth: ArrayLike, predicted: ArrayLike) -> tuple[float, float]:
    """The 95 % limits of agreement, in lesions (Bland and Altman, Lancet 1986): mean difference -+ 1.96 standard deviations.

    95 % of normally distributed differences lie between them. Both are nan for fewer than two photographs.
    """
    error = np.asarray(predicted, np.float64) - np.asarray(truth, np.float64)
    if len(error) < 2:
        return float("nan"), float("nan")
    reach = 1.96 * error.std(ddof=1)
    return float(error.mean() - reach), float(error.mean() + reach)


def expected_calibration_error(truth: ArrayLike, probs: NDArray[np.floating], bins: int = 10) -> float:
    """ECE of the top grade over equally filled bins of confidence (Guo et al. 2017, eq. 3; Nixon et al. 2019)."""
    confidence, right = probs.max(1), probs.argmax(1) == np.asarray(truth)
    order = np.argsort(confidence, kind="stable")
    gaps = [abs(right[part].mean() - confidence[part].mean()) * len(part) for part in np.array_split(order, bins) if len(part)]
    return float(sum(gaps) / len(order))


def ece_if_calibrated(probs: NDArray[np.floating], bins: int = 10, repeats: int = 500, seed: int = 0) -> float:
    """The ECE that chance alone would give as many images if the probabilities [N, G] were exactly right.

    It is the mean over grades drawn from `probs` (consistency resampling: Bröcker and Smith 2007). Only the part of an ECE above
    this is miscalibration.
    """
    rng, confidence = np.random.default_rng(seed), np.sort(probs.max(1))
    parts = np.array_split(np.arange(len(confidence)), bins)
    right = rng.random((repeats, len(confidence))) < confidence
    gaps = [np.abs((right[:, part] - confidence[part]).sum(1)) for part in parts]
    return float(np.mean(sum(gaps)) / len(confidence))


def risk_coverage(right: ArrayLike, confidence: ArrayLike) -> dict[str, Any]:
    """Error among the most confident images, for every share of them (El-Yaniv and Wiener, JMLR 2010), and the area under it.

    Returns `coverage` and `risk`, both in order of rising coverage, and `aurc`.
    """
    order = np.argsort(-np.asarray(confidence, np.float64), kind="stable")
    wrong = 1.0 - np.asarray(right, np.float64)[order]
    seen = np.arange(1, len(order) + 1)
    risk = wrong.cumsum() / seen
    return {"coverage": (seen / len(order)).tolist(), "risk": risk.tolist(), "aurc": float(risk.mean())}


def _mean(values: NDArray[np.floating]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
