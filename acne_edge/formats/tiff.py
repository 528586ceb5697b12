"""Strips a TIFF to those fields of its first page that make the pixels.

Pillow reads every field and warns about odd ones, which TIFF writers often produce. What Pillow opens as 16 bits may be 12, or
may use the highest value for black, so both are read here too.
"""

from __future__ import annotations

import io
import struct
from typing import NamedTuple

from acne_edge.errors import ImageDecodeError

ENTRY = {42: "HHL4s", 43: "HHQ8s"}  # tag, type, count, value or offset; TIFF and BigTIFF
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}  # bytes, by type
WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, STRIPS, ORIENTATION, TILES, PROFILE = 256, 257, 258, 259, 262, 273, 274, 324, 34675
SINGLE = {WIDTH, LENGTH, COMPRESSION, PHOTOMETRIC, 266, ORIENTATION, 277, 278, 284, 317, 322, 323}  # fields of one value
LISTS = {BITS, STRIPS, 279, 292, 293, 320, TILES, 325, 332, 338, 339, 347, 512, 513, 514, 519, 520, 521, 529, 530, 531, 532}
UNUSED = 65000  # a private field's number
MAX_ENTRIES = 1000
MAX_PIECES = 200_000  # strips or tiles; more are an attack on the device's time


class Tiff(NamedTuple):
    """The first page, and what Pillow does not report about it."""

    page: io.BytesIO
    bits: int  # per sample, for the first sample of a pixel
    white_is_zero: bool


def read_tiff(data: bytes) -> Tiff:
    """Read the first page. Raises ImageDecodeError for a directory that is damaged or extends beyond the file."""
    try:
        return _first_page(data)
    except (struct.error, OverflowError) as error:
        raise ImageDecodeError("image data is damaged or cut short (its directory)") from error


def _first_page(data: bytes) -> Tiff:
    order = "<" if data[:2] == b"II" else ">"
    (version,) = struct.unpack_from(order + "H", data, 2)
    if version not in ENTRY:
        raise ImageDecodeError("image data is damaged (neither TIFF nor BigTIFF)")
    entry, big = struct.Struct(order + ENTRY[version]), version == 43
    (directory,) = struct.unpack_from(order + ("Q" if big else "L"), data, 8 if big else 4)
    (entries,) = struct.unpack_from(order + ("Q" if big else "H"), data, directory)
    first = directory + (8 if big else 2)
    end = first + entries * entry.size
    if entries > MAX_ENTRIES or end > len(data):
        raise ImageDecodeError("image data is damaged or cut short (its directory)")
    cleaned, fields = bytearray(), dict[int, _Field]()
    for values in entry.iter_unpack(data[first:end]):
        field = _Field._make((*values, order))
        if field.tag in fields or not field.is_needed(data):
            cleaned += entry.pack(UNUSED, 1, 1, b"")
            continue
        fields[field.tag] = field
        if field.tag in SINGLE and field.number != 1:
            values = (field.tag, 4, 1, struct.pack(order + "L", field.integer(data)))
        cleaned += entry.pack(*values)
    if sum(field.size for field in fields.values()) > len(data):
        raise ImageDecodeError("image data is damaged (fields that overlap)")
    page = io.BytesIO(data)
    page.seek(first)
    page.write(cleaned + bytes(8 if big else 4))  # no further page
    page.seek(0)
    value = {tag: field.integer(data) for tag, field in fields.items() if tag in (BITS, PHOTOMETRIC)}
    return Tiff(page, value.get(BITS, 1), value.get(PHOTOMETRIC) == 0)


class _Field(NamedTuple):
    """One entry of a directory."""

    tag: int
    kind: int
    number: int  # of values
    value: bytes  # the values, if they fit, else their offset in the file
    order: str  # byte order, as in struct

    @property
    def size(self) -> int:
        """Total bytes of the values."""
        return SIZES.get(self.kind, 0) * self.number

    @property
    def place(self) -> int:
        """Offset of the values in the file, for values that do not fit into the entry."""
        return int.from_bytes(self.value, "little" if self.order == "<" else "big")

    def is_needed(self, data: bytes) -> bool:
        """Whether the pixels depend on the field. Raises ImageDecodeError if they do and it cannot be read or costs too much."""
        if self.tag not in SINGLE and self.tag not in LISTS and self.tag != PROFILE:
            return False
        whole = self.size > 0 and (self.size <= len(self.value) or self.place + self.size <= len(data))
        if not whole and self.tag != PROFILE:  # a bad profile must not make the photograph unreadable
            raise ImageDecodeError(f"image data is damaged or cut short (field {self.tag})")
        if self.tag in (STRIPS, TILES) and self.number > MAX_PIECES:
            raise ImageDecodeError(f"TIFF of more than {MAX_PIECES} strips or tiles")
        return whole

    def integer(self, data: bytes) -> int:
        """The first value."""
        size = SIZES[self.kind]
        first = self.value[:size] if self.size <= len(self.value) else data[self.place : self.place + size]
        return int.from_bytes(first, "little" if self.order == "<" else "big")
