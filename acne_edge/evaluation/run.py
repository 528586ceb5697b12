"""A model measured on labelled photographs, through the whole path that a device runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from acne_edge.errors import ImageError, UsageError
from acne_edge.evaluation.bootstrap import REPEATS
from acne_edge.evaluation.labels import Label, list_hash, read_labels
from acne_edge.evaluation.outcome import Outcome, notes, summary, with_intervals
from acne_edge.grader import AcneGrader
from acne_edge.manifest import Manifest
from acne_edge.prediction import Failure, Prediction

logger = logging.getLogger(__name__)

Results: TypeAlias = "Iterable[Prediction | Failure]"

LEARNED = {
    "train": "was trained on exactly this list",
    "val": "has its constants fitted on exactly this list",
}


def evaluate_list(
    grader: AcneGrader,
    images: Path,
    labels: Path,
    follow: Callable[[Results, int], Results] | None = None,
    repeats: int = REPEATS,
) -> dict[str, Any]:
    """Predict every photograph that the list file `labels` names, in the folder `images`, and compare.

    Returns a JSON-ready dictionary:

    * `model`: what was measured, and on which backend.
    * `list`: its `sha256` (`labels.list_hash`), and `learned`: `train` or `val` if it is that list of the model, else null.
      A model knows its lists by their sha256 alone, so that a list which shares only some photographs with them goes unnoticed.
    * `images`: how many were measured; `failed`: how many could not be used; `failures`: which, with an error code and message.
    * `grade`, `count`, `interval`, `grade_set`, `ece`, `ece_if_calibrated`, `abstained`: figures as in a manifest's `metrics`.
    * `figures`: the same by name (`evaluation.outcome`), each with `value`, `low` and `high` of a 95 % bootstrap interval.
    * `notes`: for each figure that is null, why it does not exist.

    A list that the model has learned is named in a warning of the log. `follow` gets the results as they come, and how many there
    will be, and passes them on: to show progress, or to name failures. `repeats` is how many samples the bootstrap draws.

    Raises UsageError for a list that cannot be read or does not fit the model's scale, and where the folder holds none of its
    photographs; ImageError if none can be used.
    """
    rows = _read(grader, images, labels)
    learned = _learned(grader.manifest, rows)
    if learned:
        said = "%s: %s %s: its figures do not tell how good it is on other photographs"
        logger.warning(said, labels, grader.model.name, LEARNED[learned])
    results: Results = grader.predict_many(images / label.name for label in rows)
    found = list(follow(results, len(rows)) if follow else results)
    done = [(row, r) for row, r in zip(rows, found, strict=True) if r.ok]
    failures = [r for r in found if not r.ok]
    if not done:
        raise ImageError(f"{images}: none of the {len(rows)} listed photographs can be used; the first: {failures[0].error}")
    outcome = Outcome.of_predictions([row for row, _ in done], [r for _, r in done])
    measured = {**summary(outcome), "figures": with_intervals([outcome], repeats)}
    return {
        "model": vars(grader.model),
        "list": {"sha256": list_hash(rows), "learned": learned},
        "images": len(done),
        "failed": len(failures),
        "failures": [{name: r.to_dict()[name] for name in ("path", "error")} for r in failures],
        **measured,
        "notes": notes(measured),
    }


def _read(grader: AcneGrader, images: Path, labels: Path) -> list[Label]:
    """The list, once it is known to fit the scale and the folder."""
    rows = read_labels(labels, grader.scale)
    top = len(grader.scale.labels) - 1
    if any(label.grade > top for label in rows):
        raise UsageError(f"{labels}: a grade is over {top}, the highest of the scale {grader.scale.name}")
    if not images.is_dir():
        raise UsageError(f"{images}: no such folder")
    if not any((images / label.name).exists() for label in rows):
        raise UsageError(f"{images}: holds none of the {len(rows)} photographs that {labels} names, {rows[0].name} for one")
    return rows


def _learned(manifest: Manifest, rows: Sequence[Label]) -> str | None:
    """The first of the model's own lists that this one is, as far as their hashes tell."""
    lists = manifest.training.get("lists")
    own = lists if isinstance(lists, dict) else {}
    digest = list_hash(rows)
    return next((name for name in LEARNED if isinstance(own.get(name), dict) and own[name].get("sha256") == digest), None)
