"""One model, a few threads, and a queue of limited length. ONNX Runtime lets go of Python's lock while it runs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from queue import Empty, PriorityQueue
from threading import Lock, Thread
from time import monotonic
from typing import Any, TypeVar

from acne_edge.cpus import available_cpus
from acne_edge.grader import AcneGrader
from acne_edge.serve.problems import Problem

Result = TypeVar("Result")

SOON, LATER, NEVER = 0, 1, 2  # what a person or a client waits for; what arrives in a folder; the end


class Engine:
    """Threads that work for requests, and for what arrives in a folder only when no request waits.

    Args:
        grader: should run one thread a photograph, as there are several at a time.
        workers: threads; 0: one for each processor.
        places: requests that may be in `place` at once.
    """

    def __init__(self, grader: AcneGrader, workers: int = 0, places: int = 64) -> None:
        self.grader, self.places = grader, places
        self.workers = workers or available_cpus()
        self.taken = 0  # places
        self.draining = False  # what has been taken in is finished, but nothing more should be sent
        self.stopping = False
        self.seconds = 0.1  # that a photograph takes, about
        self._lock = Lock()
        self._order = itertools.count()
        self._queue: PriorityQueue[tuple[int, int, Future[Any] | None, Callable[[], Any]]] = PriorityQueue()
        self._threads = [Thread(target=self._work, name=f"acne-edge-{n}", daemon=True) for n in range(self.workers)]
        for thread in self._threads:
            thread.start()

    @contextmanager
    def place(self) -> Iterator[Callable[[Future[Any]], None]]:
        """Around a request, from before its body is read. Raises a Problem, 429, where no place is free.

        What is handed to the function that it gives keeps the place until it is done, whatever becomes of the request.
        """
        with self._lock:
            if self.taken >= self.places:
                wait = math.ceil(self.taken * self.seconds / self.workers)
                raise Problem(429, f"{self.taken} requests are being worked on already", retry_after=max(1, min(wait, 60)))
            self.taken += 1
        kept = False

        def keep(future: Future[Any]) -> None:
            nonlocal kept
            kept = True
            future.add_done_callback(lambda _: self._leave())

        try:
            yield keep
        finally:
            if not kept:
                self._leave()

    def _leave(self) -> None:
        with self._lock:
            self.taken -= 1

    def submit(self, work: Callable[[], Result], priority: int = SOON) -> Future[Result]:
        """Have `work` done in one of the threads. A future that is cancelled before its turn is skipped."""
        if self.stopping:
            raise Problem(503, "the server is stopping", retry_after=5)
        future: Future[Result] = Future()
        self._queue.put((priority, next(self._order), future, work))
        return future

    def _work(self) -> None:
        while True:
            _, _, future, work = self._queue.get()
            if future is None:
                return
            if not future.set_running_or_notify_cancel():
                continue
            begin = monotonic()
            try:
                result = work()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)
                self.seconds += 0.1 * (monotonic() - begin - self.seconds)
            del future, work

    def drain(self) -> None:
        """Finish what has been taken in, and say that nothing more should be sent."""
        self.draining = True

    def close(self) -> None:
        """Give up what has not begun, wait for what has, and free the model."""
        self.draining = self.stopping = True
        try:
            while True:
                future = self._queue.get_nowait()[2]
                if future is not None:
                    future.cancel()
        except Empty:
            pass
        for _ in self._threads:
            self._queue.put((NEVER, next(self._order), None, lambda: None))
        for thread in self._threads:
            thread.join()
        self.grader.close()
