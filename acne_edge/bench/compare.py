"""Compares two benchmark reports: medians, the ratio of them with its interval, and whether they can be told apart."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from acne_edge import files
from acne_edge.bench.statistics import MAX_CV, summarize, threads_in_words
from acne_edge.errors import UsageError
from acne_edge.evaluation.bootstrap import LEVEL, REPEATS

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_BYTES = 64_000_000  # of a report
FEW_SAMPLES = 100  # under it, the interval is too narrow: of equal runs of 20, one pair in ten is told apart
TOO_FEW_SAMPLES = 10  # under it, there is none
FASTER, SLOWER, SAME, UNKNOWN = "B is faster", "B is slower", "cannot be told apart", "too few samples to tell"


@dataclass(frozen=True)
class Contender:
    """One contender of a report, with every sample of it."""

    name: str
    milliseconds: Mapping[str, NDArray[np.float64]]  # by stage, in the order in which they were measured

    @property
    def total(self) -> NDArray[np.float64]:
        """Milliseconds from the photograph's bytes to the prediction."""
        return self.milliseconds["total"]


@dataclass(frozen=True)
class Report:
    """A report of `acne-edge bench` or `acne_edge_bench`, as far as comparing needs it."""

    path: str
    image: str  # sha256 of the photograph
    model: str  # name, version and the beginning of the sha256
    machine: str
    contenders: tuple[Contender, ...]


def read(path: Path) -> Report:
    """Read a report. Raises UsageError for a file that is none, or that has no samples."""
    try:
        values = json.loads(files.read(path, MAX_BYTES))
        if values["schema"].split(".")[0] != "1":
            raise UsageError(f"{path}: has schema {values['schema']}, which this version does not know; measure again")
        if "tool" in values and "image" not in values:
            raise UsageError(f"{path}: has schema {values['schema']}, which keeps no samples; measure again")
        model, where = values["model"], values["environment"]
        return Report(
            str(path),
            str(values["image"]["sha256"]),
            f"{model['name']} {model['version']} ({model['sha256'][:8]})",
            f"{where['cpu']}, {where['cores']} cores",
            tuple(_contenders(values)),
        )
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise UsageError(f"{path}: is no JSON report of `acne-edge bench` or `acne_edge_bench`") from error


def _contenders(values: dict[str, Any]) -> Iterable[Contender]:
    """All of a report. The only one of the C++ benchmark gets the name that it has in `acne-edge bench --cpp`."""
    single = {"name": f"C++ library, {threads_in_words(values['environment'].get('threads'))}", **values}
    entries = values.get("contenders", [single])
    if not entries:
        raise ValueError("no contenders")
    for entry in entries:
        stages = {str(stage): np.array(samples, np.float64) for stage, samples in entry["samples_ms"].items()}
        n = len(stages["total"])
        for samples in stages.values():
            if not n or samples.shape != (n,) or not np.isfinite(samples).all() or (samples < 0).any():
                raise ValueError("no series of times")
        if not stages["total"].all():
            raise ValueError("a prediction that took no time")
        yield Contender(str(entry["name"]), stages)


def compare(first: Report, second: Report) -> dict[str, Any]:
    """Compare contenders of the same name, or where no name is in both, the first of each; JSON-ready.

    Raises UsageError for reports of different photographs.
    """
    if first.image != second.image:
        raise UsageError(f"{first.path} and {second.path}: measured on different photographs, so their times cannot be compared")
    pairs = [(a, b) for a in first.contenders for b in second.contenders if a.name == b.name]
    pairs = pairs or [(first.contenders[0], second.contenders[0])]
    return {
        "schema": "1.0",
        "tool": "acne-edge bench --compare",
        "reports": [{"path": r.path, "model": r.model, "machine": r.machine} for r in (first, second)],
        "comparisons": [_comparison(a, b) for a, b in pairs],
        "warnings": [] if first.model == second.model else ["the models differ"],
    }


def _comparison(first: Contender, second: Contender) -> dict[str, Any]:
    common = [stage for stage in first.milliseconds if stage in second.milliseconds]
    stages = {stage: contrast(first.milliseconds[stage], second.milliseconds[stage]) for stage in common}
    low, high = stages["total"]["low"], stages["total"]["high"]
    return {
        "contenders": [first.name, second.name],
        "samples": [len(first.total), len(second.total)],
        "verdict": UNKNOWN if low is None else FASTER if high < 1 else SLOWER if low > 1 else SAME,
        "stages": stages,
        "warnings": [*_warnings("A", first), *_warnings("B", second)],
    }


def _warnings(side: str, contender: Contender) -> Iterable[str]:
    spread, n = summarize(contender.total.tolist())["cv"], len(contender.total)
    if n < FEW_SAMPLES:
        yield f"{side} has {n} samples; under {FEW_SAMPLES}, intervals are too narrow"
    if spread > MAX_CV:
        yield f"{side} varies by {100 * spread:.1f} % (over {100 * MAX_CV:.1f} %): the machine was not quiet"


def contrast(first: NDArray[np.float64], second: NDArray[np.float64]) -> dict[str, Any]:
    """Medians of two series of milliseconds, their ratio, second over first, and its 95 % interval; None for what there is not.

    The interval is a percentile bootstrap of both medians. A time is like the one before it, because machines warm up and are
    disturbed for a while, so blocks of n ** (1/3) neighbours are drawn (Kuensch, Annals of Statistics 17, 1989). It says how far
    these two runs are apart, not how far a machine's other runs would be.
    """
    medians = [float(np.median(series)) for series in (first, second)]
    result: dict[str, Any] = {"median_ms": medians, "ratio": None, "low": None, "high": None}
    if not medians[0]:
        return result  # a stage that was not gone through
    result["ratio"] = medians[1] / medians[0]
    if min(len(first), len(second)) < TOO_FEW_SAMPLES:
        return result
    rng = np.random.default_rng(0)
    below, above = (np.array([np.median(_redrawn(series, rng)) for _ in range(REPEATS)]) for series in (first, second))
    if not below.all():
        return result
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(above / below, [tail, 100 - tail])
    return result | {"low": float(low), "high": float(high)}


def _redrawn(series: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """As many samples, in blocks from anywhere in the series."""
    n = len(series)
    block = math.ceil(n ** (1 / 3))
    starts = rng.integers(0, n - block + 1, math.ceil(n / block))
    drawn: NDArray[np.float64] = series[(starts[:, None] + np.arange(block)).ravel()[:n]]
    return drawn
