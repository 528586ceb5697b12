"""Versions of a network, or networks by different settings, beside each other on the same photographs."""

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

DIVISIONS = 5  # into the parts that constants are fitted on and judge: each moves some photographs over a threshold


def cross_fitted_outcomes(judged: LabelledOutputs, fitted_on: LabelledOutputs) -> list[Outcome]:
    """What devices would make of the outputs `judged`, in each of `DIVISIONS` ways to divide the photographs.

    Calibration, decoding and uncertainty are those of a shipped file: fitted on other photographs of `fitted_on`, which holds the
    same ones in the same order.
    """
    return [cross_fitted(fitted_on, seed=seed, judged=judged) for seed in range(DIVISIONS)]


def compare(versions: Mapping[str, Sequence[Outcome]], repeats: int = REPEATS) -> dict[str, Any]:
    """Figures of the `cross_fitted_outcomes` of each version, and what all but the first change against that.

    Means over the divisions, with 95 % bootstrap intervals over photographs, which are the same in all versions.
    """
    first, *others = versions
    pairs = {name: list(zip(versions[first], versions[name], strict=True)) for name in others}
    return {
        "divisions": DIVISIONS,
        "figures": {name: with_intervals(outcomes, repeats) for name, outcomes in versions.items()},
        "changes": {name: changes_with_intervals(paired, repeats) for name, paired in pairs.items()},
    }


def compare_files(files: Sequence[Path], repeats: int = REPEATS) -> dict[str, Any]:
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


def markdown(results: Mapping[str, Any]) -> str:
    """The figures as a Markdown table, and a line of changes for each version but the first."""
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
