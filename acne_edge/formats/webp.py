"""Reads the size of a WebP's canvas, because Pillow allocates the canvas several times before it reports the size."""

from __future__ import annotations

from acne_edge.errors import ImageDecodeError


def read_size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels. Raises ImageDecodeError where the header gives none."""
    kind, body = data[12:16], data[20:30]

    def integer(start: int, end: int) -> int:
        return int.from_bytes(body[start:end], "little")

    if data[8:12] == b"WEBP" and len(body) == 10:
        if kind == b"VP8X":
            return integer(4, 7) + 1, integer(7, 10) + 1
        if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
            return integer(6, 8) & 0x3FFF, integer(8, 10) & 0x3FFF
        if kind == b"VP8L" and body[0] == 0x2F:
            return (integer(1, 5) & 0x3FFF) + 1, (integer(1, 5) >> 14 & 0x3FFF) + 1
    raise ImageDecodeError("image data is damaged or cut short (no WebP header)")
