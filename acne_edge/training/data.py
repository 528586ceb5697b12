"""ACNE04 as it is distributed: list files, lesion boxes, known duplicates, and splits that keep duplicates together."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from acne_edge.errors import MissingExtraError, UsageError
from acne_edge.evaluation.labels import read_labels
from acne_edge.image import decode
from acne_edge.preprocess import resize

HOSPITAL_SIZE = (3112, 3456)  # pixels of the photographs taken in the hospital; the others come from the web
GROUPS = Path(__file__).parent / "acne04_subject_groups.csv"  # of the open photographs; `acne-edge subject-groups` wrote it


@dataclass(frozen=True)
class Sample:
    """One photograph. `boxes` is float32 [n, 4] of (xmin, ymin, xmax, ymax) in 0..1 of the frame, one a lesion, or None."""

    name: str
    path: Path
    grade: int
    count: int
    boxes: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)


def read_boxes_csv(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read `file,xmin,ymin,xmax,ymax` rows (0..1 of the frame) into float32 [n, 4] by file name."""
    boxes: dict[str, list[list[float]]] = {}
    with path.open(newline="", encoding="utf-8-sig") as stream:
        for row in csv.DictReader(stream):
            boxes.setdefault(row["file"], []).append([float(row[k]) for k in ("xmin", "ymin", "xmax", "ymax")])
    return {name: np.array(rows, np.float32) for name, rows in boxes.items()}


def read_voc_xml(path: Path) -> tuple[str, NDArray[np.float32]]:
    """Read one PASCAL VOC annotation: the image's file name and its boxes, float32 [n, 4] in 0..1 of the frame."""
    root = ElementTree.parse(path).getroot()
    size = root.find("size")
    if size is None:
        raise UsageError(f"{path}: the annotation has no <size>")
    width, height = (float(size.findtext(k, "0")) for k in ("width", "height"))
    if width <= 0 or height <= 0:
        raise UsageError(f"{path}: the annotation's <size> is {width:g}x{height:g}")
    rows = [
        [float(box.findtext(k, "0")) / s for k, s in (("xmin", width), ("ymin", height), ("xmax", width), ("ymax", height))]
        for box in root.iterfind("object/bndbox")
    ]
    return root.findtext("filename", path.stem + ".jpg"), np.array(rows, np.float32).reshape(-1, 4)


def read_boxes(root: Path) -> dict[str, NDArray[np.float32]]:
    """All boxes under `root/Detection`: `boxes.csv` if there is one, else every VOC XML file below. Empty if neither."""
    detection = root / "Detection"
    if (detection / "boxes.csv").is_file():
        return read_boxes_csv(detection / "boxes.csv")
    return dict(read_voc_xml(path) for path in sorted(detection.rglob("*.xml")))


def read_samples(root: Path, list_file: str | Path) -> list[Sample]:
    """The photographs of a list file with its labels, and boxes where they exist.

    A relative `list_file` that does not exist where it is named is looked for in `root/Classification`.
    Raises UsageError if the folder is not laid out like ACNE04 or a photograph is missing.
    """
    labels = Path(list_file)
    if not labels.exists():
        labels = root / "Classification" / labels
    images = root / "Classification" / "JPEGImages"
    if not images.is_dir():
        raise UsageError(f"{root}: no Classification/JPEGImages below it; expected the layout of the ACNE04 distribution")
    boxes = read_boxes(root)
    samples = [
        Sample(label.name, images / label.name, label.grade, label.count, boxes.get(label.name)) for label in read_labels(labels)
    ]
    missing = [s.name for s in samples if not s.path.is_file()]
    if missing:
        raise UsageError(f"{images}: {len(missing)} listed photographs are missing, the first is {missing[0]}")
    return samples


def image_sources(data: Path) -> dict[str, str]:
    """`hospital` or `web` for each photograph, by its original size in `Classification/images.csv`; empty without that file."""
    path = data / "Classification" / "images.csv"
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8-sig") as stream:
        return {
            row["file"]: "hospital" if (int(row["original_width"]), int(row["original_height"])) == HOSPITAL_SIZE else "web"
            for row in csv.DictReader(stream)
        }


