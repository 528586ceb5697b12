"""How long a photograph takes on this machine, stage by stage, with contenders measured in turn in one run.

Contenders take turns photograph by photograph, so that a machine that warms up or slows down does so for all of them. Speed
is quoted as a ratio of medians from one run; milliseconds belong to one machine at one moment.
"""

from __future__ import annotations

import io
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from PIL import Image

from acne_edge.errors import MissingExtraError, UsageError
from acne_edge.grader import AcneGrader
from acne_edge.image import decode
from acne_edge.preprocess import pack

SCHEMA = "1.0"
MIN_SAMPLES_P99 = 100
MAX_CV = 0.025  # over it, single figures are not worth quoting
CPU_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")

Run = Callable[[bytes], Mapping[str, float]]


@dataclass(frozen=True)
class Contender:
    """Something that predicts one encoded photograph and returns its milliseconds by stage, `total` among them."""

    name: str
    run: Run


def summarize(samples: Sequence[float]) -> dict[str, float]:
    """min, mean, p50, p90, p99 and coefficient of variation (standard deviation over mean) of a list of milliseconds.

    p99 is left out under 100 samples: it would be the maximum by another name.
    """
    values = np.asarray(samples, np.float64)
    summary = {
        "min": float(values.min()),
        "mean": float(values.mean()),
        "p50": float(np.percentile(values, 50)),
        "p90": float(np.percentile(values, 90)),
    }
    if len(values) >= MIN_SAMPLES_P99:
        summary["p99"] = float(np.percentile(values, 99))
    return {**summary, "cv": float(values.std() / values.mean()) if values.mean() else 0.0}


def measure(contenders: Sequence[Contender], photograph: bytes, samples: int, warmup: int) -> list[dict[str, Any]]:
    """Run the contenders in turn, `warmup` rounds unmeasured and `samples` measured; one report each, in order."""
    if samples < 1:
        raise UsageError(f"samples is {samples}; expected at least 1")
    rows: list[list[Mapping[str, float]]] = [[] for _ in contenders]
    for sample in range(warmup + samples):
        for contender, kept in zip(contenders, rows, strict=True):
            timings = contender.run(photograph)
            if sample >= warmup:
                kept.append(timings)
    return [_report(c.name, kept) for c, kept in zip(contenders, rows, strict=True)]


def _report(name: str, rows: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    stages = {stage: summarize([row[stage] for row in rows]) for stage in rows[0]}
    warnings = []
    if stages["total"]["cv"] > MAX_CV:
        warnings.append(
            f"total varies by {100 * stages['total']['cv']:.1f} % (over {100 * MAX_CV:.1f} %): the machine was not quiet"
        )
    return {"name": name, "stages": stages, "warnings": warnings}


def sdk(grader: AcneGrader, name: str) -> Contender:
    """The SDK as its users call it."""
    return Contender(name, lambda photograph: grader.predict(photograph).timings)


def full_decode(name: str, infer: Callable[[Any], Any], height: int, width: int) -> Contender:
    """The usual script: decode in full, resize, run `infer` on uint8 [1, height, width, 3]."""

    def run(photograph: bytes) -> dict[str, float]:
        start = perf_counter()
        image = decode(photograph)
        decoded = perf_counter()
        batch = pack([image], height, width)
        packed = perf_counter()
        infer(batch)
        done = perf_counter()
        laps = {"decode": decoded - start, "preprocess": packed - decoded, "inference": done - packed, "total": done - start}
        return {stage: 1e3 * seconds for stage, seconds in laps.items()}

    return Contender(name, run)


def torch_baseline(checkpoint: Path, threads: int) -> Contender:
    """Full decode and the same network in PyTorch eager. Raises MissingExtraError without the extra `train`."""
    try:
        import torch

        from acne_edge.training.checkpoint import load
        from acne_edge.training.model import DeployModel, FusionModel, ModelConfig
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "train", "--baseline torch") from error
    tensors, info = load(checkpoint)
    config = ModelConfig(**info["model"])
    model = FusionModel(config)
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in tensors.items()})
    deployed = DeployModel(model).eval()
    if threads:
        torch.set_num_threads(threads)

    def infer(batch: Any) -> None:
        with torch.inference_mode():
            deployed(torch.from_numpy(batch))

    return full_decode("full decode + PyTorch eager", infer, config.image_size, config.image_size)


