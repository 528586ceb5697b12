"""Directories watched for new photographs: each file once, never half-written, across restarts.

Files are polled, because network shares and removable cards - where capture devices write - do not notify.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from time import monotonic

from acne_edge.errors import UsageError
from acne_edge.sources.paths import SUFFIXES

STATE_NAME = ".acne-edge-watch.json"
Stamp = tuple[int, int]  # size in bytes, modification time in ns


@dataclass
class WatchedFolder:
    """New images under a directory.

    A file is given out when its size and modification time have not changed for `settle` seconds; one that changes later is
    given out again. What `done` was told of is remembered in a state file in the directory, so a restart repeats nothing.

    Raises UsageError if the directory, or the state file in it, cannot be used.
    """

    directory: Path
    settle: float = 1.0  # seconds
    interval: float = 0.5  # seconds between scans
    clock: Callable[[], float] = monotonic
    _done: dict[str, Stamp] = field(default_factory=dict, init=False)
    _seen: dict[str, tuple[Stamp, float]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        if not self.directory.is_dir():
            raise UsageError(f"{self.directory}: no such directory to watch")
        try:
            values = json.loads(self._state.read_text())
            self._done = {str(name): (int(size), int(mtime)) for name, (size, mtime) in values.items()}
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise UsageError(
                f"{self._state}: cannot be read as the state of a watch; delete it to begin anew ({error})"
            ) from error

    @property
    def _state(self) -> Path:
        return self.directory / STATE_NAME

    def files(self, stop: Event) -> Iterator[Path]:
        """Settled new files, oldest first, until `stop` is set. Call `done` for each."""
        while not stop.is_set():
            for path in self.scan():
                if stop.is_set():
                    return
                yield path
            stop.wait(self.interval)

    def scan(self) -> list[Path]:
        """One pass over the directory: the new files that have settled by now, oldest first."""
        now, present, ready = self.clock(), {}, []
        for path in self.directory.rglob("*"):
            if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
                continue
            try:
                status = path.stat()
            except OSError:
                continue  # gone, or not readable yet
            name = path.relative_to(self.directory).as_posix()
            stamp = (status.st_size, status.st_mtime_ns)
            if self._done.get(name) == stamp:
                continue
            before = self._seen.get(name)
            since = before[1] if before and before[0] == stamp else now
            present[name] = (stamp, since)
            if status.st_size and now - since >= self.settle:
                ready.append((status.st_mtime_ns, path))
        self._seen = present
        return [path for _, path in sorted(ready)]

    def done(self, path: Path) -> None:
        """Remember a file as given out. Raises UsageError if the state cannot be written."""
        name = path.relative_to(self.directory).as_posix()
        seen = self._seen.pop(name, None)
        if seen is None:
            return
        self._done[name] = seen[0]
        temporary = self._state.with_name(f"{STATE_NAME}.{os.getpid()}.tmp")
        try:
            temporary.write_text(json.dumps(self._done))
            os.replace(temporary, self._state)
        except OSError as error:
            raise UsageError(f"{self._state}: cannot remember what was done ({error.strerror}); is the disk full?") from error
        finally:
            temporary.unlink(missing_ok=True)
