"""Labels of photographs: one reader for everything that trains on them or measures by them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from acne_edge.errors import UsageError

MAX_BYTES = 64_000_000  # of a list: two million photographs


@dataclass(frozen=True)
class Label:
    """What people say of one photograph."""

    name: str  # of the photograph's file
    grade: int  # index into the scale's labels, from 0
    count: int  # lesions


class Labelled(Protocol):
    """Anything that carries a label."""

    @property
    def name(self) -> str:
        """Of the photograph's file."""

    @property
    def grade(self) -> int:
        """Index into the scale's labels, from 0."""

    @property
    def count(self) -> int:
        """Lesions."""


def read_labels(path: Path) -> list[Label]:
    """Read a list file, `name grade count` a line, in UTF-8; a byte order mark and the line ends of Windows do no harm.

    File names are not labels: 42 prefixes in ACNE04 disagree with the list. Raises UsageError if the file is missing, no regular
    file, too long or empty, or a line is not of that form.
    """
    rows = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        parts = line.split()
        if not parts:
            continue
        if len(parts) != 3 or not all(part.isascii() and part.isdecimal() and len(part) < 10 for part in parts[1:]):
            raise UsageError(f"{path}:{number}: expected 'name grade count', found {line[:60]!r}")
        rows.append(Label(parts[0], int(parts[1]), int(parts[2])))
    if not rows:
        raise UsageError(f"{path}: the list is empty")
    return rows


def _text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"{path}: a list is a regular file, and this is none")
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        raise UsageError(f"{path}: cannot read the list file ({getattr(error, 'strerror', None) or error})") from error
    if len(data) > MAX_BYTES:
        raise UsageError(f"{path}: the list is over {MAX_BYTES // 1_000_000} MB; divide it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: cannot read the list file as UTF-8 ({error}); save it as UTF-8") from error


def list_hash(labels: Iterable[Labelled]) -> str:
    """sha256 over the sorted `name grade count` lines: names a set of labelled photographs without holding it."""
    lines = sorted(f"{label.name} {label.grade} {label.count}" for label in labels)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
