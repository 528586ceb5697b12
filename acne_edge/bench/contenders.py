"""The contenders of a benchmark: the SDK, a usual script in PyTorch or ONNX Runtime, and the C++ library, which take turns.

They take turns photograph by photograph, so that a machine that warms up or slows down affects all alike. Speed is quoted as a
ratio of medians from one run, because milliseconds hold for one machine at one moment only.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from acne_edge.bench.statistics import stage_report, threads_in_words
from acne_edge.cpus import available_cpus
from acne_edge.errors import MissingExtraError, UsageError
from acne_edge.grader import AcneGrader
from acne_edge.image import decode
from acne_edge.preprocess import pack

Run = Callable[[bytes], Mapping[str, float]]


@dataclass(frozen=True)
class Contender:
    """Something that predicts one encoded photograph and returns its milliseconds by stage, `total` among them."""

    name: str
    run: Run


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
    return [stage_report(c.name, kept) for c, kept in zip(contenders, rows, strict=True)]


def sdk(grader: AcneGrader, name: str) -> Contender:
    """The SDK, called as users do."""
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


@contextmanager
def cpp_library(binary: Path, image: Path, model: str | None, threads: int) -> Iterator[Contender]:
    """The C++ library as a contender: `acne_edge_bench` predicts `image`, which must be the measured photograph, once per turn.

    Raises UsageError if `binary` is not that program, or if it fails.
    """
    command = [*cpp_command(binary, image, model), "--threads", str(threads), "--turns"]
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
        )
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
        yield Contender(f"C++ library, {threads_in_words(threads)}", run)
    finally:
        with suppress(OSError):
            process.communicate()


def cpp_command(binary: Path, image: Path, model: str | None) -> list[str]:
    """The command line of acne_edge_bench for a photograph and a model."""
    return [str(binary), "--image", str(image), *(["--model", model] if model else [])]


def throughput(grader: AcneGrader, photograph: bytes, images: int, rounds: int = 8) -> dict[str, float]:
    """Images per second of a loop over `predict` and of `predict_many`, in turn, and the median ratio over the rounds."""
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
    del loops[0], batches[0]  # the first batch loads the second session
    return {
        "streams": available_cpus(),
        "loop_images_per_second": each / float(np.median(loops)),
        "images_per_second": each / float(np.median(batches)),
        "ratio": float(np.median(np.divide(loops, batches))),
    }
