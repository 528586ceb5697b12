"""Compares versions of a network, or networks with different settings, on the same photographs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from acne_edge.errors import UsageError
from acne_edge.evaluation.bootstrap import REPEATS
from acne_edge.evaluation.outcome import Outcome, changes_with_intervals, with_intervals
from acne_edge.evaluation.tables import cell, changes_line, number
from acne_edge.fit.outputs import LabelledOutputs, OutOfFold
from acne_edge.grading import HAYASHI
from acne_edge.training.calibrate import cross_fitted

DIVISIONS = 5  # random divisions into folds for fitting constants; results are means, because a division moves some grades


def cross_fitted_outcomes(judged: LabelledOutputs, fitted_on: LabelledOutputs) -> list[Outcome]:
    """Results as on a device for the outputs `judged`, for each of `DIVISIONS` divisions of the photographs.

    Calibration, decoding and uncertainty are fitted as for a shipped file, on other photographs of `fitted_on`, which must hold
    the same photographs in the same order.
    """
    return [cross_fitted(fitted_on, seed=seed, judged=judged) for seed in range(DIVISIONS)]


def compare(versions: Mapping[str, Sequence[Outcome]], repeats: int = REPEATS) -> dict[str, Any]:
    """Figures of each version's `cross_fitted_outcomes`, and the changes of each later version against the first.

    They are means over the divisions, with 95 % bootstrap intervals; each sample of photographs is the same for all versions.
    """
    first, *others = versions
    pairs = {name: list(zip(versions[first], versions[name], strict=True)) for name in others}
    return {
        "divisions": DIVISIONS,
        "figures": {name: with_intervals(outcomes, repeats) for name, outcomes in versions.items()},
        "changes": {name: changes_with_intervals(paired, repeats) for name, paired in pairs.items()},
    }


def compare_files(files: Sequence[Path], repeats: int = REPEATS) -> dict[str, Any]:
    """`compare` the networks whose out-of-fold predictions are in `files`, on the photographs that all files have.

    Each network's constants are fitted on other photographs of its own file, including those that other files lack. Raises
    UsageError if a file cannot be read, is given twice, or no photograph is in all of them.
    """
    if len(set(files)) < len(files):
        raise UsageError(f"{max(files, key=files.count)}: given twice; nothing to compare it with")
    predicted = {str(path): OutOfFold.load(path) for path in files}
    shared = set.intersection(*(set(p.names) for p in predicted.values()))
    if not shared:
        raise UsageError(f"{' and '.join(predicted)}: no photograph is in all of them")
    versions = {}
    for name, p in predicted.items():
        where = np.array([p.names.index(photograph) for photograph in sorted(shared)])
        versions[name] = [o.take(where) for o in cross_fitted_outcomes(p.data, p.data)]
    return {"images": len(shared), **compare(versions, repeats)}


def markdown(results: Mapping[str, Any]) -> str:
    """The figures as a Markdown table, and a line of changes for each version after the first."""
    shown = {
        "accuracy": "accuracy", "balanced": "balanced_accuracy", "QWK": "qwk", "MAE": "mae", "RMSE": "rmse",
        "interval coverage": "interval_coverage", "ECE": "ece",
    }  # fmt: skip
    lines = [f"| | {' | '.join(shown)} | recall by grade |", "|---" * (len(shown) + 2) + "|"]
    for name, found in results["figures"].items():
        recalls = " ".join(number(found[f"recall_{g}"]["value"]) for g in range(len(HAYASHI.labels)))
        lines.append(f"| {name} | {' | '.join(cell(key, found[key]) for key in shown.values())} | {recalls} |")
    lines.append("")
    for name, found in results["changes"].items():
        lines.append(f"* {name}: {changes_line(found)}")
    return "\n".join(lines)
