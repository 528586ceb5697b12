"""Changes fields in the manifests of shipped models without touching the networks."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import acne_edge.models
from acne_edge.errors import UsageError
from acne_edge.evaluation import learned
from acne_edge.files import write
from acne_edge.manifest import Manifest
from acne_edge.training.data import Sample, read_samples
from acne_edge.training.run import Run, read_json
from export.graph import attach, read

FOLDER = Path(acne_edge.models.FOLDER)

logger = logging.getLogger(__name__)


def restamp(
    patch: Path | None, model: Sequence[str] | None = None, run: Path | None = None, data: Path | None = None
) -> list[str]:
    """Change fields in shipped models' manifests and update the index; graphs and weights do not change.

    Args:
        patch: JSON merge patch of manifest fields.
        model: names of shipped models; None: all of them.
        run: folder of the run that the models come from; with it, fingerprints of what it learned are put in too.
        data: ACNE04, where the photographs of the run are.

    Returns one line per shipped model. Raises UsageError for an unreadable patch, an unknown name, or a run whose lists are not
    the model's, and ManifestError if a manifest would become invalid; then nothing is written.
    """
    changes = read_json(patch, "a patch of a manifest") if patch else {}
    lists = None
    if run is not None and data is not None:
        lists = Run(run).results().get("lists", {})
        parts = {part: read_samples(data, Run(run).list_file(part)) for part in ("train", "val") if Run(run).has(part)}
        changes = merged(changes, fingerprints(parts))
    return replace_files(model, lambda file: restamped(file, changes, lists))


def replace_files(model: Sequence[str] | None, change: Callable[[Path], bytes]) -> list[str]:
    """Put in the place of shipped models, all or those named, what `change` makes of each file, and update the index.

    Returns one line per shipped model. Nothing is written if one cannot be changed. Raises UsageError for an unknown name.
    """
    index = json.loads((FOLDER / "index.json").read_text())
    listed = [entry["name"] for entry in index["models"]]
    unknown = [name for name in model or [] if name not in listed]
    if unknown:
        raise UsageError(f"no shipped model {unknown[0]!r}; there are: {', '.join(listed)}")
    files = {}
    for entry in index["models"]:
        if not model or entry["name"] in model:
            content = change(FOLDER / entry["file"])
            entry.update(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
            files[entry["file"]] = content
    for name, content in files.items():  # only after all of them are known to be valid
        write(FOLDER / name, content)
    write(FOLDER / "index.json", (json.dumps(index, indent=2) + "\n").encode())
    return [f"{entry['name']}: {entry['file']}, sha256 {entry['sha256']}" for entry in index["models"]]


def restamped(file: Path, changes: Any, lists: Any = None) -> bytes:
    """The model file with its manifest `patched`. Raises UsageError if the model was trained on other `lists` than these."""
    proto, manifest = read(file)
    if lists is not None and manifest.training.get("lists", {}) != lists:
        raise UsageError(f"{file}: was trained on other lists than the run")
    return attach(proto, patched(manifest, changes))


def fingerprints(parts: Mapping[str, Sequence[Sample]]) -> dict[str, Any]:
    """A merge patch that puts fingerprints of photographs into a manifest, by part (`evaluation.learned`).

    Of more photographs than a manifest can hold it puts in none, and says so in the log.
    """
    number = sum(map(len, parts.values()))
    if number > learned.MOST:
        logger.warning(f"{number} photographs are too many for fingerprints in the manifest: evaluate will not know them")
        return {}
    return {"training": {"fingerprints": {part: learned.encoded(s.path for s in samples) for part, samples in parts.items()}}}


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
