"""Sorts the golden cases into seeds for the fuzz targets:  python seeds.py GOLDEN FOLDER"""

from __future__ import annotations

import json
import shutil
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests import profiles

LARGEST = {"jpeg": 1 << 14, "manifest": 1 << 16}  # bytes; a fuzzer works on small cases


def field(number: int, content: bytes) -> bytes:
    """One field of a protocol buffer message; its length takes seven bits a byte, the lowest first."""
    length, rest = [], len(content)
    while rest >= 128:
        length.append(rest & 127 | 128)
        rest >>= 7
    return bytes((number << 3 | 2, *length, rest)) + content


def main(golden: Path, folder: Path) -> None:
    """Write `folder`/jpeg, /manifest, /model and /profile."""
    for kind in ("jpeg", "manifest", "model", "profile"):
        shutil.rmtree(folder / kind, ignore_errors=True)
        (folder / kind).mkdir(parents=True)
    for photograph in golden.glob("*.jpg"):
        if photograph.stat().st_size <= LARGEST["jpeg"]:
            shutil.copy(photograph, folder / "jpeg")
    for space in profiles.SPACES:
        (folder / "profile" / space).write_bytes(profiles.matrix(space))
    for name, profile in (("srgb", profiles.srgb(256)), ("grey", profiles.grey()), ("inks", profiles.inks())):
        (folder / "profile" / name).write_bytes(profile)
    manifests = [m["text"] for m in json.loads((golden / "cases.json").read_text())["manifests"]]
    for number, text in enumerate(manifests):
        if len(text) <= LARGEST["manifest"]:
            (folder / "manifest" / f"{number}.json").write_text(text)
    # An ONNX file with its metadata and without a graph worth the name; an engine file without a plan worth the name.
    entry = field(1, b"acne_edge.manifest") + field(2, manifests[0].encode())
    (folder / "model" / "onnx").write_bytes(b"\x08\x09" + field(7, b"none") + field(14, entry))
    build = {"tensorrt": "tensorrt 10.3.0.26", "gpu": "Orin", "compute_capability": "8.7"}
    header = json.dumps({"build": build, "plan_sha256": "0" * 64}).encode()
    (folder / "model" / "engine").write_bytes(b"ACNETRT1" + struct.pack("<IQ", len(header), 4) + header + b"plan")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
