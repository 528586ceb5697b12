"""`acne-edge bench`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from acne_edge.backends import BACKENDS
from acne_edge.cli.options import Document, DocumentOption, ModelOption, OutputOption, not_stdin
from acne_edge.cli.output import destination
from acne_edge.errors import UsageError


def bench(
    context: typer.Context,
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
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="A B", help="Instead of measuring: compare two reports in JSON."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Also draw it, as PNG, SVG or PDF (extra `report`).")] = None,
    output: DocumentOption = "table",
    file: OutputOption = None,
) -> None:
    """Measure latency by stage, cold start, throughput and memory; contenders take turns in one run."""
    if plot is not None:
        from acne_edge.bench.plot import check

        check(plot)
    if compare is not None:
        _compare(context, compare, plot, output, file)
        return
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
        print(_json(report) if output == "json" else table(report))
    if plot is not None:
        from acne_edge.bench.plot import save

        where, what = report["environment"], report["model"]
        series = {c["name"]: c["samples_ms"] for c in report["contenders"]}
        save(plot, series, f"{what['name']} {what['version']} on {where['cpu']}, {where['cores']} cores")


def _compare(context: typer.Context, paths: tuple[Path, Path], plot: Path | None, output: Document, file: Path | None) -> None:
    from acne_edge.bench.compare import compare, read
    from acne_edge.bench.table import comparison_table

    for name in context.params:
        source = context.get_parameter_source(name)
        if name not in ("compare", "plot", "output", "file") and source is not None and source.name == "COMMANDLINE":
            raise UsageError(f"--compare measures nothing, so leave --{name.replace('_', '-')} out")
    reports = [read(path) for path in paths]
    with destination(file):
        comparison = compare(*reports)
        print(_json(comparison) if output == "json" else comparison_table(comparison))
    if plot is not None:
        from acne_edge.bench.plot import save

        series = {f"{side}: {c.name}": c.milliseconds for side, r in zip("AB", reports, strict=True) for c in r.contenders}
        save(plot, series, " and ".join(f"{side}: {r.machine}" for side, r in zip("AB", reports, strict=True)))


def _json(report: dict[str, Any]) -> str:
    """Indented, with each list of numbers on one line."""
    return re.sub(r"\[\s+([-\d.e,\s]+?)\s+\]", lambda found: f"[{' '.join(found[1].split())}]", json.dumps(report, indent=2))
