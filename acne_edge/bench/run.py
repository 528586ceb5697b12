"""Runs the whole benchmark: contenders in turn, throughput, cold start, and the environment."""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acne_edge.bench import contenders as entries
from acne_edge.bench.cold_start import cold_start
from acne_edge.bench.photograph import drawn_photograph
from acne_edge.bench.statistics import threads_in_words
from acne_edge.environment import environment
from acne_edge.grader import AcneGrader
from acne_edge.image import decode

SCHEMA = "1.1"


@dataclass(frozen=True)
class Settings:
    """What to measure. Each of `backends` runs with each number of `threads`; the rest is compared with the first pair."""

    image: Path | None = None  # None: a drawn 3112x3456 JPEG
    samples: int = 200
    warmup: int = 20
    model: str | None = None  # None: the default model
    backends: tuple[str, ...] = ("auto",)
    threads: tuple[int, ...] = (0,)  # 0: the runtime chooses
    checkpoint: Path | None = None  # adds full decode + this checkpoint in PyTorch eager
    baseline_model: Path | None = None  # adds full decode + this file in ONNX Runtime
    openvino_model: Path | None = None  # adds the SDK with this file in OpenVINO
    cpp: Path | None = None  # path of acne_edge_bench: adds the C++ library


def run(settings: Settings) -> dict[str, Any]:
    """Measure everything in the settings; returns the report, JSON-ready, of the form in `report.schema.json`."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        image = settings.image
        if image is None:
            image = Path(folder) / "drawn.jpg"
            image.write_bytes(drawn_photograph())
        height, width = decode(image).shape[:2]  # raises the usual error for a file that cannot be decoded
        photograph = image.read_bytes()
        threads = settings.threads[0]
        contenders, graders = [], []
        for backend in settings.backends:
            for number in settings.threads:
                grader = running.enter_context(AcneGrader.load(settings.model, backend=backend, threads=number))
                graders.append(grader)
                contenders.append(entries.sdk(grader, f"{grader.model.backend}, {threads_in_words(number)}"))
        if settings.checkpoint is not None:
            contenders.append(entries.torch_baseline(settings.checkpoint, threads))
        if settings.baseline_model is not None:
            contenders.append(entries.onnx_baseline(settings.baseline_model, threads))
        if settings.openvino_model is not None:
            grader = running.enter_context(AcneGrader.load(settings.openvino_model, backend="openvino", threads=threads))
            contenders.append(entries.sdk(grader, f"OpenVINO {settings.openvino_model.name}"))
        if settings.cpp is not None:
            contenders.append(running.enter_context(entries.cpp_library(settings.cpp, image, settings.model, threads)))
        return {
            "schema": SCHEMA,
            "tool": "acne-edge bench",
            "model": vars(graders[0].model),
            "environment": environment(),
            "image": {
                "sha256": hashlib.sha256(photograph).hexdigest(),
                "bytes": len(photograph),
                "width": width,
                "height": height,
            },
            "samples": settings.samples,
            "contenders": entries.measure(contenders, photograph, settings.samples, settings.warmup),
            "throughput": entries.throughput(graders[0], photograph, max(16, 2 * settings.samples)),
            "cold_start": cold_start(image, settings.model, settings.cpp),
        }
