"""Watches folders for new photographs: each file is given once, never half-written, also across restarts.

Files are polled, because network shares and removable cards, where cameras write, send no notifications. `sources.paths` says
which files are photographs; `sources.journal` remembers which are done.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from time import monotonic
from typing import NamedTuple, Protocol

from acne_edge.errors import UsageError
from acne_edge.sources.journal import Journal, Stamp
from acne_edge.sources.paths import JUNK, SUFFIXES, walk

logger = logging.getLogger(__name__)

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds between attempts to read a photograph


class _Seen(NamedTuple):
    stamp: Stamp
    since: float  # when it was first seen with this stamp
    changed: int  # ctime in ns, which also changes with the file's permissions


class _Unread(NamedTuple):
    changed: int  # ctime in ns
    wait: float  # seconds
    due: float


class Memory(Protocol):
    """What remembers the photographs that were done, as a `Journal` does."""

    def get(self, name: str) -> Stamp | None:
        """The stamp with which a photograph was done."""

    def add(self, name: str, stamp: Stamp) -> None:
        """Remember a photograph as done."""

    def close(self) -> None:
        """Let go of what it is kept in."""


@dataclass
class WatchedFolder:
    """New photographs under a folder.

    A file is given out when its size and modification time have not changed for `settle` seconds. If it changes later, it is
    given out again. Files passed to `done` are remembered, so a restart repeats nothing. Files passed to `again` are given out
    again after 1 s, 2 s, ... 60 s, and at once if their permissions change. `journal`
    remembers; by default it is a `Journal` of the folder's own.

    Raises UsageError if there is no such folder, or its journal cannot be used.
    """

    directory: Path
    settle: float = 1.0  # seconds
    interval: float = 0.5  # seconds between scans
    clock: Callable[[], float] = monotonic
    journal: Memory | None = None
    _journal: Memory = field(init=False)
    _seen: dict[str, _Seen] = field(default_factory=dict, init=False)
    _unread: dict[str, _Unread] = field(default_factory=dict, init=False)
    _passed: dict[str, Stamp] = field(default_factory=dict, init=False)
    _closed_folders: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        if not self.directory.is_dir():
            raise UsageError(f"{self.directory}: {'is no folder' if self.directory.exists() else 'no such folder'} to watch")
        self._journal = Journal(self.directory) if self.journal is None else self.journal

    def files(self, stop: Event) -> Iterator[Path]:
        """Yield settled new files, oldest first, until `stop` is set. Call `done`, `passed_over` or `again` for each."""
        self._introduce()
        while not stop.is_set():
            for name in self._ready():
                if stop.is_set():
                    return
                yield self.directory / name
            stop.wait(self.interval)

    def scan(self) -> list[Path]:
        """One pass over the folder: the new files that have settled by now, oldest first."""
        return [self.directory / name for name in self._ready()]

    def _ready(self) -> list[str]:
        now, present, ready = self.clock(), {}, []
        unreadable: set[str] = set()
        for name, entry in walk(self.directory, lambda error: unreadable.add(self._cannot_read(error))):
            try:
                status = entry.stat()
            except OSError:
                continue  # gone, or not readable yet
            stamp = (status.st_size, status.st_mtime_ns)
            if self._journal.get(name) == stamp or self._passed.get(name) == stamp:
                continue
            before = self._seen.get(name)
            since = before.since if before and before.stamp == stamp else now
            present[name] = _Seen(stamp, since, status.st_ctime_ns)
            unread = self._unread.get(name)
            waits = unread is not None and unread.changed == status.st_ctime_ns and now < unread.due
            if status.st_size and now - since >= self.settle and not waits:
                ready.append((status.st_mtime_ns, name))
        self._seen = present
        self._unread = {name: unread for name, unread in self._unread.items() if name in present}
        for folder in self._closed_folders - unreadable:
            logger.info("%s: can be read again", folder)
        self._closed_folders = unreadable
        return [name for _, name in sorted(ready)]

    def done(self, path: Path) -> None:
        """Remember a file as given out."""
        name = self._name(path)
        seen = self._seen.pop(name, None)
        if seen is not None:
            self._journal.add(name, seen.stamp)

    def passed_over(self, path: Path) -> None:
        """Do not give out a file again before a restart."""
        name = self._name(path)
        seen = self._seen.pop(name, None)
        if seen is not None:
            self._passed[name] = seen.stamp

    def again(self, path: Path, reason: object) -> None:
        """Give out a file again later, because it cannot be read yet; one log line says so."""
        name = self._name(path)
        seen, before = self._seen.get(name), self._unread.get(name)
        if seen is None:
            return
        if before is None and os.path.lexists(path):
            logger.warning("%s: %s; trying again until it can be read", path, reason)
        wait = min(2 * before.wait, LONGEST_WAIT) if before else FIRST_WAIT
        self._unread[name] = _Unread(seen.changed, wait, self.clock() + wait)

    def close(self) -> None:
        """Release the folder, so that another process can watch it."""
        self._journal.close()

    def _name(self, path: Path) -> str:
        return path.relative_to(self.directory).as_posix()

    def _cannot_read(self, error: OSError) -> str:
        folder = os.fsdecode(error.filename)
        if folder not in self._closed_folders:
            logger.warning("%s: the folder cannot be read (%s); trying again until it can", folder, error.strerror)
        return folder

    def _introduce(self) -> None:
        """Log what is watched and what is ignored, so that nobody waits for a file that never counts."""
        others: list[str] = []
        names = [name for name, _ in walk(self.directory, on_other=others.append)]
        known = sum(self._journal.get(name) is not None for name in names)
        logger.info("watching %s for files that end in %s", self.directory, " ".join(SUFFIXES))
        logger.info("ignored: names that begin with a dot, folders named %s, anything that is not a file", " ".join(sorted(JUNK)))
        kinds = Counter(os.path.splitext(name)[1].lower() or os.path.basename(name) for name in others)
        such = ": " + ", ".join(f"{n} {kind}" for kind, n in kinds.most_common(5)) if kinds else ""
        logger.info("there now: %d photographs, of which %d are done; %d names ignored%s", len(names), known, len(others), such)
