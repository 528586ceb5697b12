"""Predictions as a table, JSON, JSON lines or CSV on stdout or in a file, each as soon as it is there."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from acne_edge.console import Lines, OutputError, complain, printable, resumable
from acne_edge.errors import AcneEdgeError, UsageError

if TYPE_CHECKING:
    from acne_edge.prediction import Failure, Prediction

Format = Literal["table", "json", "jsonl", "csv"]


@dataclass
class Tally:
    """How many photographs a batch had, and what became of them."""

    images: int = 0
    failed: int = 0
    abstained: int = 0

    def count(self, results: Iterable[Prediction | Failure]) -> Iterator[Prediction | Failure]:
        """Pass the results on, counted; name each failure on stderr."""
        for result in results:
            self.images += 1
            if result.ok:
                self.abstained += bool(result.abstained)
            else:
                self.failed += 1
                complain(f"{result.path}: {result.error.message}")
            yield result

    @property
    def exit_code(self) -> int:
        """3 if an image failed, 5 if every one was abstained on, else 0."""
        if self.failed:
            return 3
        return 5 if self.images and self.abstained == self.images else 0


@contextmanager
def destination(file: Path | None) -> Iterator[None]:
    """What is printed inside goes to a file, if one is named; None and `-` are stdout.

    It is written line by line to FILE.partial, which takes the file's name when all is well: until then a file that is there
    already is kept. Raises UsageError for a file that cannot be meant, and OutputError for what the system refuses.
    """
    if file is None or str(file) == "-":
        yield
        return
    _check(file)
    target = Path(os.path.realpath(file))
    if target.exists() and not target.is_file():  # a pipe, or a device
        with _printing_to(target, str(file)):
            yield
        return
    partial = target.with_name(target.name + ".partial")
    try:
        with _printing_to(partial, str(file)):
            yield
        if target.exists():
            partial.chmod(stat.S_IMODE(target.stat().st_mode))
        os.replace(partial, target)
    except BaseException as error:
        if partial.exists() and not partial.stat().st_size:
            partial.unlink()
        elif partial.exists():
            _tell(error, f"what was done until then is in {partial}")
        raise


@contextmanager
def _printing_to(path: Path, name: str) -> Iterator[None]:
    # The bytes of a photograph's path need not be UTF-8, and go out as they came in.
    stream = path.open("w", encoding="utf-8", errors="surrogateescape", newline="")
    try:
        with redirect_stdout(Lines(stream, name)) as lines:  # type: ignore[type-var]
            yield
            lines.flush()
        if path.is_file():
            os.fsync(stream.fileno())
    except OSError as error:
        raise OutputError(name, error) from error
    finally:
        with suppress(OSError):  # of what could not be written, which was said already
            stream.close()


def _check(file: Path) -> None:
    from acne_edge.sources.paths import is_photograph

    if file.is_dir():
        raise UsageError(f"{file}: is a folder; --output names a file")
    if not file.parent.is_dir():
        raise UsageError(f"{file}: no such folder: {file.parent}")
    if is_photograph(file.name):
        raise UsageError(f"{file}: is called like a photograph; results are text")


def _tell(error: BaseException, more: str) -> None:
    """Add to what the user is told of an error. Raises another in the place of a signal's, which has no words."""
    if isinstance(error, KeyboardInterrupt | SystemExit):
        with resumable(more):
            raise error
    if isinstance(error, AcneEdgeError | OutputError):
        error.args = (f"{error.args[0]}; {more}", *error.args[1:])
    else:
        complain(more)


def write(results: Iterable[Prediction | Failure], output: Format, lesion_map: bool = False) -> None:
    """Print results in a format; with the lesion map, in JSON only, if it is wanted."""
    {"table": _table, "json": _json, "jsonl": _jsonl, "csv": _csv}[output](results, lesion_map)


def _jsonl(results: Iterable[Prediction | Failure], lesion_map: bool) -> None:
    for result in results:
        print(json.dumps(_record(result, lesion_map)))


def _json(results: Iterable[Prediction | Failure], lesion_map: bool) -> None:
    """A list; it is closed, and can be read, also when the batch is stopped."""
    separator = "["
    try:
        for result in results:
            sys.stdout.write(separator + "\n" + json.dumps(_record(result, lesion_map), indent=2))
            sys.stdout.flush()
            separator = ","
    finally:
        print("\n]" if separator == "," else "[]")


def _record(result: Prediction | Failure, lesion_map: bool) -> dict[str, Any]:
    return result.to_dict(lesion_map) if result.ok else result.to_dict()


def _csv(results: Iterable[Prediction | Failure], lesion_map: bool) -> None:
    import csv

    from acne_edge.prediction import COLUMNS

    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for result in results:
        writer.writerow(result.to_row())


HEAD = f"{'lesions':>7}  {'interval':<8}  {'grade':<23}  {'p':<4}  "  # the longest grade is "moderate to very severe"


def _table(results: Iterable[Prediction | Failure], lesion_map: bool) -> None:
    """Aligned columns, a line as soon as its photograph is done; last what has no fixed width, the path and what is wrong.

    Where the line would be longer than the terminal is wide, what is wrong stands in lines of its own, under the path.
    """
    print(HEAD + "image  [what is wrong]")
    for result in results:
        figures, wrong = _cells(result)
        lesions, interval, grade, p = figures
        line = f"{lesions:>7}  {interval:<8}  {grade:<23}  {p:<4}  {printable(result.path or '-')}"
        for part in _wrapped(line, wrong):
            print(part)


def _cells(result: Prediction | Failure) -> tuple[tuple[str, str, str, str], str]:
    """The four figures of a line, and what is wrong with the photograph."""
    if not result.ok:
        return ("-", "-", "-", "-"), result.error.code
    wrong = " ".join(result.quality.reasons)
    if result.abstained and result.abstained not in result.quality.reasons:
        wrong = f"{result.abstained}: {wrong}" if wrong else result.abstained
    if not result.is_counted:
        return ("-", "-", result.grade.text, "-"), wrong
    interval = f"{result.count_interval.low}-{result.count_interval.high}"
    sure = not result.abstained and result.count >= 0.5
    return (f"{result.count:.1f}", interval, result.grade.text, f"{result.probability:.2f}" if sure else "-"), wrong


def _wrapped(line: str, wrong: str) -> list[str]:
    """The lines of one photograph, for a terminal; anything else has no width, and takes one line."""
    if not wrong:
        return [line]
    import shutil
    import textwrap

    columns = shutil.get_terminal_size((0, 0)).columns
    if not columns or len(line) + len(wrong) + 4 <= columns:
        return [f"{line}  [{wrong}]"]
    return [line, *(" " * len(HEAD) + part for part in textwrap.wrap(f"[{wrong}]", max(20, columns - len(HEAD))))]
