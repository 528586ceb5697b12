"""Summarises a list of milliseconds, and says whether it is steady enough to quote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

MIN_SAMPLES_P99 = 100
MAX_CV = 0.025  # above it, single figures are too unsteady to quote


def summarize(samples: Sequence[float]) -> dict[str, float]:
    """min, mean, p50, p90, p99 and coefficient of variation (standard deviation over mean) of a list of milliseconds.

    p99 needs 100 samples or more; with fewer it would just be the maximum.
    """
    values = np.asarray(samples, np.float64)
    summary = {
        "min": float(values.min()),
        "mean": float(values.mean()),
        "p50": float(np.percentile(values, 50)),
        "p90": float(np.percentile(values, 90)),
    }
    if len(values) >= MIN_SAMPLES_P99:
        summary["p99"] = float(np.percentile(values, 99))
    return {**summary, "cv": float(values.std() / values.mean()) if values.mean() else 0.0}


def stage_report(name: str, rows: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """A contender's milliseconds by stage, every sample to the microsecond, and a warning if the machine was not quiet."""
    stages = {stage: summarize([row[stage] for row in rows]) for stage in rows[0]}
    warnings = []
    if stages["total"]["cv"] > MAX_CV:
        warnings.append(
            f"total varies by {100 * stages['total']['cv']:.1f} % (over {100 * MAX_CV:.1f} %): the machine was not quiet"
        )
    samples = {stage: [round(row[stage], 3) for row in rows] for stage in rows[0]}
    return {"name": name, "stages": stages, "samples_ms": samples, "warnings": warnings}


def threads_in_words(number: int | None) -> str:
    """Of a contender's name: `1 thread`, `2 threads`; none are `automatic threads`."""
    return "1 thread" if number == 1 else f"{number or 'automatic'} threads"
