"""Photographs of a record predicted once more: does the same file still give the same answer?

Another processor, or another version of the runtime, rounds otherwise; a result within the tolerance is the same one.
`cpp_bench/README.md` says where it comes from: it is the one by which the C library is compared across processors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from acne_edge import files, models
from acne_edge.errors import UsageError
from acne_edge.grader import AcneGrader
from acne_edge.image import MAX_BYTES
from acne_edge.records import chain
from acne_edge.sources.paths import photographs

COUNT, GRADE, INTERVAL, PROBABILITY = 1.0, 1, 2, 0.03  # lesions, grades, lesions at an end of the interval, in each probability
COMPARED = {"path", "error", "count", "count_interval", "grade", "grade_probs", "scale", "image", "quality"}

Group: TypeAlias = "tuple[str, str | None, str, str | None]"  # sha256 of the model, scale, policies
Progress: TypeAlias = "Callable[[Iterator[Any], str, int], Iterator[Any]]"


@dataclass(frozen=True)
class Difference:
    """A photograph that gives another answer now, or is another one."""

    line: int
    name: str
    what: str


@dataclass
class Again:
    """What came of predicting once more."""

    same: int = 0  # within the tolerance
    absent: int = 0  # photographs that are not at hand
    unnamed: int = 0  # that were no files: nothing can be compared
    largest: float = 0.0  # difference of two counts, lesions, of those that are the same
    differences: list[Difference] = field(default_factory=list)
    models: dict[str, int] = field(default_factory=dict)  # models that are not at hand, and their photographs


@dataclass(frozen=True)
class _Case:
    line: int
    path: Path
    result: dict[str, Any]


def at_hand(record: Path) -> tuple[int, int]:
    """How many photographs of a record lie where it names them, and how many there are."""
    told = [line for line in chain.photographs_and_counts(record) if isinstance(line, chain.Photograph) and line.sha256]
    return sum(_named(record, photograph) is not None for photograph in told), len(told)


def rerun(
    record: Path, folder: Path | None = None, model: Path | None = None, progress: Progress = lambda items, label, n: items
) -> Again:
    """Predict again what is at hand.

    Args:
        record: the record.
        folder: where photographs are looked for by their sha256, whatever they are called; None: where the record names
            them, below its own folder.
        model: file of a model that the package does not ship.
        progress: shows how far it is.

    Raises what loading a model raises.
    """
    again = Again()
    groups: dict[Group, list[_Case]] = {}
    found = _by_sum(folder, progress) if folder is not None else None
    for told in chain.photographs_and_counts(record):
        if not isinstance(told, chain.Photograph):
            continue
        if not told.sha256:
            again.unnamed += 1
            continue
        path = found.get(told.sha256) if found is not None else _named(record, told)
        if path is None:
            again.absent += 1
        elif found is None and _sum(path) != told.sha256:
            again.differences.append(Difference(told.n, told.name, "another file has this name now"))
        else:
            group = (
                told.model["sha256"],
                told.settings["scale"],
                told.settings["on_poor_quality"],
                told.settings.get("on_unfamiliar"),
            )
            compared = {key: value for key, value in told.result.items() if key in COMPARED}
            groups.setdefault(group, []).append(_Case(told.n, path, compared))
    _predict(groups, _models(model), again, progress)
    again.differences.sort(key=lambda difference: difference.line)
    return again


def _predict(groups: dict[Group, list[_Case]], known: dict[str, str], again: Again, progress: Progress) -> None:
    for (sha256, scale, poor, unfamiliar), cases in groups.items():
        if sha256 not in known:
            again.models[sha256] = again.models.get(sha256, 0) + len(cases)
            continue
        with AcneGrader.load(known[sha256], scale=scale, on_poor_quality=poor, on_unfamiliar=unfamiliar or "abstain") as grader:
            results = grader.predict_many(case.path for case in cases)
            for case, result in zip(cases, progress(results, "predicting again", len(cases)), strict=True):
                now = result.to_dict()
                what = difference(case.result, now)
                if what is not None:
                    again.differences.append(Difference(case.line, str(case.result["path"]), what))
                    continue
                again.same += 1
                if result.ok:
                    again.largest = max(again.largest, abs(case.result["count"] - now["count"]))


def difference(then: dict[str, Any], now: dict[str, Any]) -> str | None:
    """How two results of one photograph differ beyond the tolerance, in words; None if they do not."""
    if "error" in then or "error" in now:
        codes = [r["error"]["code"] if "error" in r else "a prediction" for r in (then, now)]
        return None if codes[0] == codes[1] else f"{codes[0]}, now {codes[1]}"
    changed = ["scale"] if then["scale"] != now["scale"] else []
    if any(now["image"].get(key) != value for key, value in then["image"].items()):  # a later version may say more of it
        changed.append("image")
    if then["quality"]["reasons"] != now["quality"]["reasons"]:
        changed.append("quality")
    if changed:
        return f"another {' and '.join(changed)}"
    ends = [(then["count_interval"][end], now["count_interval"][end]) for end in ("low", "high")]
    probabilities = zip(then["grade_probs"], now["grade_probs"], strict=True)
    near = (
        abs(then["count"] - now["count"]) <= COUNT
        and abs(then["grade"]["index"] - now["grade"]["index"]) <= GRADE
        and all(abs(a - b) <= INTERVAL for a, b in ends)
        and all(abs(a - b) <= PROBABILITY for a, b in probabilities)
    )
    return None if near else f"{_words(then)}, now {_words(now)}"


def _words(result: dict[str, Any]) -> str:
    interval = result["count_interval"]
    return f"{result['count']:.1f} lesions ({interval['low']}-{interval['high']}), {result['grade']['text']}"


def _models(file: Path | None) -> dict[str, str]:
    """By sha256, what a model is loaded by: those that the package ships, and perhaps a file."""
    known = {str(entry["sha256"]): name for name, entry in models.index().items()}
    return {**known, models.load_model(file).sha256: str(file)} if file is not None else known


def _by_sum(folder: Path, progress: Progress) -> dict[str, Path]:
    paths = photographs(folder)
    if not paths:
        raise UsageError(f"{folder}: folder without photographs")
    sums = ((_sum(Path(path)), Path(path)) for path in progress(iter(paths), "looking for photographs", len(paths)))
    return {digest: path for digest, path in sums if digest is not None}


def _sum(path: Path) -> str | None:
    try:
        return hashlib.sha256(files.read(path, MAX_BYTES)).hexdigest()
    except OSError:
        return None


def _named(record: Path, told: chain.Photograph) -> Path | None:
    if told.result["path"] in (None, "-"):
        return None
    path = record.parent / told.name
    return path if path.is_file() else None
