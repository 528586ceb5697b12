from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import CancelledError
from threading import Event

import pytest

from acne_edge.serve.engine import LATER, Engine
from acne_edge.serve.problems import Problem


class Grader:
    """In the place of one."""

    closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine(Grader(), workers=1, places=2)  # type: ignore[arg-type]
    yield engine
    if not engine.stopping:
        engine.close()


def test_what_somebody_waits_for_comes_before_what_arrived_in_a_folder(engine: Engine) -> None:
    go, order = Event(), []
    first = engine.submit(lambda: go.wait(10))
    later = [engine.submit(lambda n=n: order.append(f"folder {n}"), LATER) for n in range(2)]
    soon = engine.submit(lambda: order.append("request"))
    go.set()
    for future in (first, *later, soon):
        future.result(10)
    assert order == ["request", "folder 0", "folder 1"]


def test_an_error_is_raised_to_who_waits_and_the_thread_goes_on(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError):
        engine.submit(lambda: 1 / 0).result(10)
    assert engine.submit(lambda: 7).result(10) == 7


def test_a_place_is_kept_until_the_work_is_done(engine: Engine) -> None:
    go = Event()
    with engine.place() as keep:
        keep(engine.submit(lambda: go.wait(10)))
    with engine.place():
        assert engine.taken == 2
        with pytest.raises(Problem) as full, engine.place():
            pass
        assert (full.value.status_code, full.value.headers) == (429, {"Retry-After": "1"})
    assert engine.taken == 1
    go.set()
    engine.submit(lambda: None).result(10)
    assert engine.taken == 0


def test_a_longer_queue_says_to_wait_longer(engine: Engine) -> None:
    engine.seconds, engine.places = 30.0, 1
    with engine.place(), pytest.raises(Problem) as full, engine.place():
        pass
    assert full.value.headers == {"Retry-After": "30"}


def test_to_close_is_to_end_what_has_begun_and_give_up_the_rest(engine: Engine) -> None:
    go, begun = Event(), Event()

    def work() -> str:
        begun.set()
        go.wait(10)
        return "done"

    running = engine.submit(work)
    begun.wait(10)
    waiting = engine.submit(lambda: "never")
    go.set()
    engine.close()
    assert running.result(0) == "done"
    assert engine.grader.closed  # type: ignore[attr-defined]
    assert waiting.cancelled() or waiting.result(0) == "never"
    with pytest.raises(Problem):
        engine.submit(lambda: None)


def test_what_is_cancelled_before_its_turn_is_not_done(engine: Engine) -> None:
    go, done = Event(), []
    engine.submit(lambda: go.wait(10))
    waiting = engine.submit(lambda: done.append(1))
    assert waiting.cancel()
    go.set()
    engine.submit(lambda: None).result(10)
    assert done == []
    with pytest.raises(CancelledError):
        waiting.result(0)
