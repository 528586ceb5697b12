"""Shared by every command line of the project: one-line errors, exit codes, whole lines of output, progress, the log on stderr.

Exit codes: 0 ok, 1 the system failed or a defect, 2 usage, 3 some or all images failed, 4 model refused, 5 all abstained, 6 a
record was changed, 7 photographs have drifted, and 128 + the number of the signal that ended the program: 130 interrupted
(SIGINT), 143 terminated (SIGTERM), 129 hung up (SIGHUP).
An `AcneEdgeError` carries its own.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

from acne_edge.errors import AcneEdgeError

if TYPE_CHECKING:
    from threading import Event
    from types import FrameType

    import typer

SIGNALS = {130: "interrupted", 143: "terminated", 129: "hung up"}  # exit code and its word; the signal is the code - 128
CONTROLS = re.compile("[\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")  # would break a line, or drive the terminal

PATIENCE = 1.0  # seconds that a signal waits for an import
TIMED = hasattr(signal, "setitimer")  # Windows has no timer that could end the wait: there, a signal does not wait


def application(help_text: str, **settings: Any) -> typer.Typer:
    """A command line whose errors are left to `run`, and whose help is plain text. `settings`: of Typer."""
    import typer

    usual = {
        "add_completion": False,
        "no_args_is_help": True,
        "rich_markup_mode": None,
        "pretty_exceptions_enable": False,
        "context_settings": {"help_option_names": ["-h", "--help"]},
    }
    return typer.Typer(help=help_text, **{**usual, **settings})


def run(call: Callable[..., object], program: str) -> None:
    """Call a Typer application with the process's arguments; errors become one line on stderr and an exit code.

    `--debug`, anywhere among the arguments, shows the traceback instead.
    """
    debug = "--debug" in sys.argv[1:]
    arguments = [a for a in sys.argv[1:] if a != "--debug"]
    try:
        with _streams(), _signals.raised():
            code, message = _outcome(call, arguments, debug)
            if message:
                complain(message, program)
            if code:
                sys.exit(code)
    except KeyboardInterrupt:  # just before or just after the work
        complain(SIGNALS[130], program)
        sys.exit(130)


class OutputError(Exception):
    """Stdout, or the file in its place, cannot be written. It is not an OSError, which Typer would turn into its own exit."""

    def __init__(self, name: str, error: OSError) -> None:
        super().__init__(f"{name}: {error.strerror or error}")
        self.reader_is_gone = isinstance(error, BrokenPipeError)


def stop_on_signals() -> Event:
    """An event that SIGINT and SIGTERM set from now on, for a loop that ends between two photographs.

    The handler wakes a thread that sets it. If it set the event itself, it would wait for ever whenever the signal finds the main
    thread inside of the event's `wait`, whose lock it needs; a `SimpleQueue` can be written to by a handler at any moment.
    """
    from queue import SimpleQueue
    from threading import Event, Thread

    stop, arrived = Event(), SimpleQueue[int]()

    def pass_on() -> None:
        arrived.get()
        stop.set()

    Thread(target=pass_on, name="acne-edge-stop", daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: arrived.put(number))
    return stop


def _outcome(call: Callable[..., object], arguments: list[str], debug: bool) -> tuple[int, str]:
    """The exit code, and the message for stderr."""
    try:
        code = _exit_code(call, arguments)
        if code not in SIGNALS:  # Typer makes an exit code of an interrupt; the line that was begun is not to be there
            sys.stdout.flush()
        return code, SIGNALS.get(code, "")
    except OutputError as error:
        _give_up_stdout()
        if error.reader_is_gone:  # `acne-edge ... | head` ends silently when head has read enough
            return 0, ""
        return 1, str(error)
    except SystemExit as stop:  # of a signal
        return int(stop.code or 0), SIGNALS[int(stop.code or 0)]
    except KeyboardInterrupt:
        return 130, SIGNALS[130]
    except Exception as error:
        if debug:
            raise
        code, message = _of_error(error)
        if _signals.ended and not isinstance(error, AcneEdgeError):  # some library made this error of the signal's exception
            return _signals.ended, SIGNALS[_signals.ended]
        return code, message


def _exit_code(call: Callable[..., object], arguments: list[str]) -> int:
    try:
        result = call(arguments, standalone_mode=False)  # otherwise Typer ends the process itself
    except SystemExit as stop:
        if stop.code in SIGNALS:
            raise
        result = stop.code
    return result if isinstance(result, int) else 0


def _of_error(error: Exception) -> tuple[int, str]:
    if isinstance(error, AcneEdgeError):
        return error.exit_code, str(error)
    if isinstance(error, OSError):
        return 1, f"{os.fsdecode(error.filename)}: {error.strerror}" if error.filename else str(error.strerror or error)
    if type(error).__name__ == "Abort":  # Typer before 0.28, of an interrupt
        return 130, SIGNALS[130]
    usage = getattr(error, "format_message", None)  # of Typer's own usage errors, whose classes move between its versions
    if usage is not None:
        return _usage_error(error, usage())
    return 1, f"internal error: {type(error).__name__}: {error}; run again with --debug and report it"


def _usage_error(error: Any, message: str) -> tuple[int, str]:
    if type(error).__name__ == "NoArgsIsHelpError":  # its message is the help
        sys.stderr.write(message.rstrip("\n") + "\n")
        return 2, ""
    context = getattr(error, "ctx", None)
    see = f"; see {context.command_path} --help" if context is not None else ""
    return 2, message.rstrip(".") + see


class InterruptedWorkError(AcneEdgeError):
    """A signal interrupted work that can be resumed; the message says how. `exit_code` is the signal's, from `SIGNALS`."""

    code = "interrupted"

    def __init__(self, how_to_go_on: str, exit_code: int) -> None:
        super().__init__(f"{SIGNALS[exit_code]}; {how_to_go_on}")
        self.exit_code = exit_code


