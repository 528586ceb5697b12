"""What people counted, beside what the model did: which photograph of a record is meant, and on which scale."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from acne_edge import files
from acne_edge.errors import UsageError
from acne_edge.evaluation.labels import read_labels
from acne_edge.grading import SeverityScale, find_scale
from acne_edge.image import MAX_BYTES
from acne_edge.records import chain


@dataclass(frozen=True)
class Counted:
    """One photograph, as a person names it, and what they say of it."""

    photograph: str  # its file, or its name or sha256 in the record
    count: int  # lesions
    grade: str | None = None  # name, or index from 0


class Meant(NamedTuple):
    """The same, as `Record.add_count` takes it."""

    photograph: str  # sha256
    lesions: int
    grade: int | None
    scale: str | None


def from_list(record: Path, labels: Path) -> list[Counted]:
    """The counts of a list, as `evaluate` reads it, on the record's scale. Raises UsageError."""
    scales = {p.result["scale"] for p in _photographs(record) if not p.failed}
    if len(scales) != 1:
        raise UsageError(f"{record}: has results on {len(scales)} scales; a list needs one")
    return [Counted(label.name, label.count, str(label.grade)) for label in read_labels(labels, find_scale(scales.pop()))]


def meant(record: Path, counted: Sequence[Counted]) -> list[Meant]:
    """Which photographs are meant. Raises UsageError for one that is not in the record, or a name that several in it have."""
    known = _photographs(record)
    found = []
    for item in counted:
        told = _meant(record, known, item.photograph)
        scale = find_scale(told.result["scale"]) if not told.failed else None
        grade = _grade(item.grade, scale, told.name)
        found.append(Meant(str(told.sha256), item.count, grade, scale.name if scale and grade is not None else None))
    return found


def _photographs(record: Path) -> list[chain.Photograph]:
    return [p for p in chain.photographs_and_counts(record) if isinstance(p, chain.Photograph) and p.sha256]


def _meant(record: Path, known: list[chain.Photograph], wanted: str) -> chain.Photograph:
    """By sha256, name in the record, file, or the name alone without its folders, in this order."""
    found = [p for p in known if wanted in (p.sha256, p.name)]
    if not found and os.path.isfile(wanted):
        digest = _sum(wanted)
        found = [p for p in known if p.sha256 == digest]
    elif not found:
        found = [p for p in known if os.path.basename(p.name) == wanted]
    if not found:
        raise UsageError(f"{wanted}: is no photograph of {record}")
    if len({p.sha256 for p in found}) > 1:
        raise UsageError(f"{wanted}: several photographs of {record} have this name; give the file, or its sha256")
    return found[-1]


def _sum(path: str) -> str:
    try:
        return hashlib.sha256(files.read(path, MAX_BYTES)).hexdigest()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error


def _grade(grade: str | None, scale: SeverityScale | None, name: str) -> int | None:
    if grade is None:
        return None
    if scale is None:
        raise UsageError(f"{name}: failed, so the record has no scale for its grade; give the count alone")
    if grade.isdecimal() and int(grade) < len(scale.labels):
        return int(grade)
    if grade.lower() not in scale.labels:
        raise UsageError(f"{grade!r} is no grade of {scale.name}; choose one of: {', '.join(scale.labels)}")
    return scale.labels.index(grade.lower())
