"""Tells, week by week, whether newer photographs still look like those that a model's constants were fitted on.

Every look compares each measure's distribution with the reference by the test of Kolmogorov and Smirnov. A look takes its own
photographs and, if they are fewer than `WINDOW`, the latest before them. Its tests share a chance of `LEVEL` / `LOOKS` to find
something where nothing is (Bonferroni, who asks for no independence of tests). So twelve looks together have one of at most
`LEVEL`, as long as photographs are independent of each other. Needs scipy.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from acne_edge.errors import MissingExtraError, UsageError
from acne_edge.prediction import UNCOUNTED
from acne_edge.records import chain
from acne_edge.reference import COUNT, Reference, measures
from acne_edge.saved import Row, read_rows, saved_file

LEVEL = 0.05  # chance of a false alarm
LOOKS = 12  # that share it
WINDOW = 50  # photographs of a look, where there are as many
LEAST = 20  # fewer tell nothing
SCHEMA = "1.0"

STEADY, PICTURES, COUNTS, FEW = "no drift", "other pictures", "other counts", "too few photographs"  # verdicts
WEEK, FILE = "week", "file"


class Result(NamedTuple):
    """What is compared of one photograph."""

    file: str  # with the results
    at: datetime | None  # when it was predicted, if that is known
    measures: dict[str, float]  # empty for a failure
    model: tuple[str, str] | None  # name and version
    folder: str = ""  # of the photograph


@dataclass(frozen=True)
class Shift:
    """One measure in one look."""

    measure: str
    photographs: int  # that have it
    median: float
    reference_median: float
    distance: float  # largest difference of the two distribution functions, 0..1
    p: float  # chance of such a distance, or a larger one, in this measure of this look alone
    drifted: bool


@dataclass(frozen=True)
class Look:
    """One week, file or part of the results."""

    name: str
    new: int  # its own photographs
    photographs: int  # those compared
    failed: int  # its own photographs without a prediction
    shifts: tuple[Shift, ...]

    @property
    def drifted(self) -> tuple[str, ...]:
        """The measures whose distribution has changed."""
        return tuple(shift.measure for shift in self.shifts if shift.drifted)

    @property
    def verdict(self) -> str:
        """One of `STEADY`, `PICTURES`, `COUNTS` and `FEW`."""
        if not self.shifts:
            return FEW
        return PICTURES if set(self.drifted) - {COUNT} else COUNTS if self.drifted else STEADY


@dataclass(frozen=True)
class Drift:
    """Looks against a reference."""

    looks: tuple[Look, ...]
    reference: Reference

    @property
    def verdict(self) -> str:
        """The most serious verdict of any look."""
        verdicts = {look.verdict for look in self.looks}
        return next(verdict for verdict in (PICTURES, COUNTS, STEADY, FEW) if verdict in verdicts)

    @property
    def alarm(self) -> bool:
        """Whether anything has drifted."""
        return self.verdict in (PICTURES, COUNTS)

    @property
    def advice(self) -> str:
        """Whether intervals can still be trusted, and what to do."""
        return {
            STEADY: "intervals can be trusted as far as this shows",
            PICTURES: "intervals may no longer hold: count 30 of the new photographs, measure them (evaluate), then adapt",
            COUNTS: "the pictures are as they were, the counts are not: other people, or lesions that vanish; "
            "intervals hold on average for people as in the reference only, so count some photographs and measure them",
            FEW: f"nothing can be told from fewer than {LEAST} photographs",
        }[self.verdict]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "schema": SCHEMA,
            "verdict": self.verdict,
            "intervals": self.advice,
            "looks": [
                {
                    "name": look.name,
                    "new": look.new,
                    "photographs": look.photographs,
                    "failed": look.failed,
                    "verdict": look.verdict,
                    "drifted": list(look.drifted),
                    "measures": {
                        s.measure: {
                            "photographs": s.photographs,
                            "median": s.median,
                            "reference_median": s.reference_median,
                            "distance": round(s.distance, 4),
                            "p": float(f"{s.p:.3g}"),
                            "drifted": s.drifted,
                        }
                        for s in look.shifts
                    },
                }
                for look in self.looks
            ],
            "rule": {"false_alarms": LEVEL, "looks": LOOKS, "photographs": WINDOW},
            "reference": {"photographs": self.reference.photographs, "fitted_on": self.reference.fitted_on},
        }


def read_results(where: str | Path) -> list[Result]:
    """The results in a record, in a file that `predict` saved, or in the folder of a `--save`.

    Of a photograph that a record has several times, the first result counts. Raises UsageError for anything else.
    """
    path = saved_file(where)
    if path is None:
        raise UsageError(f"{where}: expected a record or results (.jsonl, .json), or the folder of a predict --save")
    try:
        if _is_record(path):
            return _of_record(path)
        return [_result(str(where), row) for row in read_rows(path)]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{where}: has a result of another form than this version writes ({error})") from error


def _is_record(path: Path) -> bool:
    with chain.opened(path) as stream:
        first = stream.readline(chain.MAX_LINE)
    try:
        return bool(json.loads(first).get("format") == chain.FORMAT)
    except (ValueError, AttributeError):
        return False


def _of_record(path: Path) -> list[Result]:
    seen: dict[str, Result] = {}
    for line in chain.photographs_and_counts(path):
        if isinstance(line, chain.Photograph):
            found = _result(str(path), line.result, datetime.fromisoformat(line.at.replace("Z", "+00:00")))
            seen.setdefault(line.sha256 or str(line.n), found)
    return list(seen.values())


def _result(file: str, row: Row, at: datetime | None = None) -> Result:
    folder = os.path.dirname(str(row["path"] or "").replace("\\", "/"))
    if "error" in row:
        return Result(file, at, {}, None, folder)
    counted = row["abstained"] not in UNCOUNTED
    found = measures(row["quality"], float(row["count"]) if counted else None, row.get("unfamiliarity"))
    return Result(file, at, found, (row["model"]["name"], row["model"]["version"]), folder)


def reference_of(results: Sequence[Result], fitted_on: str) -> Reference:
    """A reference of one's own: earlier results. Raises UsageError for fewer than `LEAST` photographs."""
    found = [result.measures for result in results if result.measures]
    if len(found) < LEAST:
        raise UsageError(f"{fitted_on}: {len(found)} photographs are too few for a reference; at least {LEAST} are needed")
    return Reference.of(found, f"{len(found)} photographs of {fitted_on}")


