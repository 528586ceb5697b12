"""Other fields in the manifests of shipped models, the networks untouched."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import acne_edge.models
from acne_edge.errors import UsageError
from acne_edge.files import write
from acne_edge.manifest import Manifest
from acne_edge.training.run import read_json
from export.graph import attach, read

FOLDER = Path(acne_edge.models.FOLDER)


def restamp(patch: Path, model: Sequence[str] | None = None) -> list[str]:
    """Change fields in the manifests of shipped models and list the new files; graphs and weights stay as they are.

    Args:
        patch: JSON merge patch of manifest fields.
        model: names of shipped models; None: all of them.

    Returns a line a shipped model. Raises UsageError for an unreadable patch or an unknown name, ManifestError if a manifest
    would not be valid; then nothing is written.
    """
    changes = read_json(patch, "a patch of a manifest")
    return replace_files(model, lambda file: restamped(file, changes))


def replace_files(model: Sequence[str] | None, change: Callable[[Path], bytes]) -> list[str]:
    """Put in the place of shipped models, all or those named, what `change` makes of each file, and list the new ones.

    Returns a line a shipped model. Nothing is written if one of them cannot be changed. Raises UsageError for an unknown name.
    """
    index = json.loads((FOLDER / "index.json").read_text())
    listed = [entry["name"] for entry in index["models"]]
    unknown = [name for name in model or [] if name not in listed]
    if unknown:
        raise UsageError(f"no shipped model {unknown[0]!r}; there are: {', '.join(listed)}")
    files = {}
    for entry in index["models"]:
        if not model or entry["name"] in model:
            data = change(FOLDER / entry["file"])
            entry.update(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
            files[entry["file"]] = data
    for name, data in files.items():  # only once every one of them has been found to be valid
        write(FOLDER / name, data)
    write(FOLDER / "index.json", (json.dumps(index, indent=2) + "\n").encode())
    return [f"{entry['name']}: {entry['file']}, sha256 {entry['sha256']}" for entry in index["models"]]


def restamped(file: Path, changes: Any) -> bytes:
    """The model file with its manifest `patched`."""
    proto, manifest = read(file)
    return attach(proto, patched(manifest, changes))


def patched(manifest: Manifest, changes: Any) -> Manifest:
    """The manifest changed by a JSON merge patch. Raises ManifestError if that makes it invalid."""
    return Manifest.from_json(json.dumps(merged(json.loads(manifest.to_json()), changes)))


def merged(target: Any, patch: Any) -> Any:
    """RFC 7396: objects are merged, null removes a member, anything else replaces what was there."""
    if not isinstance(patch, dict):
        return patch
    kept = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            kept.pop(key, None)
        else:
            kept[key] = merged(kept.get(key), value)
    return kept
