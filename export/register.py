"""Puts model files into the package."""

from __future__ import annotations

import json
from pathlib import Path

from acne_edge import models
from acne_edge.backends.onnxruntime import OnnxRuntimeBackend
from acne_edge.errors import ModelError
from acne_edge.files import write

MAX_BYTES = 25_000_000  # of a shipped model


def register(model: Path, name: str | None = None, default: bool = False) -> str:
    """Copy a model file into the package and list it; one with the same name is replaced and keeps its place.

    Args:
        model: ONNX model file with a manifest.
        name: the name to list it under; None: the manifest's.
        default: list it first, as the package's default.

    Returns a line for people, with the sha256. Raises ModelError for a file that is too large, or no model of ours.
    """
    file = models.load_model(model)
    if len(file.data) > MAX_BYTES:
        raise ModelError(f"{model}: {len(file.data) / 1e6:.1f} MB; a shipped model may have at most {MAX_BYTES // 1_000_000} MB")
    name = name or OnnxRuntimeBackend(file.data).manifest.name
    folder = Path(models.FOLDER)
    entry = {"name": name, "file": model.name, "sha256": file.sha256, "bytes": len(file.data)}
    listed = {**models.index(), name: entry}
    if default:
        listed = {name: entry, **listed}
    write(folder / model.name, file.data)
    write(folder / "index.json", (json.dumps({"models": list(listed.values())}, indent=2) + "\n").encode())
    models.index.cache_clear()
    return f"{name}: {model.name}, sha256 {file.sha256}"
