"""Which photographs a large batch is of: files, folders and globs, and lists of paths in Parquet or JSON lines."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator

from acne_edge.errors import ImageNotFoundError, MissingExtraError, UsageError
from acne_edge.files import STDIN
from acne_edge.sources.paths import expand

COLUMN = "path"
LISTS = (".parquet", ".jsonl")


def photographs(paths: Iterable[str]) -> list[tuple[str, ImageNotFoundError | None]]:
    """The photographs that are named, each once, as `sources.paths.expand`; relative paths of a list start at its folder.

    Raises UsageError for a list that cannot be read, and for stdin, which one process alone has.
    """
    found: dict[str, ImageNotFoundError | None] = {}
    for path in paths:
        if path == STDIN:
            raise UsageError("-: other processes cannot read this one's stdin; name files, folders or a list")
        if path.lower().endswith(LISTS) and os.path.isfile(path):
            found |= {os.path.normpath(os.path.join(os.path.dirname(path), name)): None for name in _listed(path)}
        else:
            found |= dict(expand([path]))
    return list(found.items())


def _listed(file: str) -> Iterator[str]:
    names = _of_parquet(file) if file.lower().endswith(".parquet") else _of_json_lines(file)
    for number, name in enumerate(names, start=1):
        if not isinstance(name, str) or not name:
            raise UsageError(f'{file}: row {number} has no path; each row wants a text in "{COLUMN}"')
        yield name


def _of_parquet(file: str) -> Iterable[object]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "ray", "a list in Parquet") from error
    try:
        return parquet.read_table(file, columns=[COLUMN])[COLUMN].to_pylist()  # type: ignore[no-any-return]
    except (pa.ArrowException, OSError, KeyError) as error:
        raise UsageError(f'{file}: is no Parquet file with a column "{COLUMN}" ({str(error).splitlines()[0]})') from error


def _of_json_lines(file: str) -> Iterator[object]:
    try:
        with open(file, encoding="utf-8") as stream:
            for line in stream:
                if line.strip():
                    value = json.loads(line)
                    yield value.get(COLUMN) if isinstance(value, dict) else value
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{file}: cannot be read as JSON lines ({getattr(error, 'strerror', None) or error})") from error
