"""Versions of a network, or networks by different settings, beside each other on the same photographs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acne_edge.errors import UsageError
from acne_edge.evaluation.metrics import bootstrap, changes_line
from acne_edge.grading import HAYASHI
from acne_edge.training.studies.crossval import Outcome, cell, figures
from acne_edge.training.uncertainty import LEVEL, LabelledOutputs, OutOfFold, cross_fits

DIVISIONS = 5  # into the parts that constants are fitted on and judge: each moves some photographs over a threshold


def cross_fitted_outcomes(judged: LabelledOutputs, fitted_on: LabelledOutputs) -> list[Outcome]:
    """What devices would make of the outputs `judged`, in each of `DIVISIONS` ways to divide the photographs.

    Calibration, decoding and uncertainty are those of a shipped file: fitted on other photographs of `fitted_on`, which holds the
    same ones in the same order.
    """
    return [_cross_fitted_outcome(judged, fitted_on, seed) for seed in range(DIVISIONS)]


def _cross_fitted_outcome(judged: LabelledOutputs, fitted_on: LabelledOutputs, seed: int) -> Outcome:
    fitted = list(cross_fits(fitted_on, LEVEL, seed))
    order = np.concatenate([test for test, _ in fitted])
    results = [result for test, constants in fitted for result in constants.interpret(judged.take(test))]
    return Outcome.of(judged.take(order), results, np.zeros(len(order), np.int64)).take(np.argsort(order))


def compare(versions: Mapping[str, Sequence[Outcome]], repeats: int = 1000) -> dict[str, Any]:
    """Figures of the `cross_fitted_outcomes` of each version, and what all but the first change against that.

    Means over the divisions, with 95 % bootstrap intervals over photographs, which are the same in all versions.
    """
    first, *others = versions
    n = len(versions[first][0].grade)

    def figures_of(name: str) -> Callable[[NDArray[np.int64]], dict[str, float]]:
        return lambda index: _mean([figures(o.take(index)) for o in versions[name]])

    def changes_of(name: str) -> Callable[[NDArray[np.int64]], dict[str, float]]:
        pairs = list(zip(versions[first], versions[name], strict=True))
        return lambda index: _mean([changes(before.take(index), after.take(index)) for before, after in pairs])

    return {
        "divisions": DIVISIONS,
        "figures": {name: bootstrap(figures_of(name), n, repeats) for name in versions},
        "changes": {name: bootstrap(changes_of(name), n, repeats) for name in others},
    }


def _mean(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([f[key] for f in found])) for key in found[0]}


def compare_files(files: Sequence[Path], repeats: int = 1000) -> dict[str, Any]:
    """`compare` the networks whose out-of-fold predictions the `files` hold, on the photographs that stand in all of them.

    The constants of each are fitted on other photographs of its own file, whether the others have these or not. Raises UsageError
    if a file cannot be read, is given twice, or no photograph stands in all.
    """
    if len(set(files)) < len(files):
        raise UsageError(f"{max(files, key=files.count)}: given twice; nothing to compare it with")
    predicted = {str(path): OutOfFold.load(path) for path in files}
    shared = set.intersection(*(set(p.names) for p in predicted.values()))
    if not shared:
        raise UsageError(f"{' and '.join(predicted)}: no photograph stands in all of them")
    versions = {}
    for name, p in predicted.items():
        where = np.array([p.names.index(photograph) for photograph in sorted(shared)])
        versions[name] = [o.take(where) for o in cross_fitted_outcomes(p.data, p.data)]
    return {"images": len(shared), **compare(versions, repeats)}


def changes(before: Outcome, after: Outcome) -> dict[str, float]:
    """What another version of a network changes for the worse, by the names of the INT8 gate's budget."""
    return {
        "accuracy_drop": float((before.combined == before.grade).mean() - (after.combined == after.grade).mean()),
        "mae_increase": float(np.abs(after.lesions - after.count).mean() - np.abs(before.lesions - before.count).mean()),
        "grade_flips": float((before.combined != after.combined).mean()),
    }


def markdown(results: Mapping[str, Any]) -> str:
    """The figures as a Markdown table, and a line of changes for each version but the first."""
    shown = {
        "accuracy": "accuracy_combined", "balanced": "balanced_accuracy", "QWK": "qwk", "MAE": "mae", "RMSE": "rmse",
        "interval coverage": "interval_coverage", "ECE": "ece",
    }  # fmt: skip
    lines = [f"| | {' | '.join(shown)} | recall by grade |", "|---" * (len(shown) + 2) + "|"]
    for name, found in results["figures"].items():
        recalls = " ".join(f"{found[f'recall_{g}']['value']:.2f}" for g in range(len(HAYASHI.labels)))
        lines.append(f"| {name} | {' | '.join(cell(key, found[key]) for key in shown.values())} | {recalls} |")
    lines.append("")
    for name, found in results["changes"].items():
        lines.append(f"* {name}: {changes_line(found)}")
    return "\n".join(lines)
