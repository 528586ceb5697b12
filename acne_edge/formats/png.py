"""Strips a PNG to its pixels. Comments and animations, which may be huge and which Pillow would read, are left out."""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from acne_edge.colour import MAX_PROFILE
from acne_edge.errors import ImageDecodeError
from acne_edge.formats.exif import Metadata, bare, from_hexadecimal

START = b"\x89PNG\r\n\x1a\n"
ANCILLARY = 0x20  # bit of a chunk's first letter: lower case marks chunks that a reader may skip
TRANSPARENCY = b"tRNS"  # the one ancillary chunk that changes the pixels
MAX_CHUNKS = 100_000  # chunks of pixels; 100 megapixels in chunks of 8 kB are under 50 000
MAX_TEXT = 1_000_000  # bytes of EXIF or XMP, unpacked


class Png(NamedTuple):
    """A file with only the chunks that make the pixels, and the metadata beside it."""

    width: int  # pixels
    height: int
    data: bytes
    metadata: Metadata


def read_png(data: bytes) -> Png:
    """Parse a PNG. Raises ImageDecodeError if it does not begin with a header."""
    if data[12:16] != b"IHDR" or len(data) < 33:
        raise ImageDecodeError("image data is damaged or cut short (no header)")
    width, height = struct.unpack_from(">2L", data, 16)
    view, position = memoryview(data), len(START)
    kept, exif, xmp, profile = [view[:position]], b"", b"", b""
    for _ in range(MAX_CHUNKS):
        if position + 8 > len(data):
            break
        length, kind = struct.unpack_from(">L4s", data, position)
        end = position + 12 + length
        body = data[position + 8 : position + 8 + length] if kind[0] & ANCILLARY else b""
        if not kind[0] & ANCILLARY or kind == TRANSPARENCY:
            kept.append(view[position:end])
        elif kind == b"eXIf":
            exif = body
        elif kind == b"iCCP":
            profile = _inflated(body.partition(b"\0")[2][1:], MAX_PROFILE)
        elif kind in (b"iTXt", b"tEXt", b"zTXt"):
            name, text = _text(kind, body)
            if name == b"XML:com.adobe.xmp":
                xmp = text
            elif name == b"Raw profile type exif":  # as ImageMagick writes it, unless there is eXIf
                exif = exif or from_hexadecimal(text)
        position = end
        if kind == b"IEND":
            break
    else:
        raise ImageDecodeError(f"PNG of more than {MAX_CHUNKS} chunks")
    return Png(width, height, b"".join(kept), Metadata(bare(exif), xmp, profile))


def _text(kind: bytes, body: bytes) -> tuple[bytes, bytes]:
    """Keyword and text of a text chunk; the text is unpacked only for keywords that are read here."""
    name, _, text = body.partition(b"\0")
    if not name.startswith((b"XML:", b"Raw ")):
        return name, b""
    if kind == b"iTXt":
        packed, translated = text[:1] == b"\1", text[2:].partition(b"\0")[2]  # after the language
        text = translated.partition(b"\0")[2]  # after the keyword in that language
        return name, _inflated(text, MAX_TEXT) if packed else text
    return name, _inflated(text[1:], MAX_TEXT) if kind == b"zTXt" else text


def _inflated(packed: bytes, most: int) -> bytes:
    """The unpacked bytes; empty if they are damaged or more than `most`."""
    try:
        stream = zlib.decompressobj()
        unpacked = stream.decompress(packed, most)
        return unpacked if stream.eof else b""
    except zlib.error:
        return b""
