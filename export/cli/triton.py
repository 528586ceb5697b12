"""`python -m export triton`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def triton(
    model: Annotated[str | None, typer.Argument(metavar="MODEL", help="Shipped model or ONNX file [the default one].")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder.")] = Path("model-repository"),
    engine: Annotated[
        Path | None, typer.Option(help="Engine file of `acne-edge engine`, built from MODEL for the server's GPU.")
    ] = None,
    instances: Annotated[int, typer.Option(min=1, help="Processes that decode photographs.")] = 4,
    on_poor_quality: Annotated[
        Literal["warn", "abstain", "fail"], typer.Option(help="For a poor photograph, as for `acne-edge predict`.")
    ] = "warn",
) -> None:
    """Write a model repository for NVIDIA's Triton Inference Server: photographs in, predictions out, networks in batches."""
    from export.triton import write_repository

    for folder in write_repository(model, output, engine, instances, on_poor_quality):
        print(folder)
