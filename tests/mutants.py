"""Small JPEGs of many kinds, drawn, and damaged by a seed: what Python and C must treat alike."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from functools import cache

from PIL import Image

from tests import drawing, profiles

MARKERS = (0xD8, 0xD9, 0xDA, 0xC0, 0xC2, 0xC3, 0xC4, 0xDB, 0xDD, 0xE0, 0xE1, 0xE2, 0xEE, 0xF7, 0x01, 0xD0, 0xFF, 0x00)
TOKENS = (*(bytes((0xFF, code)) for code in MARKERS), b"Exif\0\0", b"MM\0*", b"Adobe", b"JFIF\0", b"\0\0", b"\0\2")


def segment(marker: int, body: bytes) -> bytes:
    """A segment of a JPEG with its length in front."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def behind_start(jpeg: bytes, *segments: bytes) -> bytes:
    """The JPEG with segments right behind its start."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


@cache
def originals() -> tuple[bytes, ...]:
    """Sound JPEGs of 64x72 pixels."""
    face = Image.fromarray(drawing.face(width=64, height=72))
    plain = drawing.encode(face, "JPEG")
    profile = profiles.matrix("p3")
    return (
        plain,
        drawing.encode(face, "JPEG", progressive=True),
        drawing.encode(face, "JPEG", subsampling=0, restart_marker_blocks=2),
        drawing.encode(face, "JPEG", keep_rgb=True),
        drawing.encode(face.convert("L"), "JPEG"),
        drawing.encode(face.convert("CMYK"), "JPEG"),
        drawing.encode(face, "JPEG", icc_profile=profile),
        drawing.with_orientation(drawing.face(width=64, height=72), 6),
        behind_start(plain, segment(0xE0, b"JFIF\0")),
        plain + plain,
    )


def mutate(jpeg: bytes, rng: random.Random) -> bytes:
    """A few changes, most of them in the header."""
    blob = bytearray(jpeg)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(min(len(blob), 700)) if rng.random() < 0.7 else rng.randrange(len(blob))
        match rng.randrange(7):
            case 0:
                blob[at] = rng.randrange(256)
            case 1:
                blob[at] ^= 1 << rng.randrange(8)
            case 2:
                del blob[at : at + rng.randint(1, 16)]
            case 3:
                blob[at:at] = blob[at : at + rng.randint(1, 64)]
            case 4:
                blob[at:at] = rng.choice(TOKENS)
            case 5:
                token = rng.choice(TOKENS)
                blob[at : at + len(token)] = token
            case _:
                del blob[at if rng.random() < 0.3 else len(blob) :]
        if not blob:
            return b"\xff"
    return bytes(blob)


def mutants(number: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Names and bytes; the same ones for a seed wherever Pillow's encoder is the same."""
    for index in range(number):
        rng = random.Random(f"{seed}.{index}")
        yield f"mutant_{seed}_{index}", mutate(rng.choice(originals()), rng)
