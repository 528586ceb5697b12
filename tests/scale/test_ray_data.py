"""A batch on a local cluster: the results of `predict_many`, whatever dies meanwhile. Each batch runs in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from acne_edge import AcneGrader
from acne_edge.errors import MissingExtraError
from acne_edge.scale.ray_data import connect
from tests import drawing
from tests.docs.pages import ROOT

ray_only = pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra ray")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    for seed in range(12):
        (folder / f"{seed:03d}.jpg").write_bytes(drawing.encode(drawing.face(2 * seed, seed, 300, 320), "JPEG"))
    (folder / "bad.jpg").write_bytes(b"this is no image")
    return folder


def batch(*arguments: object, program: tuple[str, ...] = ("-m", "acne_edge", "predict")) -> subprocess.Popen[str]:
    command = [sys.executable, *program, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def rows(folder: Path) -> list[dict[str, Any]]:
    from pyarrow import parquet

    return [json.loads(text) for text in parquet.read_table(folder)["result"].to_pylist()]


def without_times(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "timings"}


@ray_only
@pytest.mark.slow
def test_results_are_those_of_predict_many_and_a_batch_resumes(photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    first = batch(photographs / "00*.jpg", "--executor", "ray", "--workers", 2, "--save", out)
    told, errors = first.communicate(timeout=300)
    assert (first.returncode, told) == (0, f"{out}: 10 predicted, 0 failed\n")
    assert "Set ray log level" in errors, "Ray's own single line"
    assert errors.count("\n") == 1
    second = batch(photographs, tmp_path / "gone.jpg", "--executor", "ray", "--workers", 2, "--save", out, "--resume")
    told, errors = second.communicate(timeout=300)
    assert (second.returncode, told) == (3, f"{out}: 2 predicted, 2 failed\n")
    assert f"{out}: 10 photographs are done, 4 are not" in errors
    assert "bad.jpg: not an image in a supported format" in errors
    found = {record["path"]: record for record in rows(out)}
    assert len(rows(out)) == len(found) == 14
    assert found.pop(str(tmp_path / "gone.jpg"))["error"]["code"] == "image_not_found"
    with AcneGrader.load(backend="onnxruntime") as grader:
        for expected in grader.predict_many(photographs):
            record = expected.to_dict()
            assert without_times(found[record["path"]]) == without_times(record)


DRIVER = """
import sys
from pathlib import Path
from acne_edge.models import load_model
from acne_edge.scale import lists, parts, ray_data
ray_data.BLOCK = ray_data.BATCH = 4
settings = ray_data.Settings(None, load_model().sha256)
kept = parts.Parts(Path(sys.argv[2]), settings.made_by(), resume=True)
for table in ray_data.predict(lists.photographs([sys.argv[1]]), settings, kept, workers=2, rows=4):
    print(len(table), flush=True)
"""


def descendants(pid: int) -> Iterator[int]:
    """Processes below one, as /proc has them."""
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            yield child
            yield from descendants(child)


def workers_of(pid: int) -> list[int]:
    found = []
    for child in descendants(pid):
        try:
            if b"ray::MapWorker" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
        except OSError:  # it has ended meanwhile
            pass
    return found


@ray_only
@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds workers in /proc")
def test_a_worker_that_is_killed_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    photographs, out = tmp_path / "photographs", tmp_path / "results"
    photographs.mkdir()
    data = [drawing.encode(drawing.face(seed, seed, 900, 1000), "JPEG") for seed in range(4)]
    for number in range(240):
        (photographs / f"{number:03d}.jpg").write_bytes(data[number % 4])
    process = batch("-c", DRIVER, photographs, out, program=())
    assert process.stdout is not None
    assert int(process.stdout.readline()) <= 4, (process.kill(), process.stderr and process.stderr.read())
    killed = workers_of(process.pid)
    assert killed
    os.kill(killed[0], signal.SIGKILL)
    rest, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors
    assert rest.count("\n") > 10, "there was still work to be done when the worker died"
    paths = [record["path"] for record in rows(out)]
    assert sorted(paths) == sorted(map(str, photographs.iterdir()))


@ray_only
@pytest.mark.slow
def test_what_a_killed_batch_has_written_is_not_done_again(photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    process = batch("-c", DRIVER, photographs, out, program=())
    assert process.stdout is not None
    for _ in range(2):
        process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=100)
    written = {file.name: file.read_bytes() for file in out.glob("*.parquet")}
    assert written
    process = batch("-c", DRIVER, photographs, out, program=())
    process.communicate(timeout=300)
    assert process.returncode == 0
    assert {name: (out / name).read_bytes() for name in written} == written
    assert sorted(record["path"] for record in rows(out)) == sorted(map(str, photographs.iterdir()))


@pytest.mark.parametrize(
    "options",
    [("--executor", "ray"), ("--executor", "ray", "--save", "x", "-f", "json"), ("--workers", "2"),
     ("--executor", "ray", "--save", "x", "--threads", "1")],
)  # fmt: skip
def test_options_that_do_not_go_together_are_refused(options: tuple[str, ...], photographs: Path) -> None:
    process = batch(photographs, *options)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 2
    assert error.count("\n") == 1


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "RAY_BACKEND_LOG_LEVEL"):
        monkeypatch.setenv(name, os.environ.get(name, "0"))
    with pytest.raises(MissingExtraError, match=r"acne-edge\[ray\]"):
        connect()


def test_nothing_is_told_to_ray_s_makers() -> None:
    code = "import sys, os; sys.modules['ray'] = None\nfrom acne_edge.scale.ray_data import connect\n"
    code += "try: connect()\nexcept Exception: print(os.environ['RAY_USAGE_STATS_ENABLED'])"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == "0\n", done.stderr
