"""Measures a model on labelled photographs, through the whole path that a device runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from acne_edge.errors import ImageError, UsageError
from acne_edge.evaluation.annotated import Mark, read_annotated
from acne_edge.evaluation.bootstrap import REPEATS
from acne_edge.evaluation.labels import Label, list_hash, read_labels
from acne_edge.evaluation.learned import learned as count_learned
from acne_edge.evaluation.localisation import Boxes
from acne_edge.evaluation.outcome import Outcome, notes, summary, with_intervals
from acne_edge.evaluation.tables import strict
from acne_edge.fit.positions import measure_positions
from acne_edge.grader import AcneGrader
from acne_edge.grading import SeverityScale
from acne_edge.manifest import Manifest
from acne_edge.prediction import Failure, Prediction

logger = logging.getLogger(__name__)

Results: TypeAlias = "Iterable[Prediction | Failure]"

LEARNED = {
    "train": "was trained on exactly this list",
    "val": "has its constants fitted on exactly this list",
}
HOW_SOME = {"train": "has learned {}", "val": "has its constants fitted on {}"}


def evaluate_list(
    grader: AcneGrader,
    images: Path,
    labels: Path,
    follow: Callable[[Results, int], Results] | None = None,
    repeats: int = REPEATS,
    by: str | None = None,
    each: Callable[[Label, Prediction | Failure], None] | None = None,
) -> dict[str, Any]:
    """Predict every photograph that `labels` names in the folder `images`, and compare with the labels.

    `labels` is a list file or an annotated set (.json; `evaluation.annotated`). If that has several readings of a photograph,
    `by` names whose to use. A reading without a grade gets its count's.

    Returns a JSON-ready dictionary:

    * `model`: what was measured, and on which backend.
    * `list`: its `sha256` (`labels.list_hash`); `learned`: `train` or `val` if it is that list of the model, else null; and
      `photographs`: how many of its photographs the model has learned (`train`) or has its constants from (`val`), by file
      content, or null if the model's manifest does not say (`evaluation.learned`).
    * `images`: how many were measured; `failed`: how many could not be used; `failures`: which, with an error code and message.
    * `grade`, `count`, `interval`, `grade_set`, `ece`, `ece_if_calibrated`, `abstained`: figures as in a manifest's `metrics`.
    * `figures`: the same by name (`evaluation.outcome`), each with `value`, `low` and `high` of a 95 % bootstrap interval.
    * `positions`: only for an annotated set with marks: `evaluation.localisation` on the marked photographs, with F1,
      precision and recall at the model's own threshold.
    * `notes`: for each figure that is null, why it does not exist.

    A warning is logged if the model has learned photographs of this list. `follow` gets the results as they come, and their
    number, and passes them on, to show progress or to name failures. `repeats` is the number of bootstrap samples. `each` is
    called with every photograph's label and result, in the order of the list.

    Raises UsageError for a list that cannot be read or does not fit the model's scale, and if the folder holds none of its
    photographs; ImageError if none can be used.
    """
    rows, boxes = read_set(grader, images, labels, by)
    about = list_report(grader, images, labels, rows)
    results: Results = grader.predict_many(images / label.name for label in rows)
    found = list(follow(results, len(rows)) if follow else results)
    for row, r in zip(rows, found, strict=True):
        if each:
            each(row, r)
    done = [(row, r) for row, r in zip(rows, found, strict=True) if r.ok]
    drawn = [b for b, r in zip(boxes, found, strict=True) if r.ok]
    failures = [r for r in found if not r.ok]
    if not done:
        raise ImageError(f"{images}: none of the {len(rows)} listed photographs can be used; the first: {failures[0].error}")
    outcome = Outcome.of_predictions([row for row, _ in done], [r for _, r in done])
    measured = {**summary(outcome), "figures": with_intervals([outcome], repeats)}
    if any(b is not None for b in drawn):
        maps = [r.lesion_map for _, r in done]
        measured["positions"] = strict(measure_positions(maps, drawn, grader.manifest.positions.threshold))
    return {
        "model": vars(grader.model),
        "list": about,
        "images": len(done),
        "failed": len(failures),
        "failures": [{name: r.to_dict()[name] for name in ("path", "error")} for r in failures],
        **measured,
        "notes": notes(measured) | {f"positions.{name}": why for name, why in _why_no_positions(measured)},
    }


def _why_no_positions(measured: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in measured.get("positions", {}).items():
        if value is None:
            yield name, "no place reached the threshold" if name == "precision" else "no lesion was marked"


def read_set(grader: AcneGrader, images: Path, labels: Path, by: str | None) -> tuple[list[Label], list[Boxes | None]]:
    """The labels in `labels` (see `evaluate_list`), and each photograph's boxes or None.

    Raises UsageError for labels that cannot be read, or do not fit the grader's scale or the folder.
    """
    is_set = labels.suffix.lower() == ".json"
    rows, boxes = read_annotated_labels(grader.scale, labels, by) if is_set else (read_labels(labels, grader.scale), [])
    top = len(grader.scale.labels) - 1
    if any(label.grade > top for label in rows):
        raise UsageError(f"{labels}: a grade is over {top}, the highest of the scale {grader.scale.name}")
    if not images.is_dir():
        raise UsageError(f"{images}: no such folder")
    if not any((images / label.name).exists() for label in rows):
        raise UsageError(f"{images}: holds none of the {len(rows)} photographs that {labels} names, {rows[0].name} for one")
    return rows, boxes or [None] * len(rows)


def read_annotated_labels(
    scale: SeverityScale, path: Path, by: str | None, hint: str = "choose one by --by"
) -> tuple[list[Label], list[Boxes | None]]:
    """The labels of an annotated set, and the boxes of photographs with marked lesions; a point is a box without a size.

    `by` names whose readings are used. Raises UsageError, which ends in `hint`, for a photograph with several readings.
    """
    annotated = read_annotated(path)
    rows: list[Label] = []
    boxes: list[Boxes | None] = []
    for photograph in annotated.photographs:
        readings = [r for r in photograph.readings if r.count is not None and by in (None, r.by)]
        if len(readings) > 1:
            who = ", ".join(r.by or "''" for r in readings)
            raise UsageError(f"{path}: {photograph.name} has {len(readings)} readings with a count ({who}); {hint}")
        for reading in readings:
            assert reading.count is not None
            own = reading.grade if annotated.scale == scale.name else None
            rows.append(Label(photograph.name, scale.grade(reading.count) if own is None else own, reading.count))
            boxes.append(None if reading.marks is None else _boxes(reading.marks))
    if not rows:
        raise UsageError(f"{path}: no photograph has a count" + (f" by {by!r}" if by is not None else ""))
    return rows, boxes


def _boxes(marks: Sequence[Mark]) -> Boxes:
    places = np.array([(m.x, m.y, m.width, m.height) for m in marks], np.float64).reshape(-1, 4)
    return np.concatenate([places[:, :2] - places[:, 2:] / 2, places[:, :2] + places[:, 2:] / 2], axis=1)


def list_report(grader: AcneGrader, images: Path, labels: Path, rows: Sequence[Label]) -> dict[str, Any]:
    """The part `list` of a report. Warns in the log of photographs that the model has learned."""
    listed = _learned(grader.manifest, rows)
    counts = count_learned(grader.manifest.training, (images / label.name for label in rows))
    some = [HOW_SOME[part].format(number) for part, number in (counts or {}).items() if number]
    what = ""
    if some:
        what = f"of these {len(rows)} photographs, {grader.model.name} {' and '.join(some)}"
    elif listed:
        what = f"{grader.model.name} {LEARNED[listed]}"
    if what:
        logger.warning("%s: %s: the figures flatter, and do not tell how good it is on other photographs", labels, what)
    return {"sha256": list_hash(rows), "learned": listed, "photographs": counts}


def _learned(manifest: Manifest, rows: Sequence[Label]) -> str | None:
    """The first of the model's own lists whose hash this list has; None if there is none."""
    lists = manifest.training.get("lists")
    own = lists if isinstance(lists, dict) else {}
    digest = list_hash(rows)
    return next((name for name in LEARNED if isinstance(own.get(name), dict) and own[name].get("sha256") == digest), None)
