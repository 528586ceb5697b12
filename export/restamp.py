"""Changes fields in the manifests of shipped models without touching the networks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
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
    """Change fields in shipped models' manifests and update the index; graphs and weights do not change.

    Args:
        patch: JSON merge patch of manifest fields.
        model: names of shipped models; None: all of them.

    Returns one line per shipped model. Raises UsageError for an unreadable patch or an unknown name, and ManifestError if a
    manifest would become invalid; then nothing is written.
    """
    changes = read_json(patch, "a patch of a manifest")
    index = json.loads((FOLDER / "index.json").read_text())
    listed = [entry["name"] for entry in index["models"]]
    unknown = [name for name in model or [] if name not in listed]
    if unknown:
        raise UsageError(f"no shipped model {unknown[0]!r}; there are: {', '.join(listed)}")
    files = {}
    for entry in index["models"]:
        if not model or entry["name"] in model:
            data = restamped(FOLDER / entry["file"], changes)
            entry.update(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
            files[entry["file"]] = data
    for name, data in files.items():  # only after all of them are known to be valid
        write(FOLDER / name, data)
    write(FOLDER / "index.json", (json.dumps(index, indent=2) + "\n").encode())
    return [f"{entry['name']}: {entry['file']}, sha256 {entry['sha256']}" for entry in index["models"]]


def restamped(file: Path, changes: Any) -> bytes:
    """The model file with its manifest `patched`."""
    proto, manifest = read(file)
    return attach(proto, patched(manifest, changes))


def patched(manifest: Manifest, changes: Any) -> Manifest:
    """The manifest after a JSON merge patch. Raises ManifestError if that is invalid."""
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
