"""Reads the header of a JPEG, segment by segment, as libjpeg and `cpp_bench/src/jpeg_header.cc` do.

libjpeg then decodes the pixels, here and in the C library. Everything before that is decided here, so that both agree: which
files are refused for their kind or cost, and what the EXIF, XMP and ICC segments say.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from acne_edge.errors import ImageDecodeError
from acne_edge.formats.exif import NAME, Metadata

START = b"\xff\xd8\xff"
MARKER = re.compile(rb"\xff[^\x00\xff]")  # FF 00 is a byte of data, FF FF is padding
STANDALONE = {0x01, *range(0xD0, 0xDA)}  # markers without a length: TEM, the restarts, the image's start and end
BASELINE, EXTENDED, PROGRESSIVE, ARITHMETIC, PROGRESSIVE_ARITHMETIC = 0xC0, 0xC1, 0xC2, 0xC9, 0xCA
DECODED = (BASELINE, EXTENDED, PROGRESSIVE, ARITHMETIC, PROGRESSIVE_ARITHMETIC)
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # those three are tables and a reserve
START_OF_IMAGE, END_OF_IMAGE, START_OF_SCAN, APP1, APP2 = 0xD8, 0xD9, 0xDA, 0xE1, 0xE2
XMP, ICC = b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0"

MAX_SEGMENTS = 10_000  # a profile may take 255, a depth map a few hundred
MAX_SCANS = 200  # real files have about ten; thousands are an attack on the device's time
MAX_SCANNED = 2_000_000_000  # pixels times scans, as in 100 megapixels in 20 scans


class JpegHeader(NamedTuple):
    """What a JPEG's header says."""

    width: int  # pixels
    height: int
    components: int  # 1 grey, 3 colour, 4 inks
    buffered: int  # bytes of coefficients that libjpeg keeps until the last scan; 0 for a file with one scan
    metadata: Metadata


def read_header(data: bytes) -> JpegHeader:
    """Read everything before the pixels, and count the scans.

    Raises ImageDecodeError if the header is cut short, the kind of JPEG is not supported, or it has over MAX_SCANS scans.
    """
    frame, progressive, notes, position = b"", False, _Notes(), len(START) - 1
    for _ in range(MAX_SEGMENTS):
        marker, body, position = _segment(data, position)
        if marker in (START_OF_IMAGE, END_OF_IMAGE):
            raise ImageDecodeError("image data is damaged (no pixels before the end)")
        if marker == START_OF_SCAN:
            break
        if marker in FRAMES:
            if frame:
                raise ImageDecodeError("image data is damaged (two frames in one JPEG)")
            frame = _checked_frame(marker, body)
            progressive = marker in (PROGRESSIVE, PROGRESSIVE_ARITHMETIC)
        notes.take(marker, body)
    else:
        raise ImageDecodeError(f"JPEG of more than {MAX_SEGMENTS} segments")
    if not frame:
        raise ImageDecodeError("image data is damaged (pixels before their size)")
    height, width, components = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big"), frame[5]
    buffered = 0
    if progressive or body[:1] < frame[5:6]:  # a scan of some components only: others follow
        _check_scans(data, position, width * height)
        buffered = _coefficients(frame)
    return JpegHeader(width, height, components, buffered, notes.metadata())


def _segment(data: bytes, position: int) -> tuple[int, bytes, int]:
    """The next segment's marker, body and end. Bytes before its marker are skipped, as libjpeg does."""
    found = MARKER.search(data, position)
    if found is None:
        raise ImageDecodeError("image data is damaged or cut short (in its header)")
    marker, position = data[found.end() - 1], found.end()
    if marker in STANDALONE:
        return marker, b"", position
    end = position + max(2, int.from_bytes(data[position : position + 2], "big"))
    if end > len(data):
        raise ImageDecodeError("image data is damaged or cut short (in its header)")
    return marker, data[position + 2 : end], end


def _checked_frame(marker: int, body: bytes) -> bytes:
    if marker not in DECODED:
        raise ImageDecodeError("lossless and hierarchical JPEGs are not supported; save the photograph as a baseline JPEG or PNG")
    if len(body) < 6 or len(body) != 6 + 3 * body[5]:
        raise ImageDecodeError("image data is damaged (a frame of the wrong length)")
    if body[0] != 8:
        raise ImageDecodeError(f"JPEG of {body[0]} bits a sample is not supported; 8 are")
    if body[5] not in (1, 3, 4):
        raise ImageDecodeError(f"JPEG of {body[5]} components; 1 (grey), 3 (colour) or 4 (inks) are supported")
    if not all(1 <= value <= 4 for sampling in body[7::3] for value in (sampling >> 4, sampling & 15)):
        raise ImageDecodeError("image data is damaged (sampling factors)")
    return body


def _coefficients(frame: bytes) -> int:
    """Bytes of the frame's DCT coefficients: 2 a coefficient, 64 coefficients a block, in whole minimum coded units."""
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    samplings = [(value >> 4, value & 15) for value in frame[7::3]]
    across, down = max(h for h, _ in samplings), max(v for _, v in samplings)
    units = -(-width // (8 * across)) * -(-height // (8 * down))
    return 128 * units * sum(h * v for h, v in samplings)


def _check_scans(data: bytes, position: int, pixels: int) -> None:
    """Refuse a file whose scans would take too long. Counting stops where the file is damaged, which libjpeg reports."""
    scans = 1
    for _ in range(MAX_SEGMENTS):
        found = MARKER.search(data, position)
        if found is None or data[found.end() - 1] == END_OF_IMAGE:
            return
        marker, position = data[found.end() - 1], found.end()
        if marker in STANDALONE:
            continue
        position += max(2, int.from_bytes(data[position : position + 2], "big"))
        scans += marker == START_OF_SCAN
        if scans > MAX_SCANS or scans * pixels > MAX_SCANNED:
            raise ImageDecodeError(f"JPEG of too many scans ({scans} or more); save the photograph as a baseline JPEG")
    raise ImageDecodeError(f"JPEG of more than {MAX_SEGMENTS} segments")


class _Notes:
    """Collects metadata, which may be split over several segments."""

    def __init__(self) -> None:
        self._exif: list[bytes] = []
        self._xmp = b""
        self._profile: dict[int, bytes] = {}  # by its number, from 1
        self._parts = 0

    def take(self, marker: int, body: bytes) -> None:
        """Look at a segment."""
        if marker == APP1 and body.startswith(NAME):
            self._exif.append(body[len(NAME) :])
        elif marker == APP1 and body.startswith(XMP):
            self._xmp = body[len(XMP) :]
        elif marker == APP2 and body.startswith(ICC) and len(body) >= len(ICC) + 2:
            number, self._parts = body[len(ICC)], body[len(ICC) + 1]
            self._profile.setdefault(number, body[len(ICC) + 2 :])

    def metadata(self) -> Metadata:
        """The collected metadata, without a profile that lacks a part."""
        whole = sorted(self._profile) == list(range(1, self._parts + 1))
        profile = b"".join(self._profile[number] for number in sorted(self._profile)) if whole else b""
        return Metadata(b"".join(self._exif), self._xmp, profile)