def onnx_baseline(model: Path, threads: int) -> Contender:
    """Full decode and another ONNX file of the network in ONNX Runtime."""
    grader = AcneGrader.load(model, threads=threads)
    spec = grader.manifest.input
    return full_decode(f"full decode + ONNX Runtime {model.name}", grader.infer, spec.height, spec.width)


def cold_start(image: Path, model: str | None, cpp: Path | None = None, runs: int = 25) -> dict[str, float]:
    """What starting costs, the bare imports that no program on this runtime gets around included; medians of `runs` rounds.

    `imports_ms`, `help_ms` and `process_ms` are whole processes, in random order: `import numpy, PIL.Image, onnxruntime`,
    `acne-edge --help` and `acne-edge predict`. `help_ratio` and `process_ratio` are to the imports of the same round. With `cpp`,
    the path of acne_edge_bench, `cpp_process_ms` is one prediction by the C++ library, and `cpp_ratio` says how many times faster
    than `acne-edge predict` of the same round that is; both keep optimised graphs in a cache, which a first round fills.
    `session_ms` and `first_inference_ms` are loading the model, and the first prediction after it, in a process that has
    imported all that. `peak_rss_mb` is the largest resident memory of the `predict` process, in MB (10^6 bytes).
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
            processes["cpp_process"] = [*_cpp_command(cpp, image, model), "--once", "--cache", cache]
        for _ in range(runs + 1):
            # What ran just before leaves its traces in the processor.
            took = {name: _process(processes[name]) for name in order.sample(list(processes), len(processes))}
            row = {f"{name}_ms": took[name][0] for name in processes}
            row["peak_rss_mb"] = took["process"][1]
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
    return {name: float(np.median([row[name] for row in rows[1:]])) for name in rows[0]}  # the first fills the disk's cache


# A small process starts the one that is measured: a child's peak memory counts from its fork, this process's size included.
_LAUNCH = """
import json, os, sys, time
quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
start = time.perf_counter()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, usage = os.wait4(child, 0)
print(json.dumps([1e3 * (time.perf_counter() - start), usage.ru_maxrss, os.waitstatus_to_exitcode(status)]))
"""


def _process(command: Sequence[str]) -> tuple[float, float]:
    """Milliseconds and peak resident memory, in MB, of a process (POSIX). Raises UsageError if it fails."""
    done = subprocess.run([sys.executable, "-c", _LAUNCH, *command], capture_output=True, text=True)
    try:
        took, peak, code = json.loads(done.stdout)
    except ValueError:
        took, peak, code = 0.0, 0.0, -1
    if code not in (0, 5):  # 5: abstained
        raise UsageError(f"{' '.join(command)}: exit code {code}; {done.stderr.strip()}")
    return took, peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def throughput(grader: AcneGrader, photograph: bytes, images: int, rounds: int = 8) -> dict[str, float]:
    """Images a second of a loop over `predict` and of `predict_many`, in turn, and the median ratio of the rounds."""
    loops, batches = [], []
    each = max(1, images // rounds)
    for _ in range(rounds + 1):
        start = perf_counter()
        for _ in range(each):
            grader.predict(photograph)
        looped = perf_counter()
        for _ in grader.predict_many(photograph for _ in range(each)):
            pass
        batches.append(perf_counter() - looped)
        loops.append(looped - start)
    del loops[0], batches[0]  # the first batch loads what batches run on
    return {
        "streams": os.cpu_count() or 1,
        "loop_images_per_second": each / float(np.median(loops)),
        "images_per_second": each / float(np.median(batches)),
        "ratio": float(np.median(np.divide(loops, batches))),
    }


@contextmanager
def cpp_library(binary: Path, image: Path, model: str | None, threads: int) -> Iterator[Contender]:
    """The C++ library as a contender: `acne_edge_bench` predicts `image`, which must be the photograph measured, once a turn.

    Raises UsageError if `binary` is not that program, or fails.
    """
    command = [*_cpp_command(binary, image, model), "--threads", str(threads), "--turns"]
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    except OSError as error:
        raise UsageError(f"{binary}: cannot be run as the C++ benchmark ({error.strerror})") from error

    def run(photograph: bytes) -> dict[str, float]:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            print(file=process.stdin, flush=True)
            timings: dict[str, float] = json.loads(process.stdout.readline())
        except (OSError, ValueError) as error:
            process.kill()
            said = process.communicate()[1].strip() or error
            raise UsageError(f"{binary}: cannot be run as the C++ benchmark ({said})") from error
        return timings

    try:
        yield Contender(f"C++ library, {threads or 'automatic'} threads", run)
    finally:
        with suppress(OSError):
            process.communicate()


def _cpp_command(binary: Path, image: Path, model: str | None) -> list[str]:
    return [str(binary), "--image", str(image), *(["--model", model] if model else [])]


def environment() -> dict[str, Any]:
    """What the figures belong to: processor, its INT8 instructions, governor, device model, versions."""
    info = _read("/proc/cpuinfo")
    lines = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in info.splitlines())}
    flags = set((lines.get("flags") or lines.get("Features") or "").split())
    return {
        "machine": platform.machine(),
        "cpu": lines.get("model name") or platform.processor() or "unknown",
        "cores": os.cpu_count(),
        "cpu_flags": [flag for flag in CPU_FLAGS if flag in flags],
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or "unknown",
        "device": _read("/proc/device-tree/model").strip("\0") or _read("/sys/class/dmi/id/product_name") or "unknown",
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in ("acne-edge", "onnxruntime", "numpy", "pillow", "torch", "openvino")},
    }


def drawn_photograph(width: int = 3112, height: int = 3456) -> bytes:
    """A JPEG of the size of ACNE04's photographs, made of soft noise, for machines that have no photograph at hand.

    Decoding takes the longer the more bits a pixel has. The grain is such that there are as many as in ACNE04's photographs
    (as distributed for development, 576x640: 1.31, 1.45 and 1.60 at the quartiles), here 1.48: 2.0 MB.
    """
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(60, 220, (height // 48, width // 48, 3), dtype=np.uint8))
    soft = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    grain = rng.normal(0, 2.2, (height, width, 1)).round().astype(np.int16)
    stream = io.BytesIO()
    Image.fromarray(np.clip(soft + grain, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=92)
    return stream.getvalue()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def table(report: dict[str, Any]) -> str:
    """The report as text."""
    first = report["contenders"][0]
    columns = [c for c in ("min", "mean", "p50", "p90", "p99") if c in first["stages"]["total"]]
    lines = []
    for contender in report["contenders"]:
        lines.append(f"{contender['name']} ({report['samples']} samples, ms)")
        lines.append(f"  {'stage':<15}" + "".join(f"{c:>9}" for c in (*columns, "cv")))
        for stage, s in contender["stages"].items():
            lines.append(f"  {stage:<15}" + "".join(f"{s[c]:>9.2f}" for c in columns) + f"{100 * s['cv']:>8.1f}%")
        lines += [f"  warning: {w}" for w in contender["warnings"]]
    base = first["stages"]["total"]["p50"]
    for other in report["contenders"][1:]:
        lines.append(f"{other['name']}: {other['stages']['total']['p50'] / base:.2f} times the p50 of {first['name']}")
    c = report["cold_start"]
    process, first = f"{c['process_ms']:.0f} ms", f"{c['first_inference_ms']:.0f} ms"
    lines.append(f"cold start: process {process}, {c['process_ratio']:.2f} times the bare imports ({c['imports_ms']:.0f} ms)")
    lines.append(f"  --help {c['help_ratio']:.2f} times; session {c['session_ms']:.0f} ms, first inference {first}")
    if "cpp_process_ms" in c:
        lines.append(f"  of the C++ library: process {c['cpp_process_ms']:.0f} ms, {c['cpp_ratio']:.1f} times faster")
    if "throughput" in report:
        t = report["throughput"]
        rate, ratio = t["images_per_second"], t["ratio"]
        lines.append(f"throughput: {rate:.1f} images/s, {ratio:.2f} times a loop over predict ({t['streams']} processors)")
    lines.append(f"peak resident memory of one prediction: {c['peak_rss_mb']:.0f} MB")
    e = report["environment"]
    lines.append(f"on {e['cpu']}, {e['cores']} cores [{' '.join(e['cpu_flags'])}], ONNX Runtime {e['versions']['onnxruntime']}")
    lines.append(f"   device {e['device']}, governor {e['governor']}, {e['system']}, Python {e['python']}")
    return "\n".join(lines)
