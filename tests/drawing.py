"""Images that the tests and the documentation draw for themselves; no photograph of a person is ever committed."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image, ImageCms, ImageDraw, ImageFilter


def face(lesions: int = 20, seed: int = 0, width: int = 576, height: int = 640) -> np.ndarray:
    """A skin-coloured oval with pores, a dark background and red blobs: uint8 [height, width, 3]. Not a person."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (width, height), (52, 58, 66))
    draw = ImageDraw.Draw(image)
    draw.ellipse((width * 0.06, height * 0.04, width * 0.94, height * 0.97), fill=(206, 160, 138))
    for _ in range(lesions):
        angle, radius = rng.uniform(0, 2 * np.pi), 0.36 * np.sqrt(rng.uniform(0, 1))
        x, y = width * (0.5 + radius * np.cos(angle)), height * (0.5 + radius * np.sin(angle))
        r = width * rng.uniform(0.008, 0.016)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(176, 78, 76))
        draw.ellipse((x - r / 3, y - r / 3, x + r / 3, y + r / 3), fill=(222, 190, 160))
    pores = rng.normal(0, 14, (height // 3, width // 3, 1)).repeat(3, 0).repeat(3, 1)
    pores = np.pad(pores, ((0, height - pores.shape[0]), (0, width - pores.shape[1]), (0, 0)), mode="edge")
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(1.2)), np.float32)
    return np.clip(soft + pores, 0, 255).astype(np.uint8)


def encode(image: np.ndarray | Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """Encode an array or PIL image with Pillow."""
    stream = io.BytesIO()
    picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    picture.save(stream, kind, **options)
    return stream.getvalue()


def with_orientation(image: np.ndarray, orientation: int) -> bytes:
    """A JPEG of `image` whose EXIF says `orientation`."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(image, "JPEG", quality=95, subsampling=0, exif=exif)


def display_p3() -> bytes:
    """A profile with the primaries of Display P3: that of sRGB with others in their place."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    primaries = {
        b"rXYZ": (0.51512, 0.24120, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.15710, 0.06657, 0.78407),
    }
    for name, xyz in primaries.items():
        entry = profile.index(name)
        (offset,) = struct.unpack_from(">L", profile, entry + 4)
        struct.pack_into(">3l", profile, offset + 8, *(round(value * 65536) for value in xyz))
    profile[24:36] = bytes(12)  # the time at which it was made
    return bytes(profile)
