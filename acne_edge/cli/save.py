"""`acne-edge predict --save DIR`: writes a picture of each photograph, predictions.jsonl and predictions.csv as results come.

A killed batch keeps everything that it had finished, as `predictions.jsonl` records. Each line is written just before its
picture, so a photograph is done again if its picture is missing, its line is cut off, or it failed.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

from acne_edge.console import complain
from acne_edge.cpus import available_cpus
from acne_edge.errors import AcneEdgeError, UsageError
from acne_edge.files import STDIN, write
from acne_edge.parallel import in_order

if TYPE_CHECKING:
    from acne_edge.errors import ImageNotFoundError
    from acne_edge.prediction import Failure, Prediction

Found: TypeAlias = "tuple[str, ImageNotFoundError | None]"

RECORDS, TABLE = "predictions.jsonl", "predictions.csv"
PICTURE = ".jpg"


class SavedBatch:
    """The folder of a saved batch. It never overwrites an existing file, so no photograph is ever lost.

    Raises UsageError if the folder holds a batch and `resume` is not set, or a batch that cannot be resumed, and AcneEdgeError
    if it cannot be read or written.
    """

    def __init__(self, folder: Path, resume: bool = False) -> None:
        self.folder, self._resume = folder, resume
        self.failed = 0  # pictures that could not be drawn
        self.stdin = b""  # the photograph of a result without a path, or with the path `-`
        self._done: set[str] = set()  # paths of finished photographs
        self._pictures: set[str] = set()  # real paths of their pictures
        self._made_by: tuple[str, str] | None = None  # the model's sha256, and the scale
        there = next((folder / name for name in (RECORDS, TABLE) if (folder / name).exists()), None)
        if there and not resume:
            raise UsageError(f"{there}: exists already; resume the batch with --resume, or name another folder")
        try:
            if (folder / RECORDS).exists():
                self._tidy()
        except OSError as error:
            raise self._unusable(error) from error

    def missing(self, found: Sequence[Found]) -> list[Found]:
        """The found paths (`sources.paths.expand`) that are neither done nor pictures of the batch; `-` is always kept."""
        if not self._done:
            return list(found)
        missing = [
            (path, error)
            for path, error in found
            if path == STDIN or not (path in self._done or os.path.realpath(path) in self._pictures)
        ]
        complain(f"{self.folder}: {len(self._done)} photographs are done, {len(missing)} are not")
        return missing

    def keep(self, results: Iterable[Prediction | Failure]) -> Iterator[Prediction | Failure]:
        """Save each result, then pass it on."""
        first = True
        with ExitStack() as self._files:
            for result, picture in self._with_pictures(results):
                if first:  # so that a batch without a usable model leaves nothing behind
                    self._open()
                    first = False
                self._keep(result, picture)
                yield result

    def _open(self) -> None:
        mode = "a" if self._resume else "x"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._records = self._files.enter_context((self.folder / RECORDS).open(mode, encoding="utf-8"))
            self._table = _Table(self._files.enter_context(_open_table(self.folder / TABLE, mode)))
            self._names = {name.casefold() for name in os.listdir(self.folder)}  # some systems tell no case apart
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> AcneEdgeError:
        return AcneEdgeError(f"{self.folder}: a batch cannot be kept there ({error.strerror})")

    def _keep(self, result: Prediction | Failure, picture: bytes | None) -> None:
        record = result.to_dict()
        if result.ok:
            made_by = (result.model.sha256, result.scale)
            if self._made_by not in (None, made_by):
                raise UsageError(f"{self.folder / RECORDS}: made by another model or on another scale; name another folder")
            self._made_by = made_by
            record["picture"] = self._free_name(result.path) if picture else None
        self._records.write(json.dumps(record) + "\n")
        self._records.flush()
        if picture:
            write(self.folder / record["picture"], picture)
        self._table.add(record)

    def _with_pictures(self, results: Iterable[Prediction | Failure]) -> Iterator[tuple[Prediction | Failure, bytes | None]]:
        """Each result and its picture, in order. Pictures are drawn in threads, because drawing takes longer than predicting."""
        return in_order(lambda result: (result, self._picture(result) if result.ok else None), results, available_cpus(), ahead=1)

    def _picture(self, result: Prediction) -> bytes | None:
        try:
            return result.picture(PICTURE, self.stdin if result.path in (None, STDIN) else None)
        except AcneEdgeError as error:
            self.failed += 1
            complain(f"{result.path or 'input'}: no picture: {error.message}")
            return None

    def _free_name(self, path: str | None) -> str:
        """A name that is free in the folder: the photograph's, with a number if that is taken."""
        stem = "stdin" if path in (None, STDIN) else Path(path).stem
        number, name = 1, f"{stem}.marked{PICTURE}"
        while name.casefold() in self._names:
            number += 1
            name = f"{stem}-{number}.marked{PICTURE}"
        self._names.add(name.casefold())
        return name

    def _tidy(self) -> None:
        """Remove everything but finished photographs from both files."""
        new_records, new_table = (self.folder / f".{name}.tmp" for name in (RECORDS, TABLE))
        try:
            with new_records.open("w", encoding="utf-8") as records, _open_table(new_table, "w") as table:
                rows = _Table(table)
                for record in self._finished():
                    records.write(json.dumps(record) + "\n")
                    rows.add(record)
                    self._done.add(record["path"])
                    self._pictures.add(os.path.realpath(self.folder / record["picture"]))
                    self._made_by = (record["model"]["sha256"], record["scale"])
            os.replace(new_records, self.folder / RECORDS)
            os.replace(new_table, self.folder / TABLE)
        finally:
            new_records.unlink(missing_ok=True)
            new_table.unlink(missing_ok=True)

    def _finished(self) -> Iterator[dict[str, Any]]:
        """The records of predictions whose pictures are there."""
        file = self.folder / RECORDS
        with file.open(encoding="utf-8", errors="replace") as stream:
            for number, line in enumerate(stream, 1):
                try:
                    record = json.loads(line)
                    picture = None if "error" in record else record["picture"]
                    if picture is not None and (self.folder / picture).is_file():
                        yield record
                except (ValueError, KeyError, TypeError) as error:
                    if line.endswith("\n"):  # only the last one may be cut off
                        raise UsageError(
                            f"{self.folder / RECORDS}:{number}: not a line of a batch; name another folder"
                        ) from error


def _open_table(path: Path, mode: str) -> IO[str]:
    return path.open(mode, encoding="utf-8", errors="surrogateescape", newline="")  # a path is bytes, and need not be UTF-8


class _Table:
    """The CSV file, written row by row."""

    def __init__(self, stream: IO[str]) -> None:
        from acne_edge.prediction import COLUMNS

        self._stream = stream
        self._writer = csv.DictWriter(stream, (*COLUMNS, "picture"), lineterminator="\n")
        if stream.tell() == 0:
            self._writer.writeheader()

    def add(self, record: dict[str, Any]) -> None:
        """Write a row to the disk."""
        from acne_edge.prediction import row

        self._writer.writerow(row(record) | {"picture": record.get("picture")})
        self._stream.flush()
