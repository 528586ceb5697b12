from __future__ import annotations

import hashlib
import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from acne_edge import AcneGrader, UsageError
from acne_edge.bench import cold_start as cold_start_module
from acne_edge.bench import run as benchmark
from acne_edge.bench.cold_start import _process, cold_start
from acne_edge.bench.contenders import Contender, cpp_library, full_decode, measure, sdk
from acne_edge.bench.photograph import drawn_photograph
from acne_edge.bench.statistics import summarize
from acne_edge.bench.table import table
from acne_edge.environment import environment
from acne_edge.image import decode
from tests import schema
from tests.conftest import ASSETS


def test_a_summary_of_known_samples() -> None:
    s = summarize(list(range(1, 101)))
    assert (s["min"], s["mean"], s["p50"]) == (1, 50.5, 50.5)
    assert s["p90"] == pytest.approx(90.1)
    assert s["p99"] == pytest.approx(99.01)
    assert s["cv"] == pytest.approx(np.std(range(1, 101)) / 50.5)


def test_p99_is_refused_under_a_hundred_samples() -> None:
    assert "p99" not in summarize([1.0] * 99)
    assert "p99" in summarize([1.0] * 100)


def test_contenders_take_turns_and_warm_up_unmeasured() -> None:
    turns: list[str] = []

    def contender(name: str, ms: float) -> Contender:
        def run(photograph: bytes) -> dict[str, float]:
            turns.append(name)
            return {"inference": ms, "total": ms}

        return Contender(name, run)

    reports = measure([contender("a", 2.0), contender("b", 6.0)], b"", samples=3, warmup=2)
    assert turns == ["a", "b"] * 5
    assert [r["stages"]["total"]["p50"] for r in reports] == [2, 6]
    assert reports[0]["warnings"] == []


def test_an_unquiet_machine_is_warned_of() -> None:
    times = iter([1.0, 2.0, 1.0, 2.0])
    run = Contender("noisy", lambda photograph: {"total": next(times)})
    assert "not quiet" in measure([run], b"", 4, 0)[0]["warnings"][0]


def test_no_samples_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 1"):
        measure([], b"", 0, 0)


def test_the_sdk_reports_its_stages(grader: AcneGrader, face: np.ndarray) -> None:
    from tests.drawing import encode

    report = measure([sdk(grader, "sdk")], encode(face, "JPEG"), 2, 1)[0]
    assert list(report["stages"]) == ["decode", "framing", "quality", "preprocess", "inference", "interpretation", "total"]


def test_the_full_decode_baseline_sees_the_same_network_input(face: np.ndarray) -> None:
    from tests.drawing import encode

    seen = []
    contender = full_decode("baseline", seen.append, 64, 48)
    timings = contender.run(encode(face))
    assert seen[0].shape == (1, 64, 48, 3)
    assert timings["total"] == pytest.approx(timings["decode"] + timings["preprocess"] + timings["inference"])


def test_the_drawn_photograph_has_the_size_asked_for() -> None:
    assert decode(drawn_photograph(320, 480)).shape == (480, 320, 3)


def test_the_drawn_photograph_has_as_many_bits_a_pixel_as_originals() -> None:
    """The two original files that were at hand had 0.69 and 0.85; what is drawn does not depend on its size."""
    width, height = 1556, 1728
    assert 0.70 <= 8 * len(drawn_photograph(width, height)) / (width * height) <= 0.85


def test_the_environment_names_processor_and_versions() -> None:
    e = environment()
    assert e["cores"] >= 1
    assert e["versions"]["onnxruntime"]
    json.dumps(e)


