"""From photographs of one's own to a model file, by the documented script."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from acne_edge import AcneGrader
from acne_edge.manifest import Manifest
from tests import drawing

ROOT = Path(__file__).parents[2]
COUNTS = (0, 14, 45)
BANDS = "--bands=0 --bands=6 --bands=25"


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """A table of 100 drawn faces, two of each person."""
    rows = ["file,count,group"]
    (tmp_path / "photos").mkdir()
    for i in range(100):
        count = COUNTS[i // 2 % 3]
        (tmp_path / "photos" / f"{i} face.jpg").write_bytes(drawing.encode(drawing.face(count, i, 144, 160), "JPEG", quality=90))
        rows.append(f"{i} face.jpg,{count},{i // 2}")
    (tmp_path / "photos" / "labels.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "photos" / "labels.csv"


@pytest.mark.slow
def test_a_hundred_photographs_become_an_int8_file_that_has_passed_its_gate(labels: Path, tmp_path: Path) -> None:
    small = f"--train-size=128 --image-resize=144 --epochs=8 {BANDS} --grade-names=few,some,many --device=cpu"
    environment = {**os.environ, "PYTHON": sys.executable, "TRAIN": small, "EXPORT": "--method=minmax"}
    done = subprocess.run(
        [ROOT / "scripts" / "own-model", labels, tmp_path / "out"], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "academic use only" in done.stderr
    with AcneGrader.load(tmp_path / "out" / "own-int8.onnx") as grader:
        manifest: Manifest = grader.manifest
        result = grader.predict(labels.parent / "0 face.jpg")
    assert result.scale == "own"
    assert result.grade.label in ("few", "some", "many")
    assert manifest.training["dataset"].endswith("then own photographs")
    assert "academic use only" in manifest.licence
    assert manifest.quantisation["gate"]["losses"]
    assert manifest.reference is not None
    held_out = (tmp_path / "out" / "run" / "val.txt").read_text().splitlines()[1:]
    assert manifest.reference.photographs == len(held_out)
    assert 30 <= len(held_out) <= 36
