"""A photograph to measure on, for machines that have none at hand."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def drawn_photograph(width: int = 3112, height: int = 3456) -> bytes:
    """A JPEG of the size of ACNE04's photographs, made of soft noise, for machines that have no photograph at hand.

    Decoding takes the longer the more bits a pixel has. The grain is such that there are as many as in ACNE04's photographs
    (as distributed for development, 576x640: 1.31, 1.45 and 1.60 at the quartiles), here 1.48: 2.0 MB.
    """
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(60, 220, (height // 48, width // 48, 3), dtype=np.uint8))
    soft = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    grain = rng.normal(0, 2.2, (height, width, 1)).round().astype(np.int16)
    stream = io.BytesIO()
    Image.fromarray(np.clip(soft + grain, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=92)
    return stream.getvalue()
