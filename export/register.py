"""`python -m export register MODEL.onnx`: put a model file into the package and list it with its sha256 and size."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated

import typer

import acne_edge.models
from acne_edge.backends.onnxruntime import OnnxRuntimeBackend
from acne_edge.errors import ModelError
from acne_edge.files import write

FOLDER = Path(acne_edge.models.__file__).parent
MAX_BYTES = 25_000_000


def register(
    model: Annotated[Path, typer.Argument(help="ONNX model file with a manifest.")],
    name: Annotated[str | None, typer.Option(help="Name to list it under [the manifest's].")] = None,
) -> None:
    """List a model first, as the default; one of the same name is replaced."""
    data = model.read_bytes()
    if len(data) > MAX_BYTES:
        raise ModelError(f"{model}: {len(data) / 1e6:.1f} MB; a shipped model has at most {MAX_BYTES // 1_000_000} MB")
    manifest = OnnxRuntimeBackend(data).manifest
    name = name or manifest.name
    index = FOLDER / "index.json"
    others = [e for e in json.loads(index.read_text())["models"] if e["name"] != name] if index.exists() else []
    entry = {"name": name, "file": model.name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    write(FOLDER / entry["file"], data)
    write(index, (json.dumps({"models": [entry, *others]}, indent=2) + "\n").encode())
    typer.echo(f"{name}: {entry['file']}, sha256 {entry['sha256']}")
