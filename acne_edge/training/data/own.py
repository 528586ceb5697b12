"""Reads photographs of one's own for training: a table or an annotated set, with the photographs below its folder."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acne_edge.errors import UsageError
from acne_edge.evaluation.labels import read_labels
from acne_edge.evaluation.run import read_annotated_labels
from acne_edge.grading import HAYASHI, SeverityScale
from acne_edge.training.data.sample import Sample

OWN_LISTS = (".csv", ".tsv", ".txt", ".json")  # suffixes of lists
STRATA = 4  # of counts, in which held-out photographs are like the others

logger = logging.getLogger(__name__)


def is_own(data: Path) -> bool:
    """Whether `--data` names a list of one's own photographs, and not a folder in the layout of ACNE04."""
    return data.is_file() and data.suffix.lower() in OWN_LISTS


def read_own(path: Path, scale: SeverityScale) -> tuple[list[Sample], NDArray[np.int64]]:
    """The photographs of a list with their labels, and a group number for each: those of one person are in one group.

    The list is a table with the columns `file`, `count` and perhaps `grade` and `group`, or an annotated set (.json) with one
    reading with a count a photograph. Names are paths below the list's folder. Grades that are not given follow from the count.
    Boxes or points are used where there are as many as lesions were counted.

    Raises UsageError for a list that cannot be read, a grade that the scale lacks, or a photograph that is missing.
    """
    if path.suffix.lower() == ".json":
        labels, boxes = read_annotated_labels(scale, path, None, "train on a set with one reading of each photograph")
    else:
        labels = read_labels(path, scale)
        boxes = [None] * len(labels)
    samples = []
    for label, places in zip(labels, boxes, strict=True):
        if label.grade >= len(scale.labels):
            raise UsageError(
                f"{path}: {label.name} has grade {label.grade}; the scale {scale.name} has 0..{len(scale.labels) - 1}"
            )
        known = places is not None and len(places) == label.count
        sample = Sample(
            label.name,
            path.parent / label.name,
            label.grade,
            label.count,
            np.asarray(places, np.float32).reshape(-1, 4) if known else None,
        )
        samples.append(sample)
    missing = [s.name for s in samples if not s.path.is_file()]
    if missing:
        raise UsageError(
            f"{path.parent}: {len(missing)} of {len(samples)} listed photographs are missing, the first is {missing[0]}"
        )
    partly = sum(places is not None and len(places) != label.count for label, places in zip(labels, boxes, strict=True))
    if partly:
        logger.warning("%s: of %d photographs the marks are not as many as the count; only the count is used", path, partly)
    numbers: dict[str, int] = {}
    groups = [numbers.setdefault(label.group or f"\0{label.name}", len(numbers)) for label in labels]
    return samples, np.array(groups)


def places_of(path: Path) -> dict[str, NDArray[np.float32]]:
    """Boxes or points of the photographs in an annotated set, as `read_own` uses them; empty for a table."""
    if path.suffix.lower() != ".json":
        return {}
    labels, boxes = read_annotated_labels(HAYASHI, path, None, "train on a set with one reading of each photograph")
    return {
        label.name: np.asarray(places, np.float32).reshape(-1, 4)
        for label, places in zip(labels, boxes, strict=True)
        if places is not None and len(places) == label.count
    }


def strata(grades: NDArray[np.int64], counts: NDArray[np.int64], folds: int) -> NDArray[np.int64]:
    """What every part should have alike: the grades [N], or parts of the counts if a grade has fewer photographs than folds."""
    if np.unique(grades, return_counts=True)[1].min() >= folds:
        return grades
    parts = max(1, min(STRATA, len(counts) // folds))
    return np.argsort(np.argsort(counts, kind="stable"), kind="stable") * parts // len(counts)
