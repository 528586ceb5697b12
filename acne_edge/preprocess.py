"""Turns an RGB image of any size into the network's input. Its geometry is decided only here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from acne_edge.image import ImageArray

DECODE_SCALE = 2  # a JPEG is decoded with both sides at least this many times the network's input size


def resize(image: ImageArray | Image.Image, height: int, width: int) -> ImageArray:
    """Resample RGB, uint8 [H, W, 3], to [height, width, 3] with Pillow's antialiased triangle filter; the frame is stretched.

    The whole frame is kept, because a lesion outside a crop would not be counted.
    """
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def pack(images: Sequence[ImageArray | Image.Image], height: int, width: int) -> ImageArray:
    """Resize and stack images into the network's input: uint8 [N, height, width, 3], RGB, C-contiguous."""
    return np.stack([resize(image, height, width) for image in images])
