"""Photographs that people look at: what the model says of each, what they say, and what has changed since they asked last."""

from __future__ import annotations

import hashlib
import logging
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event, Lock, Thread
from time import monotonic

from acne_edge.errors import AcneEdgeError, ImageError, ImageNotFoundError, MissingExtraError
from acne_edge.prediction import Failure
from acne_edge.serve import uploads
from acne_edge.serve.engine import LATER, Engine
from acne_edge.serve.problems import Problem
from acne_edge.serve.shelf import Folder, Memory, tidy
from acne_edge.serve.store import ConflictError, Photograph, Reading, Store
from acne_edge.sources.folder import WatchedFolder
from acne_edge.sources.paths import walk

logger = logging.getLogger(__name__)

SETTLE, INTERVAL = 0.25, 0.25  # seconds without a change after which a file is whole; between looks into the folder
INVENTORY = 2.0  # seconds between looks for photographs that are gone


class Study:
    """One folder, or none, with its store.

    Args:
        folder: of the photographs, which is watched; None keeps those that are added in memory.
        store: where results and readings are kept.
        engine: what predicts.
        blind: readers are told what the model says only after they have counted.
    """

    def __init__(self, folder: Path | None, store: Store, engine: Engine, blind: bool = False) -> None:
        self.folder, self.store, self.engine, self.blind = folder, store, engine, blind
        self.shelf: Folder | Memory = Folder(folder) if folder else Memory()
        self.changed = Lock()  # guards what follows
        self.sequence = 1
        self.waiting = 0  # photographs in the folder that are not predicted yet
        self._photographs: dict[int, Photograph] = {}
        self._since: dict[int, int] = {}  # the sequence number of each photograph's last change
        self._gone: dict[int, int] = {}
        self._stop = Event()
        self._model = engine.grader.model.sha256
        for photograph in store.photographs() if folder else ():
            self._photographs[photograph.id], self._since[photograph.id] = photograph, self.sequence
        kept = self._photographs.values()
        self.stamps = {p.name: p.stamp for p in kept if p.model == self._model and not _curable(p)}  # of what is predicted
        self._watched = WatchedFolder(folder, SETTLE, INTERVAL, journal=_Done(self)) if folder else None
        self._thread = Thread(target=self._watch, name="acne-edge-watch", daemon=True)
        if self._watched:
            self._thread.start()

    # What has changed.

    def changes(self, since: int) -> tuple[int, list[Photograph], list[int]]:
        """The sequence number now, the photographs that changed after the one that is given, and ids of those that are gone."""
        with self.changed:
            fresh = [p for n, p in self._photographs.items() if self._since[n] > since]
            return self.sequence, fresh, [n for n, at in self._gone.items() if at > since]

    def photographs(self) -> list[Photograph]:
        """All, by name."""
        with self.changed:
            return sorted(self._photographs.values(), key=lambda p: p.name)

    def photograph(self, number: int) -> Photograph:
        """The one with this id. Raises a Problem, 404."""
        with self.changed:
            found = self._photographs.get(number)
        if found is None:
            raise Problem(404, "there is no such photograph (any more)")
        return found

    def _note(self, number: int, photograph: Photograph | None) -> None:
        with self.changed:
            self.sequence += 1
            if photograph is None:
                self._photographs.pop(number, None)
                self._since.pop(number, None)
                self._gone[number] = self.sequence
            else:
                self._photographs[number], self._since[number] = photograph, self.sequence
                self._gone.pop(number, None)

    # What people say.

    def keep(self, photograph: Photograph, reader: str, reading: Reading) -> Reading:
        """Keep a reading, and tell everybody who waits for changes. Raises what `Store.keep_reading` does."""
        if not photograph.sha256:
            raise Problem(422, "the photograph cannot be read; there is nothing to correct")
        kept = self.store.keep_reading(photograph.sha256, reader, reading)
        with self.changed:
            same = [p for p in self._photographs.values() if p.sha256 == photograph.sha256]
        for each in same:
            self._note(each.id, each)
        return kept

    def see(self, photograph: Photograph, reader: str, blind: bool) -> Reading:
        """The reading of somebody who opens the photograph; one who does not count blind has then seen what the model says."""
        reading = self.store.reading(photograph.sha256, reader)
        if not photograph.sha256 or reading.revealed or (reading.version and (blind or self.blind)):
            return reading
        try:
            return self.keep(photograph, reader, replace(reading, revealed=not (blind or self.blind)))
        except ConflictError as conflict:  # in another window, at the same time
            return conflict.current

    # Photographs that come.

    def add(self, name: str, data: bytes) -> Future[int]:
        """Put a photograph into the folder, or into memory, and predict it; its id. One that is there already is not added."""
        digest = hashlib.sha256(data).hexdigest()
        with self.changed:
            there = next((p for p in self._photographs.values() if p.sha256 == digest), None)
        if there is not None:
            done: Future[int] = Future()
            done.set_result(there.id)
            return done
        name = self.shelf.add(tidy(name, uploads.SUFFIXES[uploads.kind(data)]), data)
        return self.engine.submit(partial(self._look, name, data))

    def _look(self, name: str, data: bytes | None = None) -> int:
        """Predict a photograph and keep the result; its id. Raises ImageNotFoundError for one that is not there (yet)."""
        stamp, digest = self.shelf.stamp(name), ""
        try:
            data = self.shelf.read(name) if data is None else data
            digest = hashlib.sha256(data).hexdigest()
            result = self.engine.grader.predict(data).to_dict()
        except ImageNotFoundError:
            raise
        except (ImageError, MissingExtraError) as error:
            result = Failure(None, error).to_dict()
        number = self.store.keep_result(name, stamp, digest, self._model, result)
        self.stamps[name] = stamp
        self._note(number, self.store.photograph(number))
        return number

    def _watch(self) -> None:
        assert self._watched is not None
        running: dict[str, Future[int]] = {}
        inventory = 0.0
        while not self._stop.is_set():
            begin = monotonic()
            found = self._watched.scan()
            pause = max(INTERVAL, 10 * (monotonic() - begin))  # a large folder on a slow share is not looked at all the time
            try:
                self._tell_waiting(len(found))
                for done, path in enumerate(found):
                    self.waiting = len(found) - done
                    name = path.relative_to(self._watched.directory).as_posix()
                    while len(running) >= 2 * self.engine.workers and not self._stop.wait(0.005):
                        self._settle(running)
                    if name not in running and not self._stop.is_set():
                        running[name] = self.engine.submit(partial(self._look, name), LATER)
                self._settle(running)
                if monotonic() - inventory > INVENTORY:
                    self._take_inventory()
                    inventory = monotonic()
            except Problem:  # the server is stopping
                return
            self._stop.wait(pause)

    def _tell_waiting(self, number: int) -> None:
        with self.changed:
            self.sequence += self.waiting != number
            self.waiting = number

    def _settle(self, running: dict[str, Future[int]]) -> None:
        assert self._watched is not None
        for name in [name for name, future in running.items() if future.done()]:
            path, future = self._watched.directory / name, running.pop(name)
            error = None if future.cancelled() else future.exception()
            if isinstance(error, AcneEdgeError):  # not there, or the disk is full; others are a part of the result
                self._watched.again(path, error.message)
            elif error is not None:
                logger.error("a photograph could not be predicted: %s", type(error).__name__)
                self._watched.passed_over(path)

    def _take_inventory(self) -> None:
        """Forget what is no longer in the folder, unless a part of the folder cannot be read."""
        assert self.folder is not None
        errors: list[OSError] = []
        present = {name for name, _ in walk(self.folder, errors.append)}
        if errors:
            return
        for photograph in self.photographs():
            if photograph.name not in present:
                with suppress(AcneEdgeError):  # the next time, then
                    self.store.forget(photograph.name)
                    self.stamps.pop(photograph.name, None)
                    self._note(photograph.id, None)

    def close(self) -> None:
        """End. The engine must be closed after it, the store last."""
        self._stop.set()
        if self._watched:
            self._thread.join()


def _curable(photograph: Photograph) -> bool:
    """Whether a photograph failed for a reason that an installation may have removed since."""
    return bool(photograph.result.get("error", {}).get("code") == MissingExtraError.code)


class _Done:
    """For a watched folder: which photographs this model has predicted already. A result that is kept says so."""

    def __init__(self, study: Study) -> None:
        self._study = study

    def get(self, name: str) -> tuple[int, int] | None:
        """The stamp that a photograph had."""
        return self._study.stamps.get(name)

    def add(self, name: str, stamp: tuple[int, int]) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
