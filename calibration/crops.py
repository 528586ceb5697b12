"""Draws the crops on which activation ranges for INT8 are measured.

Crops are whole frames and parts with many lesions, equally often for every severity.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from acne_edge import console, files
from acne_edge.errors import UsageError
from acne_edge.files import write
from acne_edge.image import ImageArray
from acne_edge.preprocess import resize
from acne_edge.training.data import Sample, read_photograph
from acne_edge.training.data import image_sources as image_sources
from calibration import MIN_CROPS

MAX_BYTES = 1 << 32  # of a set


@dataclass(frozen=True)
class Crop:
    """One calibration image and its origin; `box` is (x0, y0, x1, y1) in 0..1 of the photograph."""

    name: str
    box: tuple[float, float, float, float]
    image: ImageArray  # uint8 [size, size, 3], RGB

    def record(self) -> dict[str, object]:
        """Name, box and sha256 of the pixels, for the list that accompanies a model."""
        return {"name": self.name, "box": list(self.box), "sha256": pixel_hash(self.image)}


@dataclass(frozen=True)
class CropSet:
    """Calibration images uint8 [N, size, size, 3], RGB, the names of their photographs, and the hash of their list."""

    images: NDArray[np.uint8]
    names: tuple[str, ...]
    sha256: str


def pixel_hash(image: ImageArray) -> str:
    """sha256, hexadecimal, of an image's pixels."""
    return hashlib.sha256(image.tobytes()).hexdigest()


def draw(
    samples: Sequence[Sample],
    number: int,
    size: int,
    seed: int = 0,
    dense: float = 0.3,
    sources: dict[str, str] | None = None,
    each: int = 1,
) -> list[Crop]:
    """Draw `number` crops, in equal parts by grade and source as far as photographs allow; a share `dense` of them is zoomed.

    A zoomed crop has 40..80 % of the frame's sides and lies around a random lesion. A photograph gives one crop; with `each`, so
    many, all but the first of which are zoomed: for a set of few photographs.
    Raises UsageError for fewer than 100, ImageError for a photograph that cannot be read.
    """
    found = min(number, len(samples) * each)
    if found < MIN_CROPS:
        what = "photographs" if each == 1 else f"crops of {len(samples)} photographs"
        raise UsageError(f"{found} calibration {what}; at least {MIN_CROPS} are needed for stable ranges")
    rng = np.random.default_rng(seed)
    chosen = [s for s in _stratified(samples, -(-found // each), sources or {}, rng) for _ in range(each)][:found]
    followed = console.progress(iter(chosen), "drawing crops", len(chosen))
    return [_crop(sample, size, 1.0 if i % each else dense, rng) for i, sample in enumerate(followed)]


def _stratified(samples: Sequence[Sample], number: int, sources: dict[str, str], rng: np.random.Generator) -> list[Sample]:
    strata: defaultdict[tuple[int, str], list[Sample]] = defaultdict(list)
    for i in rng.permutation(len(samples)):
        strata[samples[i].grade, sources.get(samples[i].name, "")].append(samples[i])
    chosen: list[Sample] = []
    while len(chosen) < number:
        for stratum in sorted(strata):
            if strata[stratum] and len(chosen) < number:
                chosen.append(strata[stratum].pop())
    return chosen


def _crop(sample: Sample, size: int, dense: float, rng: np.random.Generator) -> Crop:
    image = read_photograph(sample.path, size)
    box = (0.0, 0.0, 1.0, 1.0)
    lesions = np.zeros((0, 4), np.float32) if sample.boxes is None else sample.boxes
    if (len(lesions) or dense == 1) and rng.random() < dense:
        lesion = lesions[rng.integers(len(lesions))] if len(lesions) else np.tile(rng.random(2), 2)
        box = _around(lesion, rng.uniform(0.4, 0.8), rng)
        height, width = image.shape[:2]
        x0, y0, x1, y1 = (round(v * s) for v, s in zip(box, (width, height, width, height), strict=True))
        image = image[y0:y1, x0:x1]
    return Crop(sample.name, box, resize(np.ascontiguousarray(image), size, size))


def _around(lesion: NDArray[np.float32], side: float, rng: np.random.Generator) -> tuple[float, float, float, float]:
    centre = (lesion[:2] + lesion[2:]) / 2
    low = np.clip(centre - side * rng.uniform(0.2, 0.8, 2), 0, 1 - side)
    return float(low[0]), float(low[1]), float(low[0] + side), float(low[1] + side)


def save(path: Path, crops: Sequence[Crop], seed: int) -> None:
    """Write the pixels to `path` (.npz), and the list of names, boxes and hashes beside it as .json."""
    pixels = io.BytesIO()
    np.savez(pixels, images=np.stack([crop.image for crop in crops]))
    listing = {"seed": seed, "size": crops[0].image.shape[0], "crops": [crop.record() for crop in crops]}
    write(path, pixels.getvalue())
    write(path.with_suffix(".json"), (json.dumps(listing, indent=1) + "\n").encode())


def load(path: Path, size: int) -> CropSet:
    """Read a set that `save` wrote, and check its pixels against its list.

    Raises UsageError if a file is missing or damaged, the list does not fit the pixels, a crop is not `size` pixels per side, or
    there are fewer than 100 crops.
    """
    listing = path.with_suffix(".json")
    try:
        with np.load(io.BytesIO(files.read(path, MAX_BYTES))) as file:
            images = np.asarray(file["images"])
        records = [(str(r["name"]), str(r["sha256"])) for r in json.loads(files.read(listing, MAX_BYTES))["crops"]]
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
        raise UsageError(f"{path}: not a calibration set; make one with python -m calibration crops ({error})") from error
    if len(images) < MIN_CROPS:
        raise UsageError(f"{path}: {len(images)} crops; at least {MIN_CROPS} are needed for stable ranges")
    if images.dtype != np.uint8 or images.shape[1:] != (size, size, 3):
        raise UsageError(f"{path}: crops are {images.dtype} {images.shape[1:]}; the model needs uint8 ({size}, {size}, 3)")
    if [pixel_hash(image) for image in images] != [digest for _, digest in records]:
        raise UsageError(f"{listing}: lists other crops than {path.name} holds; draw the set again")
    digest = hashlib.sha256("\n".join(f"{name} {pixels}" for name, pixels in records).encode()).hexdigest()
    return CropSet(images, tuple(name for name, _ in records), digest)


def refuse_scored(names: Iterable[str], scored: Iterable[str], what: str) -> None:
    """Raise UsageError if any of the photographs `names` also scores the model."""
    both = sorted(set(names) & set(scored))
    if both:
        raise UsageError(f"{what}: {len(both)} photographs also score the model, the first is {both[0]}")
