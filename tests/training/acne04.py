"""A drawn data set in the layout of the ACNE04 distribution."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from acne_edge.grading import HAYASHI
from tests import drawing


def build(root: Path, number: int = 40, side: int = 48) -> Path:
    """Write `number` drawn faces, their lists, boxes and one pair of duplicates; returns `root`."""
    images = root / "Classification" / "JPEGImages"
    images.mkdir(parents=True)
    (root / "Detection").mkdir()
    rng = np.random.default_rng(0)
    lines, boxes = [], ["file,xmin,ymin,xmax,ymax"]
    for i in range(number):
        count = (1, 10, 30, 60)[i % 4]
        name = f"levle{(i + 1) % 4}_{i}.jpg"  # the digit is wrong on purpose
        (images / name).write_bytes(drawing.encode(drawing.face(count, i, side, side), "JPEG", quality=90))
        lines.append(f"{name} {HAYASHI.grade(count)} {count}")
        for x, y in rng.uniform(0.1, 0.85, (count, 2)):
            boxes.append(f"{name},{x:.4f},{y:.4f},{x + 0.05:.4f},{y + 0.05:.4f}")
    (root / "Classification" / "NNEW_trainval_0.txt").write_text("\n".join(lines) + "\n")
    for fold, test in ((1, slice(32, 40)), (2, slice(24, 32))):
        rest = [line for line in lines if line not in lines[test]]
        (root / "Classification" / f"NNEW_trainval_{fold}.txt").write_text("\n".join(rest) + "\n")
        (root / "Classification" / f"NNEW_test_{fold}.txt").write_text("\n".join(lines[test]) + "\n")
    sizes = ["3112,3456" if i % 3 else "525,700" for i in range(number)]
    names = [line.split()[0] for line in lines]
    (root / "Classification" / "images.csv").write_text(
        "file,original_width,original_height\n" + "".join(f"{n},{s}\n" for n, s in zip(names, sizes, strict=True))
    )
    (root / "Detection" / "boxes.csv").write_text("\n".join(boxes) + "\n")
    (root / "duplicates.csv").write_text("file_a,file_b,kind\nlevle1_0.jpg,levle1_4.jpg,identical\n")
    return root
