"""What every command line of the project shares: one-line errors, exit codes, progress, the log on stderr.

Exit codes: 0 ok, 1 the system failed or a defect, 2 usage, 3 some or all images failed, 4 model refused, 5 all abstained,
130 interrupted. An `AcneEdgeError` carries its own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from acne_edge.errors import AcneEdgeError

if TYPE_CHECKING:
    import typer

INTERRUPTED = 130


def application(help_text: str) -> typer.Typer:
    """A command line whose errors are left to `run`, and whose help is plain text."""
    import typer

    return typer.Typer(
        add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False, help=help_text
    )


def run(call: Callable[[list[str]], object], program: str) -> None:
    """Call a command line with the process's arguments; errors become one line on stderr and an exit code.

    `--debug`, anywhere among the arguments, shows the traceback instead.
    """
    debug = "--debug" in sys.argv[1:]
    try:
        with _quiet_pipe():
            call([a for a in sys.argv[1:] if a != "--debug"])
    except AcneEdgeError as error:
        if debug:
            raise
        complain(str(error), program)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        complain("interrupted", program)
        sys.exit(INTERRUPTED)
    except OSError as error:
        if debug:
            raise
        where = f"{error.filename}: " if error.filename else ""
        complain(f"{where}{error.strerror or error}", program)
        sys.exit(1)
    except Exception as error:
        if debug:
            raise
        complain(f"internal error: {type(error).__name__}: {error}; run again with --debug and report it", program)
        sys.exit(1)


class InterruptedWorkError(AcneEdgeError):
    """Work was interrupted that can be gone on with; the message says how."""

    code = "interrupted"
    exit_code = INTERRUPTED


def complain(message: str, program: str = "acne-edge") -> None:
    """One line on stderr, after the program's name."""
    print(f"{program}: " + " ".join(message.split()), file=sys.stderr)


@contextmanager
def busy(label: str) -> Iterator[None]:
    """A spinner on stderr, only on a terminal, for work that cannot say how far it is."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(label):
        yield


def log_to_stderr(program: str = "acne-edge", packages: Sequence[str] = ("acne_edge",)) -> None:
    """Show what the packages log, from INFO up, one line a record on stderr."""
    import logging

    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(f"{program}: %(message)s"))
    for package in packages:
        logger = logging.getLogger(package)
        logger.handlers[:] = [handler]
        logger.setLevel(logging.INFO)


def progress(items: Iterator[Any], label: str, total: int) -> Iterator[Any]:
    """A progress bar on stderr, only on a terminal."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(items, label, total, console=Console(stderr=True), transient=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on stdout: the first column to the left, the others to the right; whole lines wherever they go."""
    from rich.console import Console
    from rich.table import Table

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        shown.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        shown.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 500, highlight=False, markup=False).print(shown)


@contextmanager
def _quiet_pipe() -> Iterator[None]:
    """`acne-edge ... | head` ends without a word when head has seen enough."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
