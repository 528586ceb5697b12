"""Converts photographs with a colour profile (ICC.1) to sRGB by Little CMS, exactly as `cpp_bench/src/colour.cc` does.

The network has learned from sRGB pixels, and the same colours have other numbers in another colour space. A profile that cannot
be used is ignored, and the photograph is still read. That is a profile that is damaged, larger than 4 MB, for other channels than
the picture has (a CMYK profile on an RGB picture), or that turns white into a colour.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

Conversion = "Callable[[Image.Image], Image.Image]"

MAX_PROFILE = 4_000_000  # bytes; profiles of cameras and printers are smaller
SPACES = {"RGB": b"RGB ", "RGBA": b"RGB ", "L": b"GRAY", "CMYK": b"CMYK"}  # Pillow's modes and the profiles that fit
WHITES: dict[str, Any] = {
    "RGB": (255, 255, 255),
    "RGBA": (255, 255, 255, 255),
    "L": 255,
    "CMYK": (0, 0, 0, 0),
    "LAB": (255, 128, 128),
}
NEARLY_WHITE = 224  # the least value of each channel that white may be converted to

SRGB_PRIMARIES = {  # XYZ of IEC 61966-2-1, adapted to D50
    b"rXYZ": (0.43607, 0.22249, 0.01392), b"gXYZ": (0.38515, 0.71687, 0.09708), b"bXYZ": (0.14307, 0.06061, 0.71410),
}  # fmt: skip
SRGB_CURVES = (b"rTRC", b"gTRC", b"bTRC")
PROBES = (0.1, 0.25, 0.5, 0.75)  # where the curves are compared
NEAR = 0.002  # tolerance of a primary and of a curve: half a level of 255


def converter(profile: bytes, mode: str) -> Callable[[Image.Image], Image.Image] | None:
    """A function that converts pixels of Pillow's `mode` with this ICC profile to sRGB; None if they are, or count as, sRGB.

    RGB and RGBA keep their mode; L, CMYK and LAB become RGB. LAB needs no profile.
    """
    if mode == "LAB":
        return _transform(b"", mode)
    if not 128 < len(profile) <= MAX_PROFILE or profile[16:20] != SPACES.get(mode) or is_srgb(profile):
        return None
    return _transform(profile, mode)


@lru_cache(maxsize=8)  # a batch comes from one camera or two
def _transform(profile: bytes, mode: str) -> Callable[[Image.Image], Image.Image] | None:
    from PIL import Image, ImageCms

    output = mode if mode in ("RGB", "RGBA") else "RGB"
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile)) if profile else ImageCms.createProfile("LAB")
        transform = ImageCms.buildTransform(
            source, ImageCms.createProfile("sRGB"), mode, output, ImageCms.Intent.RELATIVE_COLORIMETRIC
        )
        white = ImageCms.applyTransform(Image.new(mode, (1, 1), WHITES[mode]), transform)
        assert white is not None
        if min(white.getpixel((0, 0))) < NEARLY_WHITE:  # type: ignore[arg-type, type-var]
            return None
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):  # Pillow raises one or the other, by its version
        return None

    def convert(image: Image.Image) -> Image.Image:
        converted = ImageCms.applyTransform(image, transform)
        assert converted is not None
        return converted

    return convert


def is_srgb(profile: bytes) -> bool:
    """Whether an RGB profile's primaries and curves are those of sRGB. False where only Little CMS can tell."""
    try:
        tags = _tags(profile)
        if b"A2B0" in tags or b"A2B1" in tags:  # tables, which take precedence over primaries and curves
            return False
        return all(_is_near(_xyz(tags[name]), expected) for name, expected in SRGB_PRIMARIES.items()) and all(
            _is_near([_curve(tags[name], x) for x in PROBES], [_srgb_curve(x) for x in PROBES]) for name in SRGB_CURVES
        )
    except (KeyError, struct.error, ValueError):
        return False


def _tags(profile: bytes) -> dict[bytes, bytes]:
    (number,) = struct.unpack_from(">L", profile, 128)
    table = struct.iter_unpack(">4sLL", profile[132 : 132 + 12 * min(number, 100)])
    return {name: profile[offset : offset + size] for name, offset, size in table}


def _xyz(tag: bytes) -> list[float]:
    return [value / 65536 for value in struct.unpack_from(">3l", tag, 8)]


def _curve(tag: bytes, x: float) -> float:
    """A tone curve at `x`, both in 0..1 (ICC.1:2022, 10.6 and 10.18). Raises ValueError for one that is not sRGB's."""
    if tag[:4] == b"curv":
        (number,) = struct.unpack_from(">L", tag, 8)
        if number < 256:  # a gamma, or too few points to tell
            raise ValueError
        place = x * (number - 1)
        low, high = struct.unpack_from(">2H", tag, 12 + 2 * int(place))
        return float(low + (high - low) * (place - int(place))) / 65535
    if tag[:4] == b"para" and struct.unpack_from(">H", tag, 8)[0] in (3, 4):
        gamma, a, b, c, d = (value / 65536 for value in struct.unpack_from(">5l", tag, 12))
        return float((a * x + b) ** gamma) if x >= d else c * x
    raise ValueError


def _srgb_curve(x: float) -> float:
    return float(((x + 0.055) / 1.055) ** 2.4)  # of the probes, none is so dark that the line holds


def _is_near(values: list[float], expected: Any) -> bool:
    return all(abs(value - other) <= NEAR for value, other in zip(values, expected, strict=True))
