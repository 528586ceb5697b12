"""`python -m export bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def bench(
    run: Annotated[Path, typer.Argument(help="Directory of a training run.")],
    crops: Annotated[
        Path,
        typer.Option("--crops", help="INT8 calibration crops: the timed input, also for NNCF's calibration."),
    ],
    out: Annotated[Path, typer.Option(help="Directory of the exported model files.")],
    name: Annotated[str, typer.Option(help="Model name.")] = "acne-edge-s",
    threads: Annotated[int, typer.Option(min=1, help="Threads.")] = 2,
    rounds: Annotated[int, typer.Option(min=5, help="Timed calls per version.")] = 100,
) -> None:
    """Print a table of milliseconds per image: PyTorch, ONNX Runtime and, if installed, OpenVINO, in turn."""
    from acne_edge.training.checkpoint import load_network
    from acne_edge.training.run import Run
    from calibration import crops as crop_sets
    from export import bench as timing
    from export.graph import read

    network = load_network(Run(run).model)
    images = crop_sets.load(crops, network.config.image_size).images
    fp32, int8, symmetric = (out / f"{name}-{kind}.onnx" for kind in ("fp32", "int8", "int8-trt"))
    graphs = [read(file)[0] for file in (fp32, int8, symmetric)]
    files = [file.read_bytes() for file in (fp32, int8, symmetric)]
    calls = timing.contestants(network, *files, images, threads)
    print(f"milliseconds, batch 1, {threads} threads, {rounds} interleaved calls each")
    print(timing.table(timing.interleaved(calls, rounds), "ONNX Runtime fp32"))
    print("\nmilliseconds by operator, as ONNX Runtime fused them")
    print(timing.operator_table(*(timing.operators(file, images, threads, rounds) for file in files[:2])))
    print(f"\nlayers that the INT8 file computes in float: {', '.join(timing.float_layers(graphs[1])) or 'none'}")
