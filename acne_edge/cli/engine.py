"""`acne-edge engine`: builds a TensorRT engine from a model file; needs only the extra `tensorrt` or `tensorrt-rtx`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from acne_edge.backends.tensorrt import Precision, Target
from acne_edge.cli.options import not_stdin


def engine(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="Shipped model's name (acne-edge-s-trt), or an ONNX file: *-int8-trt or *-fp32."),
    ],
    target: Annotated[
        Target, typer.Option(help="This machine's GPU, or a compute capability, which needs TensorRT for RTX and no GPU.")
    ] = "current",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Engine file [MODEL-TARGET.engine].")] = None,
    precision: Annotated[Precision | None, typer.Option(help="Must be the model file's own [the file's].")] = None,
    timing_cache: Annotated[Path | None, typer.Option(help="File that keeps TensorRT's timings for a fast rebuild.")] = None,
) -> None:
    """Build a TensorRT engine file, in seconds to minutes (extra `tensorrt` or `tensorrt-rtx`; no torch)."""
    from acne_edge import console
    from acne_edge.backends.tensorrt.build import build
    from acne_edge.backends.tensorrt.engine_file import unpack
    from acne_edge.files import write
    from acne_edge.models import load_model

    not_stdin(model, "MODEL")
    file = load_model(model)
    with console.busy("building the engine"):
        data = build(file.data, precision, target, timing_cache)
    path = output or Path(f"{Path(file.name).stem}-{target}.engine")
    write(path, data)
    key = unpack(data).key
    print(f"{path}: {key.precision} for {key.gpu} GPU of compute capability {key.compute_capability}, {key.tensorrt}")
