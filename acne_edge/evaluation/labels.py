"""Labels of photographs: one reader for everything that trains on them or measures by them."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from acne_edge.errors import UsageError

MAX_BYTES = 64_000_000  # of a list: two million photographs
SEPARATORS = (",", ";", "\t")  # of the columns of a table


@dataclass(frozen=True)
class Label:
    """What people say of one photograph."""

    name: str  # of the photograph's file
    grade: int  # index into the scale's labels, from 0
    count: int  # lesions
    source: str = field(default="", compare=False)  # where the photograph is from, if the labels say so


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


class Bands(Protocol):
    """As much of a `grading.SeverityScale` as labels need."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The grades' names, from the mildest on."""

    def grade(self, count: float) -> int:
        """The grade of a count."""


def read_labels(path: Path, scale: Bands | None = None) -> list[Label]:
    """Read labels as people have them, in UTF-8; a byte order mark and the line ends of Windows do no harm.

    * A table whose first line names the columns `file` and `count`, and perhaps `grade`, in any order, among others, parted by
      commas, semicolons or tabs. A grade is a number from 0 or one of the scale's names; where there is none, it is that of
      the count. Only this form can hold names with spaces, in quotes where they hold the separator.
      A column `source` says where a photograph is from: a clinic, a camera.
    * A list as ACNE04 has it: `name grade count` a line.

    File names are not labels: 42 prefixes in ACNE04 disagree with its lists.

    Args:
        path: the file.
        scale: of the grades; needed for grades by name and for photographs without one.

    Raises UsageError, naming the line, if the file is missing, no regular file, too long or empty, names a photograph twice in a
    table, or a line is not of its form.
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
            raise UsageError(f"{where}: {name} stands in an earlier line too; leave one of them")
        grade = _grade(where, values.get("grade", ""), int(count), scale)
        rows[name] = Label(name, grade, int(count), values.get("source", ""))
    return list(rows.values())


def _grade(where: str, text: str, count: int, scale: Bands | None) -> int:
    """The grade that a text says, by number or name, or the count's where it says nothing."""
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
    """Names of columns, however they are written."""
    return [cell.strip().strip('"').strip().lower() for cell in cells]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10


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
