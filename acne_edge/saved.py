"""Reads results that `acne-edge predict` has saved: a .jsonl or .json file, or the folder of a `--save`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from acne_edge import files
from acne_edge.errors import UsageError

MAX_BYTES = 256_000_000
SUFFIXES = (".jsonl", ".json")
Row = dict[str, Any]  # a result's JSON form


def saved_file(where: str | Path) -> Path | None:
    """The file with saved results that a path means, itself, in the folder of a `--save`, or `-` for stdin; None without one."""
    path = Path(where)
    if str(where) == files.STDIN:
        return path
    if (path / "predictions.jsonl").is_file():
        return path / "predictions.jsonl"
    return path if path.suffix.lower() in SUFFIXES and path.is_file() else None


def read_rows(path: Path) -> list[Row]:
    """The results of a .json or .jsonl file, or of JSONL on stdin (`-`), failures too.

    Raises UsageError if it holds anything else, or nothing.
    """
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
