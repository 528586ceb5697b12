"""Runs the device path as it would find things on Windows: without what only POSIX has, and with Windows' rules for files.

    python -m tests.without_posix FOLDER    an empty folder; writes what came out to FOLDER/result.json

Windows itself is not simulated: paths, the console and the packages that are installed stay those of this system. These packages,
and Python's own modules, which have their ways on Windows, keep what POSIX has; acne_edge alone must do without.
"""

from __future__ import annotations

import builtins
import io
import json
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

MODULES = ("fcntl", "resource", "pwd", "grp", "termios", "pty", "tty", "syslog", "readline", "curses", "spwd", "crypt")
OF_OS = (
    "fork", "forkpty", "getuid", "geteuid", "getgid", "getegid", "sched_getaffinity", "posix_spawn", "posix_spawnp", "wait3",
    "wait4", "uname", "getloadavg", "mkfifo", "chown", "fchown", "lchown", "fchmod", "setsid", "killpg", "statvfs",
    "fstatvfs", "pread", "pwrite", "sysconf", "nice", "register_at_fork", "sendfile", "getpgid", "openpty", "fdatasync",
    "getxattr", "setxattr", "O_CLOEXEC", "O_NONBLOCK", "O_DIRECTORY", "O_NOFOLLOW", "O_SYNC", "O_DSYNC", "O_NOCTTY",
    "POSIX_SPAWN_OPEN", "WNOWAIT",
)  # fmt: skip
OF_SIGNAL = (
    "SIGALRM", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGUSR1", "SIGUSR2", "SIGCHLD", "SIGQUIT", "SIGTSTP", "SIGCONT", "SIGSTOP",
    "SIGWINCH", "setitimer", "getitimer", "ITIMER_REAL", "alarm", "pause", "pthread_kill", "pthread_sigmask", "sigwait",
    "siginterrupt",
)  # fmt: skip
SIGNALS = {signal.SIGABRT, signal.SIGFPE, signal.SIGILL, signal.SIGINT, signal.SIGSEGV, signal.SIGTERM}  # and SIGBREAK
BINARY = 1 << 40  # stands for O_BINARY, which this system has not


def hide() -> None:
    """Take away what Windows lacks, and make files, signals and text behave as they do there."""
    real_import = builtins.__import__

    def imported(name: str, *rest: Any, **named: Any) -> Any:
        if name in MODULES and _of_ours():
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return real_import(name, *rest, **named)

    builtins.__import__ = imported
    for owner, names in ((os, OF_OS), (signal, OF_SIGNAL)):
        _without(owner, names)
    _signals()
    _files()
    warnings.filterwarnings("error", category=EncodingWarning, module="acne_edge")  # the default encoding is no UTF-8 there


def _of_ours() -> bool:
    """Whether the function that calls this one was called by acne_edge."""
    return str(sys._getframe(2).f_globals.get("__name__")).partition(".")[0] == "acne_edge"


def _without(module: ModuleType, names: tuple[str, ...]) -> None:
    """Hide names of a module from acne_edge."""
    hidden = {name: module.__dict__.pop(name) for name in names if name in module.__dict__}

    def found(name: str) -> Any:
        if name not in hidden or _of_ours():
            raise AttributeError(f"module '{module.__name__}' has no attribute '{name}'")
        return hidden[name]

    module.__getattr__ = found  # type: ignore[method-assign]


def _signals() -> None:
    def checked(call: Callable[..., Any]) -> Callable[..., Any]:
        def only_known(number: int, *rest: Any) -> Any:
            if number not in SIGNALS:
                raise ValueError("signal number out of range")
            return call(number, *rest)

        return only_known

    signal.getsignal, signal.signal = checked(signal.getsignal), checked(signal.signal)
    signal.valid_signals = lambda: set(SIGNALS)  # type: ignore[assignment]


