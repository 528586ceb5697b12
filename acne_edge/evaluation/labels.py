"""Labels of photographs: one reader for everything that trains on them or measures by them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from acne_edge.errors import UsageError


@dataclass(frozen=True)
class Label:
    """What people say of one photograph."""

    name: str  # of the photograph's file
    grade: int  # index into the scale's labels, from 0
    count: int  # lesions


def read_labels(path: Path) -> list[Label]:
    """Read a list file, `name grade count` a line. File names are not labels: 42 prefixes in ACNE04 disagree with the list.

    Raises UsageError if the file is missing, empty, or a line is not of that form.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot read the list file ({getattr(error, 'strerror', None) or error})") from error
    rows = []
    for number, line in enumerate(lines, 1):
        parts = line.split()
        if not parts:
            continue
        if len(parts) != 3 or not parts[1].isdecimal() or not parts[2].isdecimal():
            raise UsageError(f"{path}:{number}: expected 'name grade count', found {line[:60]!r}")
        rows.append(Label(parts[0], int(parts[1]), int(parts[2])))
    if not rows:
        raise UsageError(f"{path}: the list is empty")
    return rows
