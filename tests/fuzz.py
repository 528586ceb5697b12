"""`python -m tests.fuzz CASES [SEED]`: mangled images, EXIF, profiles, sizes and manifests against the SDK, in one process.

Each case must end within 5 s, without allocating 1 GB, in a result or an AcneEdgeError. Prints the cases by outcome; a violation
prints the seed of its case and exits with 1.
"""

from __future__ import annotations

import json
import random
import resource
import signal
import struct
import sys
import warnings
import zlib
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from acne_edge.errors import AcneEdgeError
from acne_edge.grading import HAYASHI
from acne_edge.image import decode
from acne_edge.manifest import InputSpec, Manifest
from acne_edge.preprocess import pack
from acne_edge.quality import assess
from tests import drawing, mutants, profiles

SECONDS = 5
ALLOCATION = 1 << 30

FACE = drawing.face(width=64, height=72)
KINDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("JPEG", {}),
    ("JPEG", {"progressive": True}),
    ("PNG", {}),
    ("WEBP", {}),
    ("BMP", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
)
SEEDS = [drawing.encode(FACE, kind, **options) for kind, options in KINDS]
SEEDS.append(drawing.with_orientation(FACE, 6))
SEEDS.append(drawing.encode(Image.fromarray(FACE).quantize(16), "PNG"))
SEEDS.append(drawing.encode(FACE, "PNG", icc_profile=profiles.matrix("p3")))
SEEDS.append(drawing.encode(FACE, "TIFF", compression="tiff_deflate", icc_profile=profiles.srgb(256), dpi=(72, 72)))
PROFILES = [profiles.matrix("p3"), profiles.srgb(256), profiles.inks(), profiles.grey()]
MANIFEST = Manifest("m", "1", InputSpec(224, 224), 66, HAYASHI).to_json()
TOKENS = (
    b"\xff\xd8",
    b"\xff\xe1",
    b"\xff\xc0",
    b"\xff\xda",
    b"Exif\0\0",
    b"MM\0*",
    b"IHDR",
    b"IDAT",
    b"RIFF",
    b"\0\0\0\0",
    b"\xff" * 8,
)
VALUES: tuple[Any, ...] = (None, True, -1, 0, 1e308, 10**30, "", "x" * 1000, [], {}, [[]], "NCHW", [0, 0], {"a": None})


def mangle(data: bytes, rng: random.Random) -> bytes:
    """A few random changes: bytes set, runs cut, doubled or zeroed, markers planted, the end lost."""
    blob = bytearray(data)
    for _ in range(rng.randint(1, 12)):
        at, length = rng.randrange(len(blob)), rng.randint(1, 64)
        match rng.randrange(6):
            case 0:
                blob[at] = rng.randrange(256)
            case 1:
                del blob[at : at + length]
            case 2:
                blob[at:at] = blob[at : at + length]
            case 3:
                blob[at : at + length] = bytes(length)
            case 4:
                blob[at:at] = rng.choice(TOKENS)
            case _:
                blob = blob[: max(1, at)] if rng.random() < 0.3 else blob
        if not blob:
            return b"\0"
    return bytes(blob)


def image_case(rng: random.Random) -> None:
    """A mangled file through decode, quality and preprocessing."""
    image = decode(mangle(rng.choice(SEEDS), rng), rng.choice((None, 32, 448)))
    assess(image)
    packed = pack([image], 224, 224)
    assert packed.shape == (1, 224, 224, 3)


def dicom_case(rng: random.Random) -> None:
    """A mangled DICOM file; half of the changes lie in its header."""
    if find_spec("pydicom") is None:
        return
    data = rng.choice(_dicom_seeds())
    if rng.random() < 0.5:
        end = min(len(data), 1200)
        data = data[:132] + mangle(data[132:end], rng) + data[end:]
    else:
        data = mangle(data, rng)
    decode(data, rng.choice((None, 32, 448)))


@cache
def _dicom_seeds() -> list[bytes]:
    from tests.dicom_files import dicom

    stored = (("native", "RGB"), ("native", "YBR_FULL_422"), ("rle", "RGB"), ("jpeg", "YBR_FULL_422"), ("j2k", "YBR_RCT"))
    return [dicom(FACE, *how, PatientOrientation=["L", "F"]) for how in stored]


