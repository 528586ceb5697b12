"""`python -m export register MODEL.onnx`: copies a model file into the package and lists it with its sha256 and size."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(
    model: Annotated[Path, typer.Argument(help="ONNX model file with a manifest.")],
    name: Annotated[str | None, typer.Option(help="Name to list it under [the manifest's].")] = None,
    default: Annotated[bool, typer.Option("--default", help="Make it the package's default.")] = False,
) -> None:
    """Add a model to the package; a model with the same name is replaced."""
    from export.register import register as put

    print(put(model, name, default))