def check_model(results: Sequence[Result], model: tuple[str, str]) -> None:
    """Raises UsageError if a result is another model's, by name and version: counts of two models do not compare."""
    other = next((result for result in results if result.model not in (None, model)), None)
    if other is not None and other.model is not None:
        raise UsageError(f"{other.file}: made by {' '.join(other.model)}, but the reference is of {' '.join(model)}")


def compare(results: Sequence[Result], reference: Reference, by: str | int | None = None, one_a_folder: bool = False) -> Drift:
    """Compare looks at results with the reference.

    Args:
        results: in the order in which the photographs came.
        reference: what they should look like.
        by: a look is a `week` (of the ISO calendar, UTC), a `file`, or that many photographs. None: a week if all results say
            when they were made, else a file.
        one_a_folder: of each look, compare the first photograph of each folder alone, because the others show the same person.

    Raises UsageError for a week without times, MissingExtraError without scipy.
    """
    dated = all(result.at is not None for result in results)
    by = (WEEK if dated else FILE) if by is None else by
    if by == WEEK and not dated:
        raise UsageError("only records say when a photograph was predicted; for other results, use --by file or a number")
    if dated:
        results = sorted(results, key=lambda result: result.at.timestamp() if result.at else 0.0)
    groups: dict[str, list[int]] = {}
    kept: list[Result] = []
    shown: set[tuple[str, str]] = set()
    for number, result in enumerate(results):
        name = _name(result, number, by)
        if one_a_folder and result.measures:
            if (name, result.folder) in shown:
                continue
            shown.add((name, result.folder))
        groups.setdefault(name, []).append(len(kept))
        kept.append(result)
    results = kept
    return Drift(tuple(_look(name, numbers, results, reference) for name, numbers in groups.items()), reference)


def _name(result: Result, number: int, by: str | int) -> str:
    if isinstance(by, int):
        return f"{number // by * by + 1}-{(number // by + 1) * by}"
    if by == WEEK and result.at is not None:
        year, week, _ = result.at.isocalendar()
        return f"{year}-W{week:02d}"
    return result.file


def _look(name: str, own: Sequence[int], results: Sequence[Result], reference: Reference) -> Look:
    new = [results[number].measures for number in own if results[number].measures]
    before = [result.measures for result in results[: own[0]] if result.measures]
    missing = WINDOW - len(new)
    seen = before[-missing:] + new if missing > 0 else new
    shifts = () if len(seen) < LEAST else _shifts(seen, reference)
    return Look(name, len(new), len(seen), len(own) - len(new), shifts)


def _shifts(seen: Sequence[dict[str, float]], reference: Reference) -> tuple[Shift, ...]:
    try:
        from scipy.stats import ks_2samp
    except ImportError as error:
        raise MissingExtraError("scipy", "drift", "acne-edge drift") from error
    import numpy as np

    shared = LEVEL / LOOKS / len(reference.values)
    found = []
    for name, known in reference.values.items():
        values = [row[name] for row in seen if name in row]
        if len(values) < LEAST:
            continue
        test = ks_2samp(values, known, method="asymp")
        p, distance = float(test.pvalue), float(test.statistic)
        found.append(Shift(name, len(values), float(np.median(values)), float(np.median(known)), distance, p, p < shared))
    return tuple(found)
