"""The orientation that EXIF or XMP data gives; as in `cpp_bench/src/exif.cc`."""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

NAME = b"Exif\0\0"
ORIENTATION = 0x0112
BYTE_ORDERS = {b"II": "<", b"MM": ">"}
INTEGERS = {3: "H", 4: "L", 6: "b", 8: "h", 9: "l", 13: "L"}  # TIFF's types: short, long, and the signed ones; 13 is an offset
XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


class Metadata(NamedTuple):
    """A file's metadata; empty where it has none."""

    exif: bytes = b""  # a TIFF file
    xmp: bytes = b""
    profile: bytes = b""  # an ICC profile

    @property
    def orientation(self) -> int:
        """The orientation, 1..8. XMP is used where EXIF gives none; any other value becomes 1, upright."""
        value = exif_orientation(self.exif) or xmp_orientation(self.xmp)
        return value if 1 <= value <= 8 else 1


NOTHING = Metadata()


def exif_orientation(tiff: bytes) -> int:
    """The orientation, 1..8, or 0 if the block gives none. Any other value becomes 1."""
    if not tiff:
        return 0
    order = BYTE_ORDERS.get(tiff[:2])
    if order is None:
        return 1
    try:
        if struct.unpack_from(order + "H", tiff, 2)[0] != 42:
            return 1
        (directory,) = struct.unpack_from(order + "L", tiff, 4)
        (entries,) = struct.unpack_from(order + "H", tiff, directory)
        for entry in range(directory + 2, directory + 2 + 12 * entries, 12):
            tag, kind, count = struct.unpack_from(order + "HHL", tiff, entry)
            if tag != ORIENTATION:
                continue
            if kind not in INTEGERS or count == 0:
                return 1
            integer = struct.Struct(order + INTEGERS[kind])
            # A value of more than four bytes is stored elsewhere; only the first of several values counts.
            place = struct.unpack_from(order + "L", tiff, entry + 8)[0] if integer.size * count > 4 else entry + 8
            (value,) = integer.unpack_from(tiff, place)
            return value if 1 <= value <= 8 else 1
    except struct.error:  # cut short
        return 0
    return 0


def xmp_orientation(xmp: bytes) -> int:
    """0..9 as the text has it, or 0."""
    found = XMP_ORIENTATION.search(xmp)
    return int(found[1]) if found else 0


def bare(exif: bytes) -> bytes:
    """The TIFF file in an EXIF block, which in a JPEG begins with a name; some writers repeat the name."""
    while exif.startswith(NAME):
        exif = exif[len(NAME) :]
    return exif


def from_hexadecimal(text: bytes) -> bytes:
    """EXIF as ImageMagick writes it into a PNG: hexadecimal after an empty line, a name and a length; empty for other text."""
    try:
        return bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii"))
    except ValueError:
        return b""
