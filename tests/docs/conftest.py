from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import drawing
from tests.docs.pages import ROOT

LINKED = (
    "acne_edge",
    "calibration",
    "cpp_bench",
    "experiments",
    "export",
    "scripts",
    "tests",
    "docs",
)  # what commands read of a checkout


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `acne-edge` and `python` are those of this interpreter and this checkout."""
    folder = tmp_path_factory.mktemp("bin")
    for name, command in (("acne-edge", "-m acne_edge"), ("python", ""), ("python3", "")):
        file = folder / name
        file.write_text(f'#!/bin/sh\nexec "{sys.executable}" {command} "$@"\n')
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return folder


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder as the pages suppose it: a checkout with a drawn photograph, three more in a folder with labels, and a clip."""
    for name in LINKED:
        (tmp_path / name).symlink_to(ROOT / name)
    furnish(tmp_path)
    return tmp_path


def furnish(folder: Path) -> None:
    """Put in what a reader of the pages has: a photograph, which is drawn, three more in a folder, and their labels."""
    save(folder / "photo.jpg", drawing.face(lesions=30))
    (folder / "photos").mkdir()
    for number, name in enumerate("abc"):
        save(folder / "photos" / f"{name}.jpg", drawing.face(lesions=2 + 3 * number, seed=number))
    (folder / "labels.csv").write_text("file,count,grade\na.jpg,2,mild\nb.jpg,5,mild\nc.jpg,8,moderate\n")


@pytest.fixture
def environment(programs: Path) -> dict[str, str]:
    """The environment of a command on a page."""
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    values = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    values["PYTHONUNBUFFERED"] = "1"  # output and errors come in the order in which a terminal shows them
    return {name: value for name, value in values.items() if name != "PYTHONWARNINGS"}


def dicom_photograph(file: Path) -> None:
    """The photograph as a DICOM file; skips without the extra `dicom`."""
    pytest.importorskip("highdicom", reason="the extra dicom is not installed")
    from tests.dicom_files import dicom

    file.write_bytes(dicom(drawing.face(lesions=30)))


def save(file: Path, image: np.ndarray) -> None:
    Image.fromarray(image).save(file, quality=90)


def clip(file: Path) -> None:
    """A video of a few drawn frames; skips without the extra `camera`."""
    cv2 = pytest.importorskip("cv2", reason="the extra camera is not installed")
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"MJPG"), 5, (288, 320))
    for seed in range(3):
        writer.write(np.ascontiguousarray(drawing.face(seed=seed, width=288, height=320)[..., ::-1]))
    writer.release()
