"""Where the photographs of ACNE04 came from."""

from __future__ import annotations

import csv
from pathlib import Path

from acne_edge.errors import UsageError

HOSPITAL_SIZE = (3112, 3456)  # pixels of the photographs taken in the hospital; the others come from the web


def read_origins(path: Path) -> dict[str, str]:
    """`hospital` or `web` for each photograph, by its original size in ACNE04's `images.csv`; empty without that file.

    Raises UsageError if it cannot be read as such a table.
    """
    if not path.is_file():
        return {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            sizes = {row["file"]: (int(row["original_width"]), int(row["original_height"])) for row in csv.DictReader(stream)}
    except (OSError, ValueError, TypeError, KeyError, csv.Error) as error:
        raise UsageError(f"{path}: expected rows of file,original_width,original_height ({error})") from error
    return {name: "hospital" if size == HOSPITAL_SIZE else "web" for name, size in sizes.items()}