def read_pairs(path: Path) -> list[tuple[str, str]]:
    """Pairs of names that show the same photograph, from the first two columns of a CSV file with a header."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8-sig") as stream:
        return [(row[0], row[1]) for row in list(csv.reader(stream))[1:] if len(row) >= 2]


def group_ids(names: Sequence[str], pairs: Iterable[tuple[str, str]]) -> NDArray[np.int64]:
    """One group number a name; names connected by `pairs`, directly or through others, share it."""
    parent = {name: name for name in names}

    def find(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for a, b in pairs:
        if a in parent and b in parent:
            parent[find(a)] = find(b)
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(find(name), len(numbers)) for name in names])


def read_groups(names: Sequence[str], path: Path | None = None) -> NDArray[np.int64]:
    """The group of each name, from rows `file,group` (None: the committed ones). Raises UsageError for names not among them."""
    path = path or GROUPS
    with path.open(newline="") as stream:
        group = {row["file"]: int(row["group"]) for row in csv.DictReader(stream)}
    missing = [name for name in names if name not in group]
    if missing:
        raise UsageError(
            f"{path}: {len(missing)} photographs are in no group, the first is {missing[0]}; run acne-edge subject-groups"
        )
    return np.array([group[name] for name in names])


def write_groups(path: Path, names: Sequence[str], groups: NDArray[np.int64]) -> None:
    """Write rows `file,group`, the members of a group next to each other."""
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["file", "group"])
        writer.writerows((name, group) for group, name in sorted(zip(groups.tolist(), names, strict=True)))


def grouped_split(
    samples: Sequence[Sample], groups: NDArray[np.int64], folds: int, seed: int
) -> tuple[list[Sample], list[Sample]]:
    """Split into (train, validation) with 1/folds of the samples in validation, stratified by grade, groups kept whole."""
    train, val = grouped_folds(samples, groups, folds, seed)[0]
    return [samples[i] for i in train], [samples[i] for i in val]


def grouped_folds(
    samples: Sequence[Sample], groups: NDArray[np.int64], folds: int, seed: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Indices (train, test) of every fold, stratified by grade, groups kept whole."""
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    return list(splitter.split(np.zeros(len(samples)), [s.grade for s in samples], groups))


def write_list(path: Path, samples: Sequence[Sample]) -> None:
    """Write samples as a list file that `read_labels` reads."""
    path.write_text("".join(f"{s.name} {s.grade} {s.count}\n" for s in samples), encoding="utf-8")


def load_images(samples: Sequence[Sample], size: int, workers: int = 2, denoise: str = "none") -> NDArray[np.uint8]:
    """Decode and resize all photographs as a device would: uint8 [N, size, size, 3], RGB (150 kB each at 224).

    `denoise` then filters them: `median` over 3x3 pixels, `bilateral` over 5x5 (Tomasi and Manduchi, ICCV 1998), or `none`.
    """
    with ThreadPoolExecutor(max(1, workers)) as pool:
        return np.stack(list(pool.map(lambda s: _load(s.path, size, denoise), samples)))


@lru_cache(2500)  # the runs of a cross-validation share their photographs: at most 620 MB at 288 pixels
def _load(path: Path, size: int, denoise: str) -> NDArray[np.uint8]:
    return noise_filter(denoise)(resize(decode(path), size, size))


def noise_filter(name: str) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
    """The filter `none`, `median` or `bilateral` of uint8 images [H, W, 3]. Raises MissingExtraError without OpenCV."""
    if name == "none":
        return lambda image: image
    try:
        import cv2
    except ImportError as error:
        raise MissingExtraError("opencv-python-headless", "camera", "denoising") from error
    if name == "median":
        return lambda image: cv2.medianBlur(image, 3)  # type: ignore[no-any-return,return-value,unused-ignore]
    return lambda image: cv2.bilateralFilter(image, 5, 25, 2)  # type: ignore[no-any-return,return-value,unused-ignore]
