"""One grader, many threads and processes."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from acne_edge import AcneEdgeError, AcneGrader, BackendError, Prediction
from tests import drawing

FACES = [drawing.face(lesions=6 * n, seed=n, width=64, height=72) for n in range(5)]


def essence(p: Prediction) -> tuple[Any, ...]:
    """The fields that must not depend on other predictions at the same time."""
    return p.count, p.count_interval, p.grade, p.grade_probs, p.grade_set, p.abstained, p.lesion_map.tobytes()


@pytest.mark.parametrize("predictions", [64, pytest.param(1000, marks=pytest.mark.slow)])
def test_eight_threads_get_what_one_gets(grader: AcneGrader, predictions: int) -> None:
    alone = [essence(grader.predict(face)) for face in FACES]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda i: essence(grader.predict(FACES[i % len(FACES)])), range(predictions)))
    assert together == [alone[i % len(FACES)] for i in range(predictions)]


def test_a_batch_gets_what_single_predictions_get(grader: AcneGrader) -> None:
    alone = [essence(grader.predict(face)) for face in FACES]
    together = [essence(p) for p in grader.predict_many(FACES * 4, workers=2) if isinstance(p, Prediction)]
    assert len(together) == 20
    for got, expected in zip(together, alone * 4, strict=True):
        assert got[1:3] == expected[1:3]
        assert got[0] == pytest.approx(expected[0], abs=1e-4)  # one thread may add up in another order than several
        assert got[3] == pytest.approx(expected[3], abs=1e-5)


def test_closing_while_others_predict_ends_them_with_a_result_or_one_line() -> None:
    grader = AcneGrader.load()
    expected = essence(grader.predict(FACES[0]))

    def use(_: int) -> str:
        for _ in range(200):
            try:
                assert essence(grader.predict(FACES[0])) == expected
            except BackendError as error:
                return str(error)
        return "never closed"

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(use, i) for i in range(4)]
        results = grader.predict_many([FACES[0]] * 500)
        assert next(results).ok
        grader.close()
        with pytest.raises(BackendError, match="closed"):
            list(results)
        assert all("closed" in future.result() for future in running)


def _in_child(grader: AcneGrader | None, send: Any) -> None:
    try:
        if grader is None:
            grader = AcneGrader.load(threads=2)
        many = [p.count for p in grader.predict_many([FACES[1]] * 6, workers=2) if isinstance(p, Prediction)]
        send.send((grader.predict(FACES[1]).count, many))
        grader.close()
    except AcneEdgeError as error:
        send.send(error)


def _answer(context: Any, grader: AcneGrader | None) -> Any:
    receive, send = context.Pipe(duplex=False)
    child = context.Process(target=_in_child, args=(grader, send))
    child.start()
    assert receive.poll(120), "the child hangs"
    answer = receive.recv()
    child.join(60)
    assert child.exitcode == 0
    return answer


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_grader_made_before_a_fork_works_in_parent_and_child() -> None:
    with AcneGrader.load(threads=2) as grader:
        before = grader.predict(FACES[1]).count
        many = [p.count for p in grader.predict_many([FACES[1]] * 6, workers=2) if isinstance(p, Prediction)]
        for _ in range(2):
            count, of_many = _answer(multiprocessing.get_context("fork"), grader)
            assert count == pytest.approx(before, abs=1e-4)
            assert of_many == pytest.approx(many, abs=1e-4)
        assert grader.predict(FACES[1]).count == before


FORK = """
import os, sys, threading, time, warnings
from acne_edge import AcneGrader
from tests import drawing
warnings.simplefilter("ignore", DeprecationWarning)
face = drawing.face(width=64, height=72)

class SlowImport:  # of what the loading thread imports in the middle of another module
    def find_spec(name, path, target=None):
        if name == "acne_edge.backends.graph_cache":
            importing.set()
            time.sleep(0.5)

importing = threading.Event()
sys.meta_path.insert(0, SlowImport)
grader = AcneGrader.load(threads=2, background=sys.argv[1] == "loading")
if sys.argv[1] == "loaded":
    list(grader.predict_many([face] * 6, workers=2))
assert importing.wait(30)
child = os.fork()
if not child:
    assert grader.predict(face).ok
    grader.close()
    sys.exit(0)  # and takes the interpreter apart, the parent's model included
_, status = os.waitpid(child, 0)
os._exit(status != 0)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("when", ["loading", "loaded"])
def test_a_child_predicts_closes_and_ends_whenever_it_was_forked(when: str) -> None:
    done = subprocess.run([sys.executable, "-c", FORK, when], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_spawned_processes_load_their_own(grader: AcneGrader) -> None:
    count, of_many = _answer(multiprocessing.get_context("spawn"), None)
    assert count == pytest.approx(grader.predict(FACES[1]).count, abs=1e-4)
    assert of_many == pytest.approx([count] * 6, abs=1e-4)


def test_a_grader_that_loads_in_the_background_is_safe_to_share() -> None:
    with AcneGrader.load(background=True) as grader, ThreadPoolExecutor(8) as pool:
        counts = set(pool.map(lambda _: grader.predict(FACES[2]).count, range(8)))
    assert len(counts) == 1
    assert np.isfinite(counts.pop())
