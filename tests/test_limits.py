"""Small files are cheap: none takes over 5 s, or over 500 MB of additional memory."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests import drawing
from tests.test_image import png_header

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak of the memory from /proc")

SECONDS, MEGABYTES = 5, 500
MEASURE = """
import sys, time
from acne_edge import image
def memory(name):
    return next(int(line.split()[1]) / 1000 for line in open("/proc/self/status") if line.startswith(name))
before, began = memory("VmRSS"), time.process_time()
try:
    outcome = "x".join(map(str, image.read(sys.argv[1], 512).size))
except Exception as error:
    outcome = type(error).__name__
print(outcome, time.process_time() - began, memory("VmHWM") - before)
"""


ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def flat_png(side: int, colour: int, channels: int, extra: bytes = b"", depth: int = 8, interlaced: bool = False) -> bytes:
    """A square PNG of one colour, some hundred kilobytes of it."""
    packer, rows = zlib.compressobj(1), b""
    for x, y, across, down in ADAM7 if interlaced else ((0, 0, 1, 1),):
        row = bytes(1) + b"\x80" * (len(range(x, side, across)) * channels * depth // 8)
        rows += b"".join(packer.compress(row) for _ in range(y, side, down))
    head = png_header(side, side, colour, depth)[:28] + bytes((interlaced,))
    return head + struct.pack(">L", zlib.crc32(head[12:])) + extra + chunk(b"IDAT", rows + packer.flush()) + chunk(b"IEND", b"")


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))


def transparent_palette() -> bytes:
    return chunk(b"PLTE", bytes(768)) + chunk(b"tRNS", bytes(256))


def scans(side: int, number: int) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    whole = drawing.encode(Image.new("RGB", (side, side), (200, 150, 120)), "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:last] + whole[last:-2] * number + b"\xff\xd9"


def flat(mode: str, side: int, kind: str, **options: object) -> bytes:
    return drawing.encode(Image.new(mode, (side, side)), kind, **options)


def runs(number: int) -> bytes:
    """A BMP of run lengths of one pixel each."""
    body = b"\1\5" * number
    head = struct.pack("<LllHHLLllLL", 40, 5000, 5000, 1, 8, 1, len(body), 0, 0, 256, 0)
    return b"BM" + struct.pack("<LHHL", 1078 + len(body), 0, 0, 1078) + head + bytes(1024) + body


def in_dicom(side: int, *stored: str) -> bytes:
    pytest.importorskip("pydicom", reason="the extra dicom is not installed")
    import numpy as np

    from tests.dicom_files import dicom

    return dicom(np.full((side, side, 3), 150, np.uint8), *stored)


CASES: dict[str, tuple[Callable[[], bytes], str]] = {
    "the largest PNG with transparency": (lambda: flat_png(7071, 6, 4), "7071x7071"),
    "two hundred scans": (lambda: scans(3000, 190), "750x750"),
    "fifty thousand scans": (lambda: scans(2048, 50_000), "ImageDecodeError"),
    "the largest WebP": (lambda: flat("RGB", 5000, "WEBP", method=0), "5000x5000"),
}
SLOW: dict[str, tuple[Callable[[], bytes], str]] = {
    "the largest PNG": (lambda: flat_png(10_000, 2, 3), "10000x10000"),
    "a larger PNG with transparency": (lambda: flat_png(10_000, 6, 4), "ImageSizeError"),
    "a larger grey PNG with transparency": (lambda: flat_png(10_000, 4, 2), "ImageSizeError"),
    "a larger palette with transparency": (lambda: flat_png(10_000, 3, 1, transparent_palette()), "ImageSizeError"),
    "a BMP of runs": (lambda: runs(1_990_000), "ImageDecodeError"),
    "a palette with transparency": (lambda: flat_png(7071, 3, 1, transparent_palette()), "7071x7071"),
    "sixteen bits and transparency": (lambda: flat_png(7071, 6, 4, depth=16), "7071x7071"),
    "sixteen bits": (lambda: flat_png(7071, 0, 1, depth=16), "7071x7071"),
    "interlaced": (lambda: flat_png(10_000, 2, 3, interlaced=True), "10000x10000"),
    "the largest JPEG": (lambda: flat("RGB", 10_000, "JPEG"), "1250x1250"),
    "the largest progressive JPEG": (lambda: flat("RGB", 10_000, "JPEG", progressive=True), "1250x1250"),
    "a progressive JPEG of too many coefficients": (
        lambda: flat("RGB", 10_000, "JPEG", progressive=True, subsampling=0),
        "ImageSizeError",
    ),
    "inks": (lambda: flat("CMYK", 7000, "JPEG"), "875x875"),
    "a TIFF of one strip": (lambda: flat("RGBA", 7071, "TIFF", compression="tiff_deflate"), "7071x7071"),
    "a TIFF of a fax": (lambda: flat("1", 7071, "TIFF", compression="group4"), "7071x7071"),
    "JPEG 2000 in DICOM": (lambda: in_dicom(4470, "j2k", "RGB"), "4470x4470"),
    "run lengths in DICOM": (lambda: in_dicom(5000, "rle", "RGB"), "5000x5000"),
    "uncompressed DICOM": (lambda: in_dicom(5000, "native", "YBR_FULL"), "5000x5000"),
    "a lossless WebP": (lambda: flat("RGBA", 5000, "WEBP", lossless=True, method=0), "5000x5000"),
}


@pytest.mark.parametrize("name", [*CASES, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_a_picture_is_cheap_or_refused(name: str, tmp_path: Path) -> None:
    make, expected = {**CASES, **SLOW}[name]
    file = tmp_path / "picture"
    file.write_bytes(make())
    done = subprocess.run([sys.executable, "-c", MEASURE, str(file)], capture_output=True, text=True, timeout=60, check=True)
    outcome, seconds, megabytes = done.stdout.split()
    assert outcome == expected
    assert float(seconds) < SECONDS  # of processor time, so that a busy machine does not count
    assert float(megabytes) < MEGABYTES
