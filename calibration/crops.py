"""Draws the crops on which activation ranges are measured: whole frames and lesion-dense parts, all severities alike."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from acne_edge.errors import UsageError
from acne_edge.image import ImageArray, decode
from acne_edge.preprocess import resize
from acne_edge.training.data import Sample

MIN_CROPS = 100


@dataclass(frozen=True)
class Crop:
    """One calibration image and where it came from; `box` is (x0, y0, x1, y1) in 0..1 of the photograph."""

    name: str
    box: tuple[float, float, float, float]
    image: ImageArray  # uint8 [size, size, 3], RGB

    def record(self) -> dict[str, object]:
        """Name, box and sha256 of the pixels, for the list that goes with a model."""
        return {"name": self.name, "box": list(self.box), "sha256": hashlib.sha256(self.image.tobytes()).hexdigest()}


def draw(samples: Sequence[Sample], number: int, size: int, seed: int = 0, dense: float = 0.3) -> list[Crop]:
    """Draw `number` crops, the grades in equal parts as far as there are photographs, a share `dense` of them zoomed.

    A zoomed crop is 40..80 % of the frame's sides around a random lesion. Raises UsageError for fewer than 100.
    """
    if number < MIN_CROPS or len(samples) < MIN_CROPS:
        raise UsageError(
            f"{min(number, len(samples))} calibration photographs; at least {MIN_CROPS} are needed for stable ranges"
        )
    rng = np.random.default_rng(seed)
    return [_crop(sample, size, dense, rng) for sample in _stratified(samples, min(number, len(samples)), rng)]


def _stratified(samples: Sequence[Sample], number: int, rng: np.random.Generator) -> list[Sample]:
    by_grade: dict[int, list[Sample]] = {}
    for i in rng.permutation(len(samples)):
        by_grade.setdefault(samples[i].grade, []).append(samples[i])
    chosen: list[Sample] = []
    while len(chosen) < number:
        for grade in sorted(by_grade):
            if by_grade[grade] and len(chosen) < number:
                chosen.append(by_grade[grade].pop())
    return chosen


def _crop(sample: Sample, size: int, dense: float, rng: np.random.Generator) -> Crop:
    image = decode(sample.path, min_side=2 * size)
    box = (0.0, 0.0, 1.0, 1.0)
    if sample.boxes is not None and len(sample.boxes) and rng.random() < dense:
        box = _around(sample.boxes[rng.integers(len(sample.boxes))], rng.uniform(0.4, 0.8), rng)
        height, width = image.shape[:2]
        x0, y0, x1, y1 = (round(v * s) for v, s in zip(box, (width, height, width, height), strict=True))
        image = image[y0:y1, x0:x1]
    return Crop(sample.name, box, resize(np.ascontiguousarray(image), size, size))


def _around(lesion: NDArray[np.float32], side: float, rng: np.random.Generator) -> tuple[float, float, float, float]:
    centre = (lesion[:2] + lesion[2:]) / 2
    low = np.clip(centre - side * rng.uniform(0.2, 0.8, 2), 0, 1 - side)
    return float(low[0]), float(low[1]), float(low[0] + side), float(low[1] + side)
