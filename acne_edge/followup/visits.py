"""Where the results of two visits come from (folders, lists, saved results), and which photographs are the same view."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from acne_edge import files
from acne_edge.errors import UsageError
from acne_edge.sources.paths import expand

MAX_BYTES = 256_000_000
SAVED, LISTS = (".jsonl", ".json"), (".txt", ".lst", ".csv")
PairBy = Literal["auto", "name", "order"]
Row = dict[str, Any]  # a result's JSON form


class Visit(NamedTuple):
    """The photographs of a visit: results that exist already, or paths that are still to be predicted."""

    saved: list[Row] | None
    paths: list[str]

    @property
    def names(self) -> list[str]:
        """The photographs' paths, in order."""
        return self.paths if self.saved is None else [str(row.get("path")) for row in self.saved]


class Paired(NamedTuple):
    """Which photographs are the same view: indices into both visits, and what each view is called."""

    views: list[str]
    baseline: list[int]
    followup: list[int]
    how: str  # name | order | file
    left: list[str]  # photographs that have no partner


def read_visit(where: str) -> Visit:
    """A visit from a folder or glob of photographs, one photograph, a list (.txt), or results that `predict` saved.

    Saved results are a .jsonl or .json file, or a folder with predictions.jsonl; `-` is JSONL on stdin. A list
    has a path a line, relative to the list.

    Raises UsageError for an unreadable file, ImageNotFoundError for a path without photographs.
    """
    path = Path(where)
    if (path / "predictions.jsonl").is_file():
        path = path / "predictions.jsonl"
    if where == files.STDIN or (path.suffix.lower() in SAVED and path.is_file()):
        return Visit(_saved(path), [])
    if path.suffix.lower() in LISTS and path.is_file():
        lines = [line.strip() for line in files.read_text(path, MAX_BYTES).splitlines()]
        found = [str(path.parent / line) for line in lines if line and not line.startswith("#")]
        if not found:
            raise UsageError(f"{path}: the list is empty")
        return Visit(None, found)
    expanded = expand([where])
    for name, error in expanded:
        if error is not None:
            error.path = name
            raise error
    return Visit(None, [name for name, _ in expanded])


def _saved(path: Path) -> list[Row]:
    text = files.read_text(path, MAX_BYTES)
    try:
        rows = (
            json.loads(text)
            if path.suffix.lower() == ".json"
            else [json.loads(line) for line in text.splitlines() if line.strip()]
        )
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not JSON as `acne-edge predict` writes it ({error})") from error
    rows = rows if isinstance(rows, list) else [rows]
    if not rows or not all(isinstance(row, dict) and "path" in row for row in rows):
        raise UsageError(f"{path}: expected results of `acne-edge predict --format jsonl`, one a line")
    return rows


def pair(baseline: Visit, followup: Visit, by: PairBy = "auto", table: Path | None = None) -> Paired:
    """Find the pairs by a table, by name (the file name without its suffix) or by order.

    `auto` pairs by name if both visits have the same names, else by order if they have the same number of photographs.

    Raises UsageError if nothing can be paired, or not without guessing.
    """
    if table is not None:
        return _by_table(baseline, followup, table)
    first, second = ([_stem(name) for name in visit.names] for visit in (baseline, followup))
    if by == "name" or (by == "auto" and set(first) == set(second)):
        return _by_name(first, second)
    if len(first) != len(second):
        raise UsageError(
            f"{len(first)} photographs at the first visit and {len(second)} at the second, with different names; "
            "say which are the same view with --pairs FILE, or take those of one name with --by name"
        )
    order = list(range(len(first)))
    views = [a if a == b else f"{a} | {b}" for a, b in zip(first, second, strict=True)]
    return Paired(views, order, order, "order", [])


def _stem(name: str) -> str:
    return Path(name.replace("\\", "/")).stem.casefold()


def _by_name(first: Sequence[str], second: Sequence[str]) -> Paired:
    for names in (first, second):
        twice = next((name for name in names if list(names).count(name) > 1), None)
        if twice is not None:
            raise UsageError(
                f"{twice}: two photographs of one visit have this name; say which are the same view with --pairs FILE"
            )
    views = [name for name in first if name in second]
    if not views:
        raise UsageError("no photograph of the first visit has the name of one of the second; use --by order or --pairs FILE")
    left = [name for name in (*first, *second) if name not in views]
    return Paired(views, [first.index(v) for v in views], [second.index(v) for v in views], "name", left)


def _by_table(baseline: Visit, followup: Visit, table: Path) -> Paired:
    """Pairs by a CSV with the columns baseline and followup, and perhaps view; names may be paths or file names."""
    lines = files.read_text(table, MAX_BYTES).splitlines()
    reader = csv.DictReader(lines)
    if not {"baseline", "followup"} <= set(reader.fieldnames or ()):
        raise UsageError(f"{table}: expected a CSV with the columns baseline and followup, and perhaps view")
    views, before, after = [], [], []
    for row in reader:
        where = f"{table}:{reader.line_num}"
        before.append(_find(where, baseline, row["baseline"], "first"))
        after.append(_find(where, followup, row["followup"], "second"))
        views.append((row.get("view") or "").strip() or _stem(baseline.names[before[-1]]))
    if not views:
        raise UsageError(f"{table}: names no pair")
    for used, visit in ((before, baseline), (after, followup)):
        twice = next((i for i in used if used.count(i) > 1), None)
        if twice is not None:
            raise UsageError(f"{table}: {visit.names[twice]} is in two pairs")
    left = [n for used, v in ((before, baseline), (after, followup)) for i, n in enumerate(v.names) if i not in used]
    return Paired(views, before, after, "file", left)


def _find(where: str, visit: Visit, name: str | None, which: str) -> int:
    name = (name or "").strip()
    places = [i for i, path in enumerate(visit.names) if name and (path == name or Path(path).name == name)]
    if len(places) != 1:
        raise UsageError(f"{where}: {name!r} names {len(places)} photographs of the {which} visit; expected one")
    return places[0]
