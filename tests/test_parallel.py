from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import pytest

from acne_edge.parallel import in_order


def test_results_come_in_the_order_of_the_items() -> None:
    def work(i: int) -> int:
        time.sleep(0.02 * (i % 3 == 0))
        return i

    assert list(in_order(work, range(30), workers=4)) == list(range(30))


def test_a_result_comes_when_it_is_there_and_not_when_the_read_ahead_is_full() -> None:
    read = []

    def slowly() -> Iterator[int]:
        for i in range(40):
            time.sleep(0.02)
            read.append(i)
            yield i

    results = in_order(lambda i: i, slowly(), workers=8)
    assert next(results) == 0
    assert len(read) < 8, "of 32 that may be read ahead"
    assert list(results) == list(range(1, 40))


def test_only_a_little_is_begun_ahead() -> None:
    taken = itertools.count()
    results = in_order(lambda i: time.sleep(0.01), (i for i in taken), workers=2, ahead=3)
    next(results)
    results.close()
    assert next(taken) <= 7


def test_what_work_raises_ends_the_results() -> None:
    results = in_order(lambda i: 1 // (2 - i), range(10), workers=2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        list(results)
