from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def make_dataset(root: Path, number: int = 140, size: int = 64) -> Path:
    """A folder laid out like ACNE04 with drawn photographs: lists `train.txt` and `val.txt`, boxes, original sizes."""
    rng = np.random.default_rng(0)
    images = root / "Classification" / "JPEGImages"
    images.mkdir(parents=True)
    (root / "Detection").mkdir()
    lines, boxes, sizes = [], ["file,xmin,ymin,xmax,ymax"], ["file,original_width,original_height"]
    for i in range(number):
        name, grade, count = f"face_{i}.png", i % 4, (3, 12, 30, 55)[i % 4]
        tint = rng.uniform(60, 200, 3)
        pixels = rng.normal(tint, rng.uniform(10, 60), (size // 4, size // 4, 3)).repeat(4, 0).repeat(4, 1)
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(images / name)
        lines.append(f"{name} {grade} {count}")
        boxes += [f"{name},{x},{y},{x + 0.05},{y + 0.05}" for x, y in rng.uniform(0, 0.9, (3, 2)).round(3)]
        sizes.append(f"{name},3112,3456" if i % 5 else f"{name},525,700")
    split = number * 6 // 7
    (root / "Classification" / "train.txt").write_text("\n".join(lines[:split]))
    (root / "Classification" / "val.txt").write_text("\n".join(lines[split:]))
    (root / "Detection" / "boxes.csv").write_text("\n".join(boxes))
    (root / "Classification" / "images.csv").write_text("\n".join(sizes))
    return root


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("acne"))
