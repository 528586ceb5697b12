"""Reads the photographs of a list with their labels and boxes, and computes hashes that identify them."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from acne_edge import files
from acne_edge.errors import ImageNotFoundError, UsageError
from acne_edge.evaluation.labels import read_labels
from acne_edge.evaluation.origins import read_origins
from acne_edge.grading import HAYASHI
from acne_edge.training.data.boxes import read_boxes
from acne_edge.training.data.own import OWN_LISTS, places_of
from acne_edge.training.data.sample import Sample


def read_samples(root: Path, list_file: str | Path) -> list[Sample]:
    """The photographs of a list file with their labels, and their boxes if there are any.

    A relative `list_file` that does not exist is searched for in `root/Classification`. `root` may also be a list of one's own
    photographs, which lie below its folder (`own.read_own`).
    Raises UsageError if the folder is not laid out like ACNE04, a photograph is missing, or a grade is none of Hayashi's four.
    """
    if root.is_file() and root.suffix.lower() in OWN_LISTS:
        return _own_samples(root, Path(list_file))
    if not root.is_dir():
        raise UsageError(f"{root}: {'not a folder' if root.exists() else 'no such folder'}; expected ACNE04")
    images = root / "Classification" / "JPEGImages"
    if not images.is_dir():
        raise UsageError(f"{root}: no Classification/JPEGImages below it; expected the layout of the ACNE04 distribution")
    labels = Path(list_file)
    if not labels.exists():
        labels = root / "Classification" / labels
    boxes = read_boxes(root)
    samples = [
        Sample(label.name, images / label.name, label.grade, label.count, boxes.get(label.name)) for label in read_labels(labels)
    ]
    for s in samples:
        if s.grade >= len(HAYASHI.labels):
            raise UsageError(f"{labels}: {s.name} has grade {s.grade}; Hayashi's are 0..{len(HAYASHI.labels) - 1}")
    return _all_there(images, samples)


def _own_samples(data: Path, labels: Path) -> list[Sample]:
    places, folder = places_of(data), data.parent
    rows = read_labels(labels)
    return _all_there(folder, [Sample(r.name, folder / r.name, r.grade, r.count, places.get(r.name)) for r in rows])


def _all_there(folder: Path, samples: list[Sample]) -> list[Sample]:
    missing = [s.name for s in samples if not s.path.is_file()]
    if missing:
        raise UsageError(f"{folder}: {len(missing)} listed photographs are missing, the first is {missing[0]}")
    return samples


def write_list(path: Path, samples: Sequence[Sample]) -> None:
    """Write samples as a list file that `read_labels` reads: a table, if a name has blanks."""
    if not any(set(s.name) & set(' \t,"') for s in samples):
        files.write(path, "".join(f"{s.name} {s.grade} {s.count}\n" for s in samples).encode())
        return
    table = io.StringIO(newline="")
    csv.writer(table, lineterminator="\n").writerows([("file", "count", "grade"), *((s.name, s.count, s.grade) for s in samples)])
    files.write(path, table.getvalue().encode())


def image_sources(data: Path) -> dict[str, str]:
    """`hospital` or `web` for each photograph, by `Classification/images.csv`; see `evaluation.origins.read_origins`."""
    return read_origins(data / "Classification" / "images.csv")


def content_hash(samples: Sequence[Sample], workers: int = 2) -> str:
    """sha256 over the photographs' files, in this order, and their boxes; hexadecimal.

    Every file is read once, which is much faster than decoding it. Raises ImageNotFoundError for one that cannot be read.
    """
    with ThreadPoolExecutor(max(1, workers)) as pool:
        return hashlib.sha256("\n".join(pool.map(_digest, samples)).encode()).hexdigest()


def _digest(sample: Sample) -> str:
    try:
        photograph = hashlib.sha256(sample.path.read_bytes()).hexdigest()
    except OSError as error:
        raise ImageNotFoundError(f"{sample.path}: cannot be read ({error.strerror or error})") from error
    boxes = b"" if sample.boxes is None else np.ascontiguousarray(sample.boxes).tobytes()
    return f"{photograph} {hashlib.sha256(boxes).hexdigest()}"
