"""Reads labels of photographs, for training and for measuring."""

from __future__ import annotations

import csv
import hashlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from acne_edge.errors import UsageError
from acne_edge.files import STDIN

MAX_BYTES = 64_000_000  # about two million photographs
SEPARATORS = (",", ";", "\t")  # between columns of a table


@dataclass(frozen=True)
class Label:
    """The label of one photograph, given by people."""

    name: str  # the photograph's file name
    grade: int  # index into the scale's labels, from 0
    count: int  # lesions
    source: str = field(default="", compare=False)  # where the photograph is from, if the labels say so


class Labelled(Protocol):
    """Anything that carries a label."""

    @property
    def name(self) -> str:
        """The photograph's file name."""

    @property
    def grade(self) -> int:
        """Index into the scale's labels, from 0."""

    @property
    def count(self) -> int:
        """Lesions."""


class Bands(Protocol):
    """The part of a `grading.SeverityScale` that labels need."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The grades' names, mildest first."""

    def grade(self, count: float) -> int:
        """The grade of a count."""


def read_labels(path: Path, scale: Bands | None = None) -> list[Label]:
    """Read a list of labels in UTF-8; a byte order mark and Windows line ends are accepted.

    * A table, separated by commas, semicolons or tabs. Its first line names the columns `file`, `count` and, optionally, `grade`,
      in any order and among others. A grade is a number from 0 or one of the scale's names; if it is empty, it follows from
      the count. Only a table can have names with spaces; names that contain the separator need quotes.
      An optional column `source` says where a photograph comes from: a clinic, a camera.
    * A list like ACNE04's, with one line `name grade count` per photograph.

    Grades in file names are not used: 42 of them in ACNE04 disagree with its lists.

    Args:
        path: the file; `-` is stdin.
        scale: the grades' scale; needed for grades by name and for photographs without a grade.

    Raises UsageError if the file is missing, not a regular file, too long or empty, and, naming the line, if a line is malformed
    or a table names a photograph twice.
    """
    lines = _text(path).splitlines()
    first = next((line for line in lines if line.strip()), "")
    separator = next((s for s in SEPARATORS if {"file", "count"} <= set(_names(first.split(s)))), None)
    rows = _from_table(path, lines, separator, scale) if separator else _from_list(path, lines)
    if not rows:
        raise UsageError(f"{path}: the list is empty")
    return rows


def _from_list(path: Path, lines: list[str]) -> list[Label]:
    rows = []
    for number, line in enumerate(lines, 1):
        parts = line.split()
        if not parts:
            continue
        if len(parts) != 3 or not all(map(_is_number, parts[1:])):
            raise UsageError(
                f"{path}:{number}: expected 'name grade count', or a table whose first line names the columns file and count; "
                f"found {line[:60]!r}"
            )
        rows.append(Label(parts[0], int(parts[1]), int(parts[2])))
    return rows


def _from_table(path: Path, lines: list[str], separator: str, scale: Bands | None) -> list[Label]:
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    columns: list[str] = []
    rows: dict[str, Label] = {}
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        if not columns:
            columns = _names(cells)
            continue
        where = f"{path}:{reader.line_num}"
        values = dict(zip(columns, (cell.strip() for cell in cells), strict=False))
        name, count = values.get("file", ""), values.get("count", "")
        if not name or not _is_number(count):
            raise UsageError(f"{where}: expected a file and a whole count, found {separator.join(cells)[:60]!r}")
        if name in rows:
            raise UsageError(f"{where}: {name} is in an earlier line too; keep one of them")
        grade = _grade(where, values.get("grade", ""), int(count), scale)
        rows[name] = Label(name, grade, int(count), values.get("source", ""))
    return list(rows.values())


def _grade(where: str, text: str, count: int, scale: Bands | None) -> int:
    """The grade in a text, by number or name; the count's if the text is empty."""
    if _is_number(text):
        return int(text)
    if scale is None:
        raise UsageError(f"{where}: expected a grade as a number from 0, found {text!r}")
    if not text:
        return scale.grade(count)
    names = [label.lower() for label in scale.labels]
    name = " ".join(text.lower().replace("_", " ").replace("-", " ").split())
    if name not in names:
        raise UsageError(f"{where}: unknown grade {text!r}; expected 0..{len(names) - 1}, or one of: {', '.join(names)}")
    return names.index(name)


def _names(cells: list[str]) -> list[str]:
    """Column names without regard to case and spaces."""
    return [cell.strip().strip('"').strip().lower() for cell in cells]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10


def _stdin() -> bytes:
    return sys.stdin.buffer.read(MAX_BYTES + 1) if sys.stdin else b""


def _bytes(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise UsageError(f"{path}: not a regular file; a list must be one")
    with path.open("rb") as stream:
        return stream.read(MAX_BYTES + 1)


def _text(path: Path) -> str:
    try:
        data = _stdin() if str(path) == STDIN else _bytes(path)
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        raise UsageError(f"{path}: cannot read the list file ({getattr(error, 'strerror', None) or error})") from error
    if str(path) == STDIN and data.lstrip()[:1] == b"{":
        raise UsageError(f"{path}: stdin is read as a list or a table; an annotated set is read from a .json file")
    if len(data) > MAX_BYTES:
        raise UsageError(f"{path}: the list is over {MAX_BYTES // 1_000_000} MB; divide it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: cannot read the list file as UTF-8 ({error}); save it as UTF-8") from error


def list_hash(labels: Iterable[Labelled]) -> str:
    """sha256 over the sorted `name grade count` lines, hexadecimal: it identifies a labelled set without containing it."""
    lines = sorted(f"{label.name} {label.grade} {label.count}" for label in labels)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