def _files() -> None:
    """A file that is open keeps its name; a folder cannot be opened; lines that are written get another end unless in binary."""
    real_open = os.open

    def opened(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        if os.path.isdir(path):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        if not flags & BINARY and path != os.devnull and _of_ours():
            raise AssertionError(f"{path} is opened in text mode")
        return real_open(path, flags & ~BINARY, *rest, **named)

    def refusing(call: Callable[..., Any]) -> Callable[..., Any]:
        def only_closed(path: Any, *rest: Any, **named: Any) -> Any:
            for name in (path, *rest):
                if os.path.realpath(name) in _open_files():
                    raise PermissionError(13, "The process cannot access the file because it is being used", os.fspath(name))
            return call(path, *rest, **named)

        return only_closed

    os.O_BINARY, os.open = BINARY, opened  # type: ignore[attr-defined, assignment]
    for name in ("replace", "rename", "unlink", "remove"):
        setattr(os, name, refusing(getattr(os, name)))


def _open_files() -> set[str]:
    return {os.path.realpath(entry) for entry in Path("/proc/self/fd").iterdir()}


def imports() -> dict[str, str]:
    """Import every module of the device path; those that could not be, with the reason."""
    import acne_edge

    failed = {}
    root = Path(acne_edge.__path__[0])
    for path in sorted(root.rglob("*.py")):
        name = ".".join(path.relative_to(root.parent).with_suffix("").parts).removesuffix(".__init__")
        if name.startswith(("acne_edge.training", "acne_edge.__pyinstaller", "acne_edge.__main__")):
            continue
        try:
            import_module(name)
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {error}"
    return failed


def command(*arguments: object) -> dict[str, Any]:
    """Run one command line in this process: its exit code, and what it printed."""
    from acne_edge.cli import main as cli

    out, err = io.TextIOWrapper(io.BytesIO(), "cp1252", write_through=True), io.StringIO()
    before, sys.argv = sys.argv, ["acne-edge", *map(str, arguments)]
    code: object = 0
    try:
        with redirect_stdout(out), redirect_stderr(err):
            cli.main()
    except SystemExit as stop:
        code = stop.code
    finally:
        sys.argv = before
    return {"code": code, "out": out.buffer.getvalue().decode("cp1252"), "err": err.getvalue()}  # type: ignore[attr-defined]


def watched(folder: Path, record: Path) -> dict[str, Any]:
    """Watch a folder until its photographs are done, a signal ends it."""
    from acne_edge.sources import journal

    kept, done = journal.Journal.add, len(list(folder.iterdir()))

    def add(self: journal.Journal, *arguments: Any) -> None:
        nonlocal done
        kept(self, *arguments)
        done -= 1
        if not done:
            threading.Timer(0, signal.raise_signal, (signal.SIGTERM,)).start()

    journal.Journal.add = add  # type: ignore[method-assign]
    return command("watch", folder, "--settle", 0, "--record", record)


def main(folder: Path) -> None:
    """Do it all."""
    hide()
    failed = imports()
    from acne_edge.bench import run
    from tests import drawing

    photographs = folder / "photographs"
    photographs.mkdir()
    for seed, name in enumerate(("a.jpg", "b.png")):
        (photographs / name).write_bytes(drawing.encode(drawing.face(20, seed, 240, 280), "JPEG" if "jpg" in name else "PNG"))
    (folder / "labels.csv").write_text("file,count\na.jpg,3\nb.png,4\n", encoding="utf-8")
    record, image = folder / "record.jsonl", photographs / "a.jpg"
    run.cold_start = lambda *_: {}  # type: ignore[assignment]
    results = {
        "predict": command("predict", photographs, "--format", "jsonl"),
        "save": command("predict", photographs, "--save", folder / "saved"),
        "watch": watched(photographs, record),
        "check-record": command("check-record", record, "--photos", photographs),
        "evaluate": command("evaluate", photographs, folder / "labels.csv", "-o", folder / "report.json"),
        "bench": command("bench", "--image", image, "--samples", 1, "--warmup", 0, "--format", "json"),
        "doctor": command("doctor"),
        "version": command("--version"),
    }
    told = {"failed": failed, "commands": results, "threads": [t.name for t in threading.enumerate()]}
    with builtins.open(folder / "result.json", "w", encoding="utf-8") as stream:
        json.dump(told, stream)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
