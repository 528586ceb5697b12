"""Writes predictions as a table, JSON, JSON lines, CSV or FHIR, to stdout or a file; all but FHIR as soon as they are ready."""

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

Format = Literal["table", "json", "jsonl", "csv", "fhir"]


@dataclass
class Tally:
    """Counts the photographs of a batch, the failures and the abstentions."""

    images: int = 0
    failed: int = 0
    abstained: int = 0  # for another reason than that they are unfamiliar

    def count(self, results: Iterable[Prediction | Failure]) -> Iterator[Prediction | Failure]:
        """Pass the results on and count them; name each failure on stderr."""
        from acne_edge.grading import UNFAMILIAR  # here, as it brings numpy, which --help does without

        for result in results:
            self.images += 1
            if result.ok:
                self.abstained += result.abstained not in (None, UNFAMILIAR)
            else:
                self.failed += 1
                complain(f"{result.path}: {result.error.message}")
            yield result

    @property
    def exit_code(self) -> int:
        """3 if an image failed, 5 if every one was abstained on, else 0.

        To say of a picture that it is unfamiliar is an answer, not a failure: the photograph need not be taken again.
        """
        if self.failed:
            return 3
        return 5 if self.images and self.abstained == self.images else 0


@contextmanager
def destination(file: Path | None) -> Iterator[None]:
    """Redirects what is printed inside to a file; None and `-` mean stdout.

    Lines are written to FILE.partial, which is renamed to FILE at the end: until then an existing FILE is kept. Raises UsageError
    for a FILE that is a folder, lacks its folder or is named like a photograph, and OutputError if the system refuses.
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
            _tell(error, f"the results until then are in {partial}")
        raise


@contextmanager
def _printing_to(path: Path, name: str) -> Iterator[None]:
    # A photograph's path need not be UTF-8; its bytes are written unchanged.
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
        raise UsageError(f"{file}: named like a photograph, but results are text")


def _tell(error: BaseException, more: str) -> None:
    """Add a sentence to an error's message. A signal's exception, which has none, is replaced by one that has."""
    if isinstance(error, KeyboardInterrupt | SystemExit):
        with resumable(more):
            raise error
    if isinstance(error, AcneEdgeError | OutputError):
        error.args = (f"{error.args[0]}; {more}", *error.args[1:])
    else:
        complain(more)


def write(results: Iterable[Prediction | Failure], output: Format, lesion_map: bool = False) -> None:
    """Print results in a format; `lesion_map` adds the lesion map, in JSON only."""
    {"table": _table, "json": _json, "jsonl": _jsonl, "csv": _csv, "fhir": _fhir}[output](results, lesion_map)


def _jsonl(results: Iterable[Prediction | Failure], lesion_map: bool) -> None:
    for result in results:
        print(json.dumps(_record(result, lesion_map)))


def _json(results: Iterable[Prediction | Failure], lesion_map: bool) -> None:
    """Print a JSON list, which is closed, so that it can be read, even if the batch is stopped."""
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


def _fhir(results: Iterable[Prediction | Failure], lesion_map: bool) -> None:
    """One bundle, when all is done: its form has no place for what is half there."""
    from acne_edge.interop.fhir import bundle

    print(bundle(results).model_dump_json(indent=2))


HEAD = f"{'lesions':>7}  {'interval':<8}  {'grade':<23}  {'p':<4}  "  # the longest grade is "moderate to very severe"


def _table(results: Iterable[Prediction | Failure], lesion_map: bool) -> None:
    """Print aligned columns, each line as soon as its photograph is done; the path and any problems come last.

    If the line would be wider than the terminal, the problems go on lines of their own, under the path.
    """
    print(HEAD + "image  [what is wrong]")
    for result in results:
        figures, wrong = _cells(result)
        lesions, interval, grade, p = figures
        line = f"{lesions:>7}  {interval:<8}  {grade:<23}  {p:<4}  {printable(result.path or '-')}"
        for part in _wrapped(line, wrong):
            print(part)


def _cells(result: Prediction | Failure) -> tuple[tuple[str, str, str, str], str]:
    """The four figures of a line, and the photograph's problems."""
    if not result.ok:
        return ("-", "-", "-", "-"), result.error.code
    wrong = " ".join(result.warnings)
    if result.abstained and result.abstained not in result.quality.reasons:
        wrong = wrong.replace(f"{result.abstained} ", f"{result.abstained}: ", 1)
    if not result.is_counted:
        return ("-", "-", result.grade.text, "-"), wrong
    interval = f"{result.count_interval.low}-{result.count_interval.high}"
    sure = not result.abstained and result.count >= 0.5
    return (f"{result.count:.1f}", interval, result.grade.text, f"{result.probability:.2f}" if sure else "-"), wrong


def _wrapped(line: str, wrong: str) -> list[str]:
    """The lines of one photograph, wrapped for a terminal; other outputs have no width and get one line."""
    if not wrong:
        return [line]
    import shutil
    import textwrap

    columns = shutil.get_terminal_size((0, 0)).columns
    if not columns or len(line) + len(wrong) + 4 <= columns:
        return [f"{line}  [{wrong}]"]
    return [line, *(" " * len(HEAD) + part for part in textwrap.wrap(f"[{wrong}]", max(20, columns - len(HEAD))))]
