"""Converts predictions to and from COCO JSON, for programs in which people correct marks (CVAT, Label Studio).

    from acne_edge import AcneGrader
    from acne_edge.interop import coco

    with AcneGrader.load() as grader:
        coco.write("marks.json", grader.predict_many("photos"), root="photos")
    corrected = coco.read("corrected.json")          # as exported; an `AnnotatedSet`

The format is that of `acne_edge.evaluation.annotated`. A lesion is a point; it also gets a box of the usual size, because most
programs edit boxes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from acne_edge.errors import UsageError
from acne_edge.evaluation.annotated import (
    AnnotatedPhotograph,
    AnnotatedSet,
    Mark,
    Reading,
    read_annotated,
    write_annotated,
)

if TYPE_CHECKING:
    from acne_edge.prediction import Failure, Prediction


def annotated(results: Iterable[Prediction | Failure], root: str | os.PathLike[str] | None = None) -> AnnotatedSet:
    """Predictions as an annotated set: one reading per photograph, by the model, with `marks` and the rounded count.

    Args:
        results: predictions of photographs with paths, each path once; failures are left out.
        root: the folder that names are relative to; None leaves the name of the file alone.

    Raises UsageError for a prediction without a path or on another scale than the first, for a path outside `root`, and for
    two photographs with one name.
    """
    photographs: list[AnnotatedPhotograph] = []
    scale = ""
    for result in results:
        if not result.ok:
            continue
        scale = scale or result.scale
        if result.scale != scale:
            raise UsageError(f"{result.path}: graded on the scale {result.scale}, others on {scale}; export them apart")
        marks = tuple(Mark(lesion.x, lesion.y, score=lesion.score) for lesion in result.marks)
        by = f"{result.model.name} {result.model.version}"
        reading = Reading(result.rounded_count, result.grade.index, marks, by)
        name = _name(result.path, root)
        photographs.append(AnnotatedPhotograph(name, result.image.width, result.image.height, (reading,)))
    names = [photograph.name for photograph in photographs]
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise UsageError(f"{twice}: two photographs have this name; give the folder that holds both as root")
    return AnnotatedSet(tuple(photographs), scale or "hayashi")


def write(
    path: str | os.PathLike[str], results: Iterable[Prediction | Failure], root: str | os.PathLike[str] | None = None
) -> None:
    """Write predictions as `annotated` converts them. Raises what it does, and AcneEdgeError if the file cannot be written."""
    write_annotated(Path(path), annotated(results, root))


def read(path: str | os.PathLike[str]) -> AnnotatedSet:
    """Read a COCO file as annotation programs export it, or an annotated set. Raises UsageError, naming the field."""
    return read_annotated(Path(path))


def _name(path: str | None, root: str | os.PathLike[str] | None) -> str:
    if path in (None, "-"):
        raise UsageError("a prediction from bytes or pixels has no file name; predict files")
    if root is None:
        return os.path.basename(path)
    relative = Path(os.path.relpath(path, root)).as_posix()
    if relative.startswith("../"):
        raise UsageError(f"{path}: is not below {os.fspath(root)}")
    return relative