def exif_case(rng: random.Random) -> None:
    """A sound JPEG with a mangled EXIF block must still be read, or refused as an image."""
    exif = Image.Exif()
    exif[0x0112] = rng.randint(1, 8)
    block = b"Exif\0\0" + mangle(exif.tobytes()[6:] or b"II*\0", rng)
    decode(drawing.encode(FACE, "JPEG", exif=block))


def jpeg_case(rng: random.Random) -> None:
    """A JPEG whose segments are damaged."""
    decode(mutants.mutate(rng.choice(mutants.originals()), rng), rng.choice((None, 32, 448)))


def profile_case(rng: random.Random) -> None:
    """A sound image must be read whatever its colour profile is."""
    profile = mangle(rng.choice(PROFILES), rng)
    picture = Image.fromarray(FACE).convert(rng.choice(("RGB", "L", "CMYK")))
    try:
        decode(drawing.encode(picture, "JPEG", icc_profile=profile))
    except AcneEdgeError as error:
        raise AssertionError(f"a profile cost the photograph: {error}") from error


def size_case(rng: random.Random) -> None:
    """A PNG that claims any size at all and holds little."""
    side = lambda: rng.choice((0, 1, 31, 32, 40, 40, 64, 9999, 10_000, 65_535, 2**31 - 1, rng.randrange(2**32)))  # noqa: E731
    header = struct.pack(">IIBBBBB", side(), side(), rng.choice((1, 8, 16)), rng.choice((0, 2, 3, 4, 6)), 0, 0, rng.randint(0, 1))
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(rng.randrange(50_000)))), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    decode(b"\x89PNG\r\n\x1a\n" + body)


def array_case(rng: random.Random) -> None:
    """Arrays of any shape and type."""
    shape = [rng.choice((0, 1, 3, 4, 31, 40, 64)) for _ in range(rng.randint(0, 4))]
    decode(np.zeros(shape, rng.choice((np.uint8, np.int16, np.float32, np.bool_))))  # type: ignore[arg-type]


def manifest_case(rng: random.Random) -> None:
    """A manifest with fields changed, or its text mangled."""
    root = json.loads(MANIFEST)
    for _ in range(rng.randint(1, 3)):
        section = rng.choice([root, *(v for v in root.values() if isinstance(v, dict) and v)])
        section[rng.choice(list(section))] = deepcopy(rng.choice(VALUES))  # a shared one would be changed, and could hold itself
    text = json.dumps(root)
    if rng.random() < 0.5:
        text = mangle(text.encode(), rng).decode("utf-8", "replace")
    manifest = Manifest.from_json(text)
    assert Manifest.from_json(manifest.to_json()) == manifest


CASES: tuple[tuple[Callable[[random.Random], None], int], ...] = (
    (image_case, 6),
    (dicom_case, 1),
    (exif_case, 2),
    (jpeg_case, 3),
    (profile_case, 1),
    (size_case, 2),
    (array_case, 1),
    (manifest_case, 5),
)


class TooSlow(BaseException):
    """A case took over SECONDS. No error that a decoder might be expected to raise, or to catch."""


def _too_slow(*_: object) -> None:
    raise TooSlow


def main(cases: int, seed: int = 0) -> int:
    """Run the cases; 0 if none broke the rules."""
    warnings.simplefilter("error")
    signal.signal(signal.SIGALRM, _too_slow)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ALLOCATION, resource.RLIM_INFINITY))
    kinds, weights = zip(*CASES, strict=True)
    outcomes: Counter[str] = Counter()
    for number in range(cases):
        rng = random.Random(f"{seed}.{number}")
        kind = rng.choices(kinds, weights)[0]
        signal.alarm(SECONDS)
        try:
            kind(rng)
            outcomes[f"{kind.__name__} accepted"] += 1
        except AcneEdgeError as error:
            outcomes[f"{kind.__name__} refused"] += 1
            if "\n" in str(error) or "not enough memory" in str(error):
                print(f"case {seed}.{number} ({kind.__name__}): {error!r}")
                return 1
        except BaseException as error:
            print(f"case {seed}.{number} ({kind.__name__}): {error!r}")
            return 1
        finally:
            signal.alarm(0)
    print(", ".join(f"{name} {count}" for name, count in sorted(outcomes.items())))
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
