"""Loads photographs with the pixels that devices see.

A device decodes a JPEG at the smallest DCT scale that keeps both sides at least `DECODE_SCALE` times the network's input, and
resizes the result. Training, calibration and evaluation do the same; the scale depends on the network's input, not on the size
at which photographs are kept. Training keeps them larger than the input, so that its views have pixels outside them.

One stage of the device is left out here, `framing`: it would cut 5 of the 1165 photographs, and the data set's boxes and the
runs' outputs refer to whole photographs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from acne_edge.errors import MissingExtraError
from acne_edge.image import ImageArray, decode
from acne_edge.preprocess import DECODE_SCALE, resize
from acne_edge.training.data.sample import Sample


def read_photograph(path: Path, input_size: int) -> ImageArray:
    """A photograph as a device decodes it for a network of `input_size` pixels a side: uint8 [H, W, 3], RGB, upright.

    Raises ImageError, which names the file.
    """
    return decode(path, min_side=DECODE_SCALE * input_size)


def load_images(
    samples: Sequence[Sample], size: int, workers: int = 2, denoise: str = "none", input_size: int | None = None
) -> NDArray[np.uint8]:
    """All photographs, resized to `size` pixels per side: uint8 [N, size, size, 3], RGB (150 kB each at 224).

    `input_size` is the network's input, which decides the DCT scale (None: `size`). If both are equal, these are the pixels that
    a device gives to the network. `denoise` then filters them: `median` over 3x3 pixels, `bilateral` over 5x5 (Tomasi and
    Manduchi, ICCV 1998), or `none`. Raises ImageError for a photograph that cannot be used.
    """
    noise_filter(denoise)  # so that a missing package is reported before any work

    def load(sample: Sample) -> NDArray[np.uint8]:
        status = os.stat(sample.path)  # a replaced file counts as another photograph
        return _load(sample.path, (status.st_size, status.st_mtime_ns), size, denoise, input_size or size)

    with ThreadPoolExecutor(max(1, workers)) as pool:
        return np.stack(list(pool.map(load, samples)))


@lru_cache(2500)  # the runs of a cross-validation share photographs: at most 620 MB at 288 pixels
def _load(path: Path, version: tuple[int, int], size: int, denoise: str, input_size: int) -> NDArray[np.uint8]:
    return noise_filter(denoise)(resize(read_photograph(path, input_size), size, size))


def noise_filter(name: str) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
    """The filter `none`, `median` or `bilateral` for uint8 images [H, W, 3]. Raises MissingExtraError without OpenCV."""
    if name == "none":
        return lambda image: image
    try:
        import cv2
    except ImportError as error:
        raise MissingExtraError("opencv-python-headless", "camera", "denoising") from error
    if name == "median":
        return lambda image: cv2.medianBlur(image, 3)  # type: ignore[no-any-return,return-value,unused-ignore]
    return lambda image: cv2.bilateralFilter(image, 5, 25, 2)  # type: ignore[no-any-return,return-value,unused-ignore]
