"""Runs acne_edge_bench and checks what it prints: the report's shape, its refusals, and the one prediction of --once."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path


def run(*arguments: str, code: int = 0, lines: str = "") -> str:
    """Its standard output; its exit code must be `code`, and an error must be one line."""
    done = subprocess.run([BENCH, *arguments], input=lines, capture_output=True, text=True, timeout=600)
    assert done.returncode == code, (arguments, done.returncode, done.stderr)
    assert (code == 0) == (done.stderr == ""), done.stderr
    assert len(done.stderr.splitlines()) == (code != 0), done.stderr
    return done.stdout


BENCH, golden = sys.argv[1], Path(sys.argv[2])
image, model = str(golden / "many_lesions.jpg"), str(golden / "model.onnx")

few = json.loads(
    run("--image", image, "--json", "--samples", "3", "--warmup", "1", "--cold-starts", "1", "--streams", "2", "--sensors")
)
assert list(few) == [
    "schema", "tool", "model", "environment", "samples", "stages", "cold_start", "throughput",
    "peak_rss_mb", "sensors", "warnings",
], list(few)  # fmt: skip
assert few["samples"] == 3
assert list(few["stages"]) == ["decode", "framing", "quality", "preprocess", "inference", "interpretation", "total"]
for name, stage in few["stages"].items():
    assert list(stage) == ["min", "mean", "p50", "p90", "cv"], "percentiles of three samples"
    assert 0 <= stage["min"] <= stage["p50"] <= stage["p90"], (name, stage)
assert any("p99 needs 100 samples" in warning for warning in few["warnings"]), few["warnings"]
cold = few["cold_start"]
# Not compared with each other: they are taken in different processes, and a busy machine favours either.
assert all(cold[name] > 0 for name in ("process_ms", "session_ms", "first_inference_ms")), cold
assert few["throughput"]["streams"] == 2
assert few["throughput"]["images_per_second"] > 0
assert few["peak_rss_mb"] > 10
assert few["model"]["backend"] == "onnxruntime:CPUExecutionProvider"
assert few["model"]["sha256"] == json.loads((golden / "cases.json").read_text())["shipped_sha256"]

text = run("--image", image, "--model", model, "--samples", "100", "--warmup", "0", "--cold-starts", "0", "--threads", "1")
rows = [line.split() for line in text.splitlines()]
(total,) = (row for row in rows if row and row[0] == "total")
assert len(total) == 8, total
assert float(total[5]) > 0, "p99 of a hundred samples"
assert total[6] == "-", "p99.9 of a hundred samples"

once = json.loads(run("--once", "--image", image))
if find_spec("jsonschema"):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from tests.schema import check

    check(once)  # the library's results are of the form that the SDK publishes
assert once["path"] == image
assert once["count"] > 0
with tempfile.TemporaryDirectory() as folder:
    cached = [json.loads(run("--once", "--image", image, "--cache", f"{folder}/cache")) for _ in range(2)]
    assert len(list(Path(folder, "cache").iterdir())) == 1
assert all({**c, "timings": None} == {**once, "timings": None} for c in cached), cached

turns = [json.loads(line) for line in run("--turns", "--image", image, lines="\n\n").splitlines()]
assert [list(turn) for turn in turns] == [list(few["stages"])] * 2, turns
assert all(turn["total"] > turn["inference"] > 0 for turn in turns), turns
assert run("--turns", "--image", image) == ""

assert "usage:" in run("--help")
assert run("--version").split()[0] == "acne_edge_bench"
run(code=2)
run("--turns", "--image", str(golden / "cut_0.3.jpg"), lines="\n", code=3)
run("--image", image, "--samples", "0", code=2)
run("--image", image, "--backend", "abacus", code=2)
run("--image", image, "--nonsense", code=2)
run("--image", image, "stray", code=2)
run("--image", str(golden / "cut_0.3.jpg"), "--cold-starts", "0", code=3)
run("--image", image, "--model", str(golden / "refused_schema_2.onnx"), "--cold-starts", "0", code=4)
run("--image", image, "--backend", "tensorrt", "--cold-starts", "0", code=4)
run("--image", str(golden / "no_such_file.jpg"), code=1)
