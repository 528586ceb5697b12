"""Measures how steady answers are: a labelled set is judged once unchanged and once with each perturbation.

A copy is flagged (`told`) if its result has a quality reason or an abstention, or is a failure. A grade that changes on an
unflagged copy is an error that nobody notices. Several networks may judge, each the photographs that it was not trained on; the
photographs then count as one set, and one that is in several lists is judged once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from acne_edge.evaluation.labels import Label
from acne_edge.evaluation.perturbations import PERTURBATIONS, Perturbation
from acne_edge.evaluation.tables import number
from acne_edge.image import read

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from acne_edge.grader import AcneGrader
    from acne_edge.prediction import Failure, Prediction

UNCHANGED = "nothing"  # the first row's name
SHARES = (
    "changed",
    "untold",
    "warned",
    "accuracy",
    "graded",
    "graded_accuracy",
    "coverage",
)  # in 0..1; the other figures are lesions

LEGEND = """\
count, bias: mean change of the count, without and with its sign, lesions
grades: grades that change, %; unflagged: those that come without a warning, %
false: false warnings, copies flagged though photograph and grade were fine, %
right: grades right, %; off: count off by, lesions; graded: not abstained, %
holds: intervals of graded copies that hold the count, %"""


@dataclass(frozen=True)
class Judged:
    """The results of one row's copies, as arrays over photographs. A failure has the count nan and the grade -1."""

    count: NDArray[np.float64]  # lesions
    grade: NDArray[np.int64]
    told: NDArray[np.bool_]  # a reason of quality, but of the view, an abstention or a failure
    graded: NDArray[np.bool_]  # a result without an abstention
    inside: NDArray[np.bool_]  # the labelled count lies in the interval

    @staticmethod
    def of(results: Sequence[Prediction | Failure], labels: Sequence[Label]) -> Judged:
        """From the results and labels of the same photographs."""
        rows = [
            (r.count, r.grade.index, bool(r.quality.faults or r.abstained), r.abstained is None,
             r.count_interval.low <= label.count <= r.count_interval.high)
            if r.ok
            else (np.nan, -1, True, False, False)
            for r, label in zip(results, labels, strict=True)
        ]  # fmt: skip
        count, grade, told, graded, inside = (np.array(column) for column in zip(*rows, strict=True))
        return Judged(count, grade, told, graded, inside)


def judge(
    sets: Iterable[tuple[AcneGrader, Path, Sequence[Label]]],
    perturbations: Sequence[Perturbation] = PERTURBATIONS,
    progress: Callable[[Iterator[Any], str, int], Iterator[Any]] | None = None,
) -> tuple[list[Label], dict[str, Judged]]:
    """Judge each set's photographs with its grader, unchanged and perturbed; returns their labels, and a `Judged` per row.

    Args:
        sets: grader, folder of the photographs, labels; photographs of an earlier set are skipped.
        perturbations: the rows after the first.
        progress: wraps the photographs, as `console.progress` does.

    Raises ImageError for a photograph that cannot be decoded.
    """
    kept: list[Label] = []
    results: dict[str, list[Prediction | Failure]] = {name: [] for name in (UNCHANGED, *(p.name for p in perturbations))}
    work, seen = [], set()
    for grader, folder, labels in sets:
        for label in labels:
            if label.name not in seen:
                seen.add(label.name)
                work.append((grader, folder, label))
    rows: Iterator[Any] = iter(work)
    for grader, folder, label in progress(rows, "perturbing", len(work)) if progress else rows:
        image = read(folder / label.name)
        kept.append(label)
        copies = (image, *(p.copy(image, label.name) for p in perturbations))
        for name, result in zip(results, grader.predict_many(copies), strict=True):
            results[name].append(result)
    return kept, {name: Judged.of(found, kept) for name, found in results.items()}


def table(labels: Sequence[Label], judged: dict[str, Judged]) -> list[dict[str, Any]]:
    """One row per perturbation: shares in 0..1, counts in lesions, None for a mean over nothing.

    `change`, `bias`: mean |change| and mean change of the count. `changed`: grades that differ from the unperturbed photograph's.
    `untold`: those among them that were not flagged, as a share of all. `warned`: false warnings, flagged copies among those
    whose grade is unchanged and whose photograph was not flagged. `accuracy` and `mae` cover all photographs with a result;
    `graded_accuracy`, `graded_mae` and `coverage` (of the count interval) cover those with a grade, and `coverage_unflagged`
    those that were not flagged.
    """
    truth_grade = np.array([label.grade for label in labels])
    truth_count = np.array([label.count for label in labels], np.float64)
    before = judged[UNCHANGED]
    rows = []
    for name, after in judged.items():
        done = after.grade >= 0
        both = done & (before.grade >= 0)
        changed = (after.grade != before.grade) & (before.grade >= 0)
        calm = both & ~changed & ~before.told
        difference = (after.count - before.count)[both]
        right, error = after.grade == truth_grade, np.abs(after.count - truth_count)
        rows.append(
            {
                "row": name,
                "images": len(labels),
                "change": _mean(np.abs(difference)),
                "bias": _mean(difference),
                "changed": _mean(changed),
                "untold": _mean(changed & ~after.told),
                "warned": _mean(after.told[calm]),
                "accuracy": _mean(right[done]),
                "mae": _mean(error[done]),
                "graded": _mean(after.graded),
                "graded_accuracy": _mean(right[after.graded]),
                "graded_mae": _mean(error[after.graded]),
                "coverage": _mean(after.inside[after.graded]),
                "coverage_unflagged": _mean(after.inside[~after.told]),
            }
        )
    return rows


def lines(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The rows of `table` as a table of text, shares in percent, and what its columns mean."""
    yield f"{'':<17}  count   bias  grades unflagged false right   off graded holds"
    for r in rows:
        share = {name: number(None if r[name] is None else 100 * r[name], 1) for name in SHARES}
        yield (
            f"{r['row']:<17} {number(r['change']):>6} {number(r['bias']):>6} {share['changed']:>7} {share['untold']:>9}"
            f" {share['warned']:>5} {share['accuracy']:>5} {number(r['mae'], 1):>5} {share['graded']:>6} {share['coverage']:>5}"
        )
    yield LEGEND


def _mean(values: NDArray[Any]) -> float | None:
    return float(values.mean()) if len(values) else None