@pytest.mark.slow
def test_the_command_prints_a_report(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from acne_edge.cli import main as cli

    image = ASSETS / "drawn_face.png"
    arguments = [
        "bench",
        "--image",
        str(image),
        "--samples",
        "2",
        "--warmup",
        "0",
        "--threads",
        "1",
        "--threads",
        "2",
        "-f",
        "json",
    ]
    monkeypatch.setattr(sys, "argv", ["acne-edge", *arguments])
    monkeypatch.setattr(benchmark, "cold_start", partial(cold_start, runs=1))
    cli.main()
    printed = capsys.readouterr().out
    report = json.loads(printed)
    schema.check(report, schema.BENCHMARK)
    assert printed.count("\n") < 400, "samples have a line a series"
    assert report["image"]["sha256"] == hashlib.sha256(image.read_bytes()).hexdigest()
    assert [c["name"].split(", ")[1] for c in report["contenders"]] == ["1 thread", "2 threads"]
    for contender in report["contenders"]:
        for stage, samples in contender["samples_ms"].items():
            assert np.median(samples) == pytest.approx(contender["stages"][stage]["p50"], abs=0.001)
    start = report["cold_start"]
    assert 10 < start["peak_rss_mb"] < 220
    assert start["process_ratio"] == pytest.approx(start["process_ms"] / start["imports_ms"])
    assert start["help_ratio"] == pytest.approx(start["help_ms"] / start["imports_ms"])  # its value is no matter for one run
    text = table(report)
    assert "p50" in text
    assert "times the bare imports" in text


@pytest.mark.slow
def test_openvino_can_take_a_file_of_its_own(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino", reason="needs the extra openvino")
    from acne_edge import models
    from acne_edge.cli import main as cli

    file = Path(models.FOLDER) / str(models.index()["acne-edge-s-trt"]["file"])
    image = ASSETS / "drawn_face.png"
    arguments = ["bench", "--image", str(image), "--samples", "1", "--warmup", "0", "--openvino-model", str(file), "-f", "json"]
    monkeypatch.setattr(sys, "argv", ["acne-edge", *arguments])
    monkeypatch.setattr(benchmark, "cold_start", lambda *_: {})
    cli.main()
    report = json.loads(capsys.readouterr().out)
    assert [c["name"] for c in report["contenders"]][1:] == [f"OpenVINO {file.name}"]


def program(path: Path, lines: str) -> Path:
    """A program that stands in for acne_edge_bench."""
    path.write_text(f"#!{sys.executable}\nimport json, sys\n{lines}\n")
    path.chmod(0o755)
    return path


def test_the_cpp_library_takes_its_turns(tmp_path: Path) -> None:
    lines = "print(json.dumps(dict(total=len(sys.argv))), flush=True)"
    binary = program(tmp_path / "bench", f"for _ in sys.stdin: {lines}")
    with cpp_library(binary, tmp_path / "a.jpg", "m.onnx", 2) as contender:
        report = measure([contender], b"", 3, 1)[0]
    assert report["name"] == "C++ library, 2 threads"
    assert report["stages"]["total"]["p50"] == len(["bench", "--image", "a", "--model", "m", "--threads", "2", "--turns"])


@pytest.mark.parametrize(
    ("lines", "said"),
    [("sys.exit('no such model')", "no such model"), ("print('hello', flush=True); sys.stdin.read()", "Expecting value")],
)
def test_a_program_that_is_not_the_cpp_benchmark_is_refused(tmp_path: Path, lines: str, said: str) -> None:
    binary = program(tmp_path / "bench", lines)
    with (
        cpp_library(binary, tmp_path / "a.jpg", None, 0) as contender,
        pytest.raises(UsageError, match=f"cannot be run as the C.. benchmark .{said}") as refusal,
    ):
        contender.run(b"")
    assert len(str(refusal.value).splitlines()) == 1
    with pytest.raises(UsageError, match="No such file"), cpp_library(tmp_path / "missing", tmp_path, None, 0):
        pass


@pytest.mark.slow
def test_cold_starts_of_both_libraries_are_compared(tmp_path: Path) -> None:
    image = ASSETS / "drawn_face.png"
    start = cold_start(image, None, program(tmp_path / "bench", ""), runs=1)
    assert start["cpp_ratio"] == pytest.approx(start["process_ms"] / start["cpp_process_ms"])


def test_a_process_that_fails_is_no_measurement() -> None:
    with pytest.raises(UsageError, match="exit code 3"):
        _process([sys.executable, "-c", "raise SystemExit(3)"])


def test_where_nothing_tells_the_memory_of_a_process_it_is_timed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cold_start_module, "_LAUNCH", f"import os\ndel os.posix_spawn, os.wait4\n{cold_start_module._LAUNCH}")
    took, peak = _process([sys.executable, "-c", "raise SystemExit(5)"])
    assert took > 0
    assert peak is None
    with pytest.raises(UsageError, match="exit code 3"):
        _process([sys.executable, "-c", "raise SystemExit(3)"])


def test_a_process_has_its_own_peak_memory() -> None:
    small, large = (_process([sys.executable, "-c", f"b'x' * {size}"])[1] for size in (1, 100_000_000))
    assert 80 < large - small < 120
