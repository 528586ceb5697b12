"""Remembers which photographs a watch has done, so that a restart repeats none: one line is appended for each.

The file is in the user's folder for state (`$XDG_STATE_HOME/acne-edge/watch` on Linux, by default in `~/.local/state`), because
a watched folder may be read-only, or a share that others watch too. Its first line names the folder; each other line is
`[name, size in bytes, modification time in ns]`, and a name's last line counts. A line that a crash cut short is ignored. If
the file cannot be written, one warning says so, and the process remembers only until it ends.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any, TypeAlias

from acne_edge import files
from acne_edge.errors import AcneEdgeError, UsageError

logger = logging.getLogger(__name__)

Stamp: TypeAlias = tuple[int, int]  # size in bytes, modification time in ns

FORMAT = 1
OLD_NAME = ".acne-edge-watch.json"  # of earlier versions, in the watched folder itself
MAX_BYTES = 1 << 30  # about ten million photographs
SLACK = 1000  # the file is rewritten when it has this many more than two lines per photograph


class Journal:
    """The finished photographs of one folder, each with its stamp.

    Raises UsageError for a file that is not a journal, and while another process has the same folder's journal open.
    """

    def __init__(self, folder: Path) -> None:
        self._stamps: dict[str, Stamp] = {}
        self._lines = 0
        self._descriptor: int | None = None
        self._header = json.dumps({"acne_edge_watch": FORMAT, "folder": os.path.realpath(folder)}) + "\n"
        self._path = _path(folder)
        self._lock: int | None = None
        try:
            if self._path is None:
                raise OSError("no folder for state, because HOME is not set; set XDG_STATE_HOME")
            os.makedirs(self._path.parent, mode=0o700, exist_ok=True)
            self._lock = _locked(self._path.with_suffix(".lock"), folder)
        except OSError as error:
            self._forgetful(error)
        try:
            torn = self._load(folder)
        except UsageError:
            self.close()
            raise
        if self._lock is not None and (torn or not self._lines or self._wasteful):
            self._rewrite()
        elif self._lock is not None:
            self._open()
        if self._descriptor is not None:
            _remove(folder / OLD_NAME)

    def __len__(self) -> int:
        return len(self._stamps)

    def get(self, name: str) -> Stamp | None:
        """The stamp of a finished photograph; None if it is not finished."""
        return self._stamps.get(name)

    def add(self, name: str, stamp: Stamp) -> None:
        """Remember a photograph as done."""
        self._stamps[name] = stamp
        if self._descriptor is None:
            return
        line = _line(name, stamp)
        end = os.fstat(self._descriptor).st_size
        try:
            if os.write(self._descriptor, line) != len(line):
                raise OSError("the disk is full")
        except OSError as error:
            os.ftruncate(self._descriptor, end)
            os.close(self._descriptor)
            self._descriptor = None
            self._forgetful(error)
            return
        self._lines += 1
        if self._wasteful:
            self._rewrite()

    def close(self) -> None:
        """Close the file and release its lock."""
        for descriptor in (self._descriptor, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._descriptor = self._lock = None

    @property
    def _wasteful(self) -> bool:
        return self._lines > 2 * len(self._stamps) + SLACK

    def _load(self, folder: Path) -> bool:
        """Read the file, or an older version's; returns whether its last line is cut short."""
        if self._path is not None and os.path.exists(self._path):
            lines = _content(self._path).split(b"\n")
            try:
                if json.loads(lines[0])["acne_edge_watch"] != FORMAT:
                    raise ValueError("of another version")
                for line in lines[1:-1]:
                    name, size, mtime = json.loads(line)
                    self._stamps[str(name)] = (int(size), int(mtime))
            except _NO_JOURNAL as error:
                raise _unusable(self._path, error) from error
            self._lines = len(lines) - 1
            return lines[-1] != b""
        old = folder / OLD_NAME
        if os.path.lexists(old) and os.access(old, os.R_OK):  # another user's, on a share, is nothing that we have done
            try:
                values = json.loads(_content(old))
                self._stamps = {str(name): (int(size), int(mtime)) for name, (size, mtime) in values.items()}
            except _NO_JOURNAL as error:
                raise _unusable(old, error) from error
        return False

    def _rewrite(self) -> None:
        """Rewrite the file with one line per photograph."""
        assert self._path is not None
        if self._descriptor is not None:  # Windows does not replace a file that is open
            os.close(self._descriptor)
            self._descriptor = None
        try:
            files.write(self._path, self._header.encode() + b"".join(map(_line, self._stamps, self._stamps.values())))
        except AcneEdgeError as error:
            self._forgetful(error)
        else:
            self._lines = 1 + len(self._stamps)
        if os.path.exists(self._path):
            self._open()

    def _open(self) -> None:
        assert self._path is not None
        try:
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | files.AS_IT_IS)
        except OSError as error:
            self._descriptor = None
            self._forgetful(error)

    def _forgetful(self, error: Exception) -> None:
        where = f"{self._path}: " if self._path is not None and isinstance(error, OSError) else ""
        reason = getattr(error, "strerror", None) or error
        logger.warning("cannot remember which photographs are done; a restart will repeat them (%s%s)", where, reason)


_NO_JOURNAL = (ValueError, TypeError, KeyError, AttributeError, RecursionError)


def _path(folder: Path) -> Path | None:
    state = files.state_folder("watch")
    if state is None:
        return None
    return Path(state, hashlib.sha256(os.fsencode(os.path.realpath(folder))).hexdigest()[:32] + ".jsonl")


def _line(name: str, stamp: Stamp) -> bytes:
    return json.dumps([name, *stamp]).encode() + b"\n"


def _content(path: Path) -> bytes:
    try:
        return files.read(path, MAX_BYTES)
    except OSError as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: BaseException) -> UsageError:
    reason: Any = getattr(error, "strerror", None) or ("nested too deeply" if isinstance(error, RecursionError) else error)
    return UsageError(f"{path}: cannot be read as the state of a watch; delete it to start again ({reason})")


def _locked(path: Path, folder: Path) -> int:
    """Open and lock a file; returns its descriptor. Only one process at a time can have the lock."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | files.AS_IT_IS, 0o600)
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise UsageError(f"{folder}: is watched by another process already; two would predict each photograph twice") from error
    except (ImportError, OSError):  # no locks on this system, or on its file system
        pass
    return descriptor


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        logger.info("%s is no longer used; it cannot be deleted here", path)
