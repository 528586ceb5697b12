"""`python -m export register MODEL.onnx`: copies a model file into the package and lists it with its sha256 and size."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

MAX_BYTES = 25_000_000  # of a shipped model


def register(
    model: Annotated[Path, typer.Argument(help="ONNX model file with a manifest.")],
    name: Annotated[str | None, typer.Option(help="Name to list it under [the manifest's].")] = None,
) -> None:
    """Add a model to the package as its default; a model with the same name is replaced."""
    import json

    from acne_edge import models
    from acne_edge.backends.onnxruntime import OnnxRuntimeBackend
    from acne_edge.errors import ModelError
    from acne_edge.files import write

    file = models.load_model(model)
    if len(file.data) > MAX_BYTES:
        raise ModelError(f"{model}: {len(file.data) / 1e6:.1f} MB; a shipped model may have at most {MAX_BYTES // 1_000_000} MB")
    name = name or OnnxRuntimeBackend(file.data).manifest.name
    folder = Path(models.FOLDER)
    entry = {"name": name, "file": model.name, "sha256": file.sha256, "bytes": len(file.data)}
    others = [listed for known, listed in models.index().items() if known != name]
    write(folder / model.name, file.data)
    write(folder / "index.json", (json.dumps({"models": [entry, *others]}, indent=2) + "\n").encode())
    print(f"{name}: {model.name}, sha256 {file.sha256}")
