"""A drawn photograph to measure speed on, for machines without one."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def drawn_photograph(width: int = 3112, height: int = 3456) -> bytes:
    """A JPEG of soft noise as large as ACNE04's photographs, for machines without a photograph.

    Decoding takes longer the more bits a pixel has. Grain and JPEG quality give 0.77 (1.0 MB): the two original files of ACNE04
    that were at hand have 0.69 and 0.85. Copies of 576x640 pixels, as they are distributed, have twice as many.
    """
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(60, 220, (height // 48, width // 48, 3), dtype=np.uint8))
    soft = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    grain = rng.normal(0, 1.6, (height, width, 1)).round().astype(np.int16)
    stream = io.BytesIO()
    Image.fromarray(np.clip(soft + grain, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=85)
    return stream.getvalue()
