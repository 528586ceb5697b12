"""Which photographs a model has learned, by the content of their files: its manifest holds fingerprints, and no names.

`training.fingerprints` maps `train` (learned) and `val` (held out, but the constants were fitted on them) to the sorted
fingerprints of the photographs, one after the other, in base64. A fingerprint is the first 6 bytes of the sha256 of a file. So
1165 photographs take 9 kB, and one that was not learned is taken for one of them in 1 of 240 thousand million cases. A file
that was renamed or copied is known; one that was rewritten, by a resize or without its EXIF, is another.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from acne_edge import files
from acne_edge.cpus import available_cpus
from acne_edge.errors import ImageNotFoundError
from acne_edge.parallel import in_order

BYTES = 6  # of a fingerprint
MAX_FILE = 1_000_000_000  # bytes; beyond it is no photograph
MOST = 20_000  # photographs whose fingerprints a manifest holds: 160 kB of the 256 that it may have


def encoded(photographs: Iterable[Path]) -> str:
    """The fingerprints of photographs, as a manifest holds them. Raises ImageNotFoundError for one that cannot be read."""
    found = set()
    for path, fingerprint in _fingerprints(photographs):
        if fingerprint is None:
            raise ImageNotFoundError(f"{path}: cannot be read")
        found.add(fingerprint)
    return base64.b64encode(b"".join(sorted(found))).decode("ascii")


def learned(training: Mapping[str, Any], photographs: Iterable[Path]) -> dict[str, int] | None:
    """How many of the photographs a model has learned (`train`), or has its constants from (`val`).

    Args:
        training: the part of that name of the model's manifest.
        photographs: files; those that cannot be read are of no list.

    Returns None if the manifest holds no fingerprints, or none that can be read.
    """
    texts = training.get("fingerprints")
    known = {name: _decoded(text) for name, text in texts.items()} if isinstance(texts, dict) else {}
    lists = {name: fingerprints for name, fingerprints in known.items() if fingerprints}
    if not lists:
        return None
    counts = dict.fromkeys(("train", "val"), 0)
    for _, fingerprint in _fingerprints(photographs):
        name = next((name for name in counts if fingerprint in lists.get(name, ())), None)
        if name:
            counts[name] += 1
    return counts


def _decoded(text: object) -> frozenset[bytes]:
    """Nothing of what is no list of fingerprints: the manifest's `training` is for tools, and is not validated on load."""
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        return frozenset()
    return frozenset(data[i : i + BYTES] for i in range(0, len(data), BYTES)) if len(data) % BYTES == 0 else frozenset()


def _fingerprints(photographs: Iterable[Path]) -> Iterable[tuple[Path, bytes | None]]:
    return in_order(lambda path: (path, _fingerprint(path)), photographs, available_cpus())


def _fingerprint(path: Path) -> bytes | None:
    try:
        return hashlib.sha256(files.read(path, MAX_FILE)).digest()[:BYTES]
    except (OSError, ValueError):  # ValueError: a name with a null character
        return None
