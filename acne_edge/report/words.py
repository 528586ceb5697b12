"""Figures and grades in words, for templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from acne_edge.catalogue import Catalogue
from acne_edge.grading import UNFAMILIAR, SeverityScale
from acne_edge.prediction import Prediction

MINUS = "\N{MINUS SIGN}"


def number(value: float | None, digits: int = 2, percent: bool = False) -> str:
    """A figure, or a dash for one that does not exist; no minus before a nought."""
    if value is None or value != value:
        return "\N{EN DASH}"
    text = f"{value * (100 if percent else 1):.{digits}f}"
    return text.lstrip("-") if not text.strip("-0.") else text.replace("-", MINUS)


def figure(value: Mapping[str, float | None], digits: int = 2, percent: bool = False) -> tuple[str, str]:
    """A figure and its interval: `82.4` and `[80.1, 84.5]`, the second empty where there is none."""
    middle, low, high = (number(value[key], digits, percent) for key in ("value", "low", "high"))
    return middle, "" if value["low"] is None else f"[{low}, {high}]"


def band(scale: SeverityScale, grade: int) -> str:
    """The counts of a grade: 6 to 20 as `6-20` with a dash, `51+`."""
    low = scale.lower[grade]
    return f"{low}\N{EN DASH}{scale.lower[grade + 1] - 1}" if grade + 1 < len(scale.lower) else f"{low}+"


def faults(prediction: Prediction) -> tuple[str, ...]:
    """Codes of what is wrong with the photograph itself; the catalogue has words and advice for each."""
    return tuple(code for code in prediction.warnings if code == UNFAMILIAR or code in prediction.quality.reasons)


def grade(words: Catalogue, prediction: Prediction, labels: Sequence[str]) -> str:
    """The grade as `grading.describe` puts it, in the language of the catalogue."""
    if prediction.abstained:
        return words("grade.no_grade")
    if prediction.count < 0.5:
        return words("grade.none_counted")
    low, high = (words.word("grade", labels[end(prediction.grade_set)]) for end in (min, max))
    return low if low == high else words("grade.range", low=low, high=high)