@contextmanager
def resumable(how_to_go_on: str) -> Iterator[None]:
    """Around work that a signal may interrupt: the error line then says how to resume it. Raises InterruptedWorkError."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as stop:
        code = stop.code if isinstance(stop, SystemExit) else 130
        if not isinstance(code, int) or code not in SIGNALS:
            raise
        raise InterruptedWorkError(how_to_go_on, code) from stop


def complain(message: str, program: str = "acne-edge") -> None:
    """One line on stderr, after the program's name. A stderr that cannot be written is no reason to fail."""
    with suppress(OSError, ValueError):
        print(f"{program}: {printable(' '.join(message.split()))}", file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """The text with its control characters escaped: file names may hold line feeds and terminal escape sequences."""
    return CONTROLS.sub(lambda found: repr(found[0])[1:-1], text)


@contextmanager
def busy(label: str) -> Iterator[None]:
    """A spinner on stderr, only on a terminal, for work whose progress is unknown."""
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
    logging.raiseExceptions = False  # a full disk behind stderr is no reason to stop


def progress(items: Iterator[Any], label: str, total: int) -> Iterator[Any]:
    """A progress bar with the time left, on stderr, only on a terminal. Other output to stderr appears above it.

    Stdout is not redirected, so use it only for work that does not print to the same terminal meanwhile.
    """
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
        yield from bar.track(items, total, description=label)


class Lines:
    """A text stream that is written in whole lines, each at once: finished lines are not lost, and none is cut short.

    A signal that arrives while a line is written takes effect after it. Raises OutputError if the system refuses the write.
    """

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream, self._name, self._begun = stream, name, ""

    def write(self, text: str) -> int:
        """Take in text; the lines that it completes are written."""
        whole, feed, self._begun = (self._begun + text).rpartition("\n")
        if feed:
            self._put(whole + feed)
        return len(text)

    def flush(self) -> None:
        """Write an unfinished line, too."""
        begun, self._begun = self._begun, ""
        self._put(begun)

    def _put(self, text: str) -> None:
        try:
            with _signals.held():
                if text:
                    self._stream.write(text)
                self._stream.flush()
        except OSError as error:
            raise OutputError(self._name, error) from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Signals:
    """Turns SIGINT, SIGTERM and SIGHUP into exceptions.

    They wait for the end of a line that is being written, and of an import: an exception out of the middle of one may be lost, or
    leave a lock held for which another thread that imports waits for ever. A second signal does not wait, and the first waits no
    longer than `PATIENCE`.
    """

    def __init__(self) -> None:
        self._writing, self._pending, self._since = False, 0, 0.0
        self.ended = 0  # the exit code of the signal whose exception was raised

    @contextmanager
    def raised(self) -> Iterator[None]:
        """Raise them; only the main thread can."""
        before: dict[int, Any] = {}
        self.ended = 0
        with suppress(ValueError):
            for number in {code - 128 for code in SIGNALS} & signal.valid_signals():  # Windows has no SIGHUP
                if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                    before[number] = signal.signal(number, self._arrived)
            if TIMED:
                before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._again)
        try:
            yield
        finally:
            self._pending = 0
            if before and TIMED:
                signal.setitimer(signal.ITIMER_REAL, 0)  # or it would end the process, once its handler is gone
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold one back until the end of the block."""
        self._writing = True
        try:
            yield
        finally:
            self._writing, number, self._pending = False, self._pending, 0
        if number:
            self._raise(number)

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        if self._pending or not (self._writing or (TIMED and _importing(frame))):
            self._raise(number)
        self._pending, self._since = number, time.monotonic()
        self._look_again()

    def _again(self, number: int, frame: FrameType | None) -> None:
        if not self._pending or self._writing:  # the line's end raises it
            return
        if _importing(frame) and time.monotonic() < self._since + PATIENCE:
            self._look_again()
            return
        number, self._pending = self._pending, 0
        self._raise(number)

    def _look_again(self) -> None:
        if not self._writing:
            signal.setitimer(signal.ITIMER_REAL, 0.01)  # seconds

    def _raise(self, number: int) -> None:
        self.ended = 128 + number
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)


def _importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported, in the frame or in one that waits for it."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


_signals = _Signals()


class _Nowhere(io.StringIO):
    """Stands in for a closed stderr: it accepts everything."""

    def write(self, text: str) -> int:
        """Do nothing."""
        return len(text)


class _Closed(io.StringIO):
    """Stands in for a closed stdout: every write fails."""

    def write(self, text: str) -> int:
        """Raise OSError."""
        raise OSError(errno.EBADF, "it is closed")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on stdout: the first column left-aligned, the others right-aligned; written in whole lines.

    On a narrower terminal its lines are folded by that, and nothing is cut off.
    """
    from rich.console import Console
    from rich.table import Table

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        shown.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        shown.add_row(*row)
    Console(width=500, highlight=False, markup=False).print(shown)


