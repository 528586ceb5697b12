"""`acne-edge bench`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from acne_edge.backends import BACKENDS
from acne_edge.cli.options import DocumentOption, ModelOption, OutputOption, not_stdin
from acne_edge.cli.output import destination
from acne_edge.errors import UsageError


def bench(
    image: Annotated[Path | None, typer.Option(help="Photograph [a drawn 3112x3456 JPEG].")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Measured predictions; p99 needs 100.")] = 200,
    warmup: Annotated[int, typer.Option(min=0, help="Unmeasured predictions before them.")] = 20,
    model: ModelOption = None,
    backend: Annotated[
        list[str] | None, typer.Option(metavar=f"<{'|'.join(BACKENDS)}>", help="Runtime (repeatable) [auto].")
    ] = None,
    threads: Annotated[list[int] | None, typer.Option(min=0, help="Threads (repeatable) [0: the runtime chooses].")] = None,
    baseline: Annotated[Literal["torch"] | None, typer.Option(help="Add full decode + --checkpoint in PyTorch eager.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Checkpoint for --baseline torch.")] = None,
    baseline_model: Annotated[Path | None, typer.Option(help="Add full decode + this ONNX file in ONNX Runtime.")] = None,
    openvino_model: Annotated[Path | None, typer.Option(help="Add the SDK with this ONNX file in OpenVINO.")] = None,
    cpp: Annotated[Path | None, typer.Option(help="Add the C++ library: path of acne_edge_bench.")] = None,
    output: DocumentOption = "table",
    file: OutputOption = None,
) -> None:
    """Measure latency by stage, cold start, throughput and memory; contenders take turns in one run."""
    from acne_edge.bench import run as benchmark
    from acne_edge.bench.table import table

    for name, value in (("--image", image), ("--model", model)):
        not_stdin(value, name)
    if (baseline is None) != (checkpoint is None):
        raise UsageError("--baseline torch and --checkpoint FILE go together")
    settings = benchmark.Settings(
        image,
        samples,
        warmup,
        model,
        tuple(backend or ("auto",)),
        tuple(threads or (0,)),
        checkpoint,
        baseline_model,
        openvino_model,
        cpp,
    )
    with destination(file):
        report = benchmark.run(settings)
        print(json.dumps(report, indent=2) if output == "json" else table(report))
