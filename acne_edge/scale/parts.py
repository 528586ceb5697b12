"""Results as Parquet files, `part-00000.parquet` and so on: a row a photograph, predicted or failed.

The columns are those of the CSV (`Prediction.to_row`), then `schema` and `result`, the JSON of `predict --format jsonl`. A part
appears whole or not at all, so what is written is what is done. The files' metadata say by which model and settings.
"""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acne_edge import files
from acne_edge.errors import AcneEdgeError, MissingExtraError, UsageError
from acne_edge.prediction import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from acne_edge.prediction import Failure, Prediction

NAME = re.compile(r"part-(\d{5,})\.parquet")
KEY = b"acne_edge"
REALS, WHOLES = ("count", "probability"), ("low", "high", "grade")


def row(result: Prediction | Failure) -> dict[str, Any]:
    """A result as a row."""
    record = result.to_dict()
    return {**result.to_row(), "schema": record["schema"], "result": json.dumps(record)}


def table(rows: list[dict[str, Any]]) -> pa.Table:
    """Rows as a table with the columns' types. Raises MissingExtraError without pyarrow."""
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingExtraError("pyarrow", "ray", "results as Parquet") from error
    kinds = dict.fromkeys(REALS, pa.float64()) | dict.fromkeys(WHOLES, pa.int32())
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in (*COLUMNS, "schema", "result")])
    return pa.Table.from_pylist(rows, schema)


class Parts:
    """The parts in a folder.

    Args:
        folder: made if it is missing.
        made_by: model and settings; parts by others are not added to.
        resume: whether there may be parts already.

    Raises UsageError for parts without `resume`, by another model or with other settings, or which cannot be read, and
    AcneEdgeError if the folder cannot be used.
    """

    def __init__(self, folder: Path, made_by: Mapping[str, Any], resume: bool = False) -> None:
        self.folder, self._made_by = folder, json.dumps(made_by, sort_keys=True).encode()
        self.done: set[str] = set()  # paths with a row
        try:
            folder.mkdir(parents=True, exist_ok=True)
            parts = sorted(path for path in folder.iterdir() if NAME.fullmatch(path.name))
        except OSError as error:
            raise AcneEdgeError(f"{folder}: results cannot be kept there ({error.strerror})") from error
        if parts and not resume:
            raise UsageError(f"{folder}: holds results already; add --resume, or name another folder")
        for part in parts:
            self.done |= self._paths(part)
        self._next = max((int(part.stem.partition("-")[2]) for part in parts), default=-1) + 1

    def _paths(self, part: Path) -> set[str]:
        import pyarrow as pa
        from pyarrow import parquet

        try:
            table = parquet.read_table(part, columns=["path"])
        except (pa.ArrowException, OSError) as error:
            raise UsageError(
                f"{part}: cannot be read ({str(error).splitlines()[0]}); delete it to predict its rows again"
            ) from error
        if (table.schema.metadata or {}).get(KEY) != self._made_by:
            raise UsageError(f"{part}: made by another model or with other settings; name another folder")
        return set(table["path"].to_pylist())

    def add(self, rows: pa.Table) -> Path:
        """Write the next part. Raises AcneEdgeError if it cannot be written."""
        from pyarrow import parquet

        content = io.BytesIO()
        parquet.write_table(rows.replace_schema_metadata({KEY: self._made_by}), content, compression="zstd")
        path = self.folder / f"part-{self._next:05d}.parquet"
        files.write(path, content.getvalue())
        self._next += 1
        self.done |= set(rows["path"].to_pylist())
        return path
