"""The visits of one patient, from a table: `patient,date,view,file`, and rows with an `event` instead of a file."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from acne_edge import files
from acne_edge.errors import UsageError

MAX_BYTES = 16_000_000
COLUMNS = ("patient", "date", "view", "file")


@dataclass(frozen=True)
class Photograph:
    """One view at one visit."""

    day: date
    view: str
    path: str


@dataclass(frozen=True)
class Event:
    """Something that happened, such as the start of a treatment."""

    day: date
    text: str


@dataclass(frozen=True)
class Timeline:
    """What is known of one patient, in order of time."""

    patient: str
    photographs: tuple[Photograph, ...]
    events: tuple[Event, ...]

    @property
    def views(self) -> list[str]:
        """The names of the views, in the order of their first appearance."""
        return list(dict.fromkeys(p.view for p in self.photographs))


def read_timeline(table: Path, patient: str | None = None) -> Timeline:
    """Read the rows of a patient.

    Args:
        table: CSV in UTF-8, `-` for stdin, with the columns patient, date (2026-03-31), view, file and perhaps event, in any
            order. A row has a file, relative to the table, or an event. Rows may be in any order.
        patient: whose rows; None: the table has only one.

    Raises UsageError, naming the line, for a malformed table, several patients, or two photographs of one view on a day.
    """
    rows = _rows(table)
    known = list(dict.fromkeys(row["patient"] for _, row in rows))
    if patient is None and len(known) > 1:
        raise UsageError(f"{table}: holds {len(known)} patients; name one with --patient: {', '.join(known[:5])}")
    chosen = known[0] if patient is None else patient
    if chosen not in known:
        raise UsageError(f"{table}: has no patient {chosen!r}; there are: {', '.join(known[:5])}")
    photographs: dict[tuple[date, str], Photograph] = {}
    events = []
    for where, row in rows:
        if row["patient"] != chosen:
            continue
        day = _day(where, row["date"])
        if row["event"]:
            events.append(Event(day, row["event"]))
        if row["file"]:
            if (day, row["view"]) in photographs:
                raise UsageError(f"{where}: a second photograph of the view {row['view']!r} on {day}; keep one of them")
            photographs[day, row["view"]] = Photograph(day, row["view"], str(table.parent / row["file"]))
        elif not row["event"]:
            raise UsageError(f"{where}: has neither a file nor an event")
    if not photographs:
        raise UsageError(f"{table}: no photograph of {chosen}")
    ordered = sorted(photographs.values(), key=lambda p: p.day)
    return Timeline(chosen, tuple(ordered), tuple(sorted(events, key=lambda e: e.day)))


def _rows(table: Path) -> list[tuple[str, Mapping[str, str]]]:
    reader = csv.DictReader(files.read_text(table, MAX_BYTES).splitlines())
    names = {name: name.strip().lower() for name in reader.fieldnames or ()}
    missing = [column for column in COLUMNS if column not in names.values()]
    if missing:
        raise UsageError(f"{table}: lacks the column {missing[0]}; expected {', '.join(COLUMNS)} and perhaps event")
    rows: list[tuple[str, Mapping[str, str]]] = []
    for row in reader:
        values = {names[key]: (value or "").strip() for key, value in row.items() if key in names}
        if any(values.values()):
            rows.append((f"{table}:{reader.line_num}", {"event": "", **values}))
    if not rows:
        raise UsageError(f"{table}: the table is empty")
    return rows


def _day(where: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{where}: expected a date as in 2026-03-31, found {text[:40]!r}") from error
