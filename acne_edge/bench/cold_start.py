"""Measures start-up time in separate processes, and the memory of one."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import numpy as np

from acne_edge.bench.contenders import cpp_command
from acne_edge.errors import UsageError
from acne_edge.grader import AcneGrader

# A small process starts the measured one, because a child's peak memory includes the size of the process that forked it.
_LAUNCH = """
import json, os, sys, time
if hasattr(os, "posix_spawn"):
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    start = time.perf_counter()
    child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
    _, status, usage = os.wait4(child, 0)
    took, peak, code = time.perf_counter() - start, usage.ru_maxrss, os.waitstatus_to_exitcode(status)
else:  # Windows, where nothing in Python tells the memory of a child
    import subprocess
    start = time.perf_counter()
    code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
    took, peak = time.perf_counter() - start, None
print(json.dumps([1e3 * took, peak, code]))
"""


def cold_start(image: Path, model: str | None, cpp: Path | None = None, runs: int = 25) -> dict[str, float]:
    """Start-up times, medians of `runs` rounds, also of the bare imports that every program on this runtime needs.

    `imports_ms`, `help_ms` and `process_ms` time whole processes, in random order: `import numpy, PIL.Image, onnxruntime`,
    `acne-edge --help` and `acne-edge predict`. `help_ratio` and `process_ratio` are relative to the imports of the same round.
    With `cpp`, the path of acne_edge_bench, `cpp_process_ms` times one prediction by the C++ library, and `cpp_ratio` says how
    many times faster it is than `acne-edge predict` in the same round; a first round fills both caches of optimised graphs.
    `session_ms` and `first_inference_ms` time loading the model, and the first prediction after that, in a process that has
    done those imports. `peak_rss_mb` is the largest resident memory of the `predict` process, in MB (10^6 bytes); not on Windows.
    """
    command = [sys.executable, "-m", "acne_edge"]
    processes = {
        "imports": [sys.executable, "-c", "import numpy, PIL.Image, onnxruntime"],
        "help": [*command, "--help"],
        "process": [*command, "predict", str(image), *(["--model", model] if model else [])],
    }
    data = image.read_bytes()
    order, rows = random.Random(0), []
    with tempfile.TemporaryDirectory() as cache:
        if cpp is not None:
            processes["cpp_process"] = [*cpp_command(cpp, image, model), "--once", "--cache", cache]
        for _ in range(runs + 1):
            # The order is random, because each process warms or cools the processor's caches for the next.
            took = {name: _process(processes[name]) for name in order.sample(list(processes), len(processes))}
            row = {f"{name}_ms": took[name][0] for name in processes}
            peak = took["process"][1]
            if peak is not None:
                row["peak_rss_mb"] = peak
            row["help_ratio"], row["process_ratio"] = row["help_ms"] / row["imports_ms"], row["process_ms"] / row["imports_ms"]
            if cpp is not None:
                row["cpp_ratio"] = row["process_ms"] / row["cpp_process_ms"]
            start = perf_counter()
            with AcneGrader.load(model) as grader:
                loaded = perf_counter()
                grader.predict(data)
                row["first_inference_ms"] = 1e3 * (perf_counter() - loaded)
            row["session_ms"] = 1e3 * (loaded - start)
            rows.append(row)
    return {name: float(np.median([row[name] for row in rows[1:]])) for name in rows[0]}  # the first round fills the disk cache


def _process(command: Sequence[str]) -> tuple[float, float | None]:
    """Milliseconds and peak resident memory, in MB, of a process; no memory on Windows. Raises UsageError if it fails."""
    done = subprocess.run([sys.executable, "-c", _LAUNCH, *command], capture_output=True, encoding="utf-8")
    try:
        took, peak, code = json.loads(done.stdout)
    except ValueError:
        took, peak, code = 0.0, 0.0, -1
    if code not in (0, 5):  # 5: abstained
        raise UsageError(f"{' '.join(command)}: exit code {code}; {done.stderr.strip()}")
    if peak is None:
        return took, None
    return took, peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
