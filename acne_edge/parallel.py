"""Processes many items in threads, with results in order and bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(work: Callable[[Item], Result], items: Iterable[Item], workers: int, ahead: int = 4) -> Iterator[Result]:
    """`map` in `workers` threads; results come in order, each as soon as it is ready.

    At most `ahead` items per worker are begun before their turn. Closing the iterator cancels items that have not begun.
    """
    from concurrent.futures import ThreadPoolExecutor

    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="acne-edge") as pool:
        try:
            for item in items:
                pending.append(pool.submit(work, item))
                while len(pending) >= ahead * workers or (pending and pending[0].done()):
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
