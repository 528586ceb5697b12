"""The models in the package. `index.json` lists each with its sha256 and size, which are checked on every load."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import cache

from acne_edge import files
from acne_edge.errors import ModelError, ModelIntegrityError

FOLDER = os.path.dirname(__file__)
MAX_BYTES = 1 << 30


@dataclass(frozen=True)
class ModelFile:
    """A model's bytes, with its name and hash."""

    name: str
    data: bytes
    sha256: str  # hash of `data`, hexadecimal


@cache
def index() -> dict[str, dict[str, object]]:
    """Shipped models by name: `file`, `sha256` (hexadecimal), `bytes`. The first one is the default."""
    with open(os.path.join(FOLDER, "index.json"), encoding="utf-8") as stream:
        return {entry["name"]: entry for entry in json.load(stream)["models"]}


def load_model(model: str | os.PathLike[str] | None = None) -> ModelFile:
    """Read a shipped model by name (None: the default), or a model file by path.

    Raises ModelIntegrityError if a shipped file differs from the listed one, and ModelError if the file cannot be read.
    """
    listed = index()
    if model is None:
        model = next(iter(listed))
    name = os.fspath(model)
    if name in listed:
        return _load_listed(listed[name])
    try:
        data = files.read(name, MAX_BYTES)
    except (OSError, ValueError) as error:
        known = ", ".join(listed)
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"{name}: cannot read the model file ({reason}); shipped models: {known}") from error
    return ModelFile(os.path.basename(name), data, hashlib.sha256(data).hexdigest())


def _load_listed(entry: dict[str, object]) -> ModelFile:
    name = str(entry["name"])
    try:
        data = files.read(os.path.join(FOLDER, str(entry["file"])), MAX_BYTES)
    except OSError as error:
        raise ModelIntegrityError(f"model {name}: its file is missing from the installation; reinstall acne-edge") from error
    digest = hashlib.sha256(data).hexdigest()
    if len(data) != entry["bytes"] or digest != entry["sha256"]:
        raise ModelIntegrityError(f"model {name}: the installed file is not the one that was shipped; reinstall acne-edge")
    return ModelFile(name, data, digest)