@contextmanager
def _streams() -> Iterator[None]:
    """Make the standard streams safe to write to, whatever the caller has closed and whatever their encoding lacks."""
    _keep_descriptors()
    before = sys.stdout, sys.stderr
    if sys.stderr is None:
        sys.stderr = _Nowhere()
    out = sys.stdout or _Closed()
    errors = out.errors
    reconfigure = getattr(out, "reconfigure", None)
    if reconfigure:
        reconfigure(errors=ESCAPED)
    sys.stdout = Lines(out, "stdout")  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        if reconfigure:
            with suppress(OSError):
                reconfigure(errors=errors)


def _keep_descriptors() -> None:
    """Open those of descriptors 0, 1 and 2 that are closed, so that no later file gets one and is written to by mistake."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)  # takes the lowest number that is free


def _give_up_stdout() -> None:
    """Discard what is still buffered, so that the end of the process does not fail on it again."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


ESCAPED = "acne-edge-escaped"


def _escaped(error: UnicodeError) -> tuple[str | bytes, int]:
    """Write undecodable bytes of a file name unchanged, and escape other characters that the encoding lacks."""
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end]
    if all("\udc80" <= c <= "\udcff" for c in text):
        return codecs.lookup_error("surrogateescape")(error)
    return codecs.lookup_error("backslashreplace")(error)


codecs.register_error(ESCAPED, _escaped)
