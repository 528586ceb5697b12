"""A program frozen by PyInstaller finds its model, and a frozen command line finds its commands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = {
    "sdk": "import sys; from acne_edge import AcneGrader; print(AcneGrader.load().predict(sys.argv[1]).grade.label)",
    "command": "from acne_edge.cli.main import run; run()",
}
# Whatever else is installed where the tests run does not belong to a device.
EXTRAS = (
    "torch",
    "torchvision",
    "cv2",
    "openvino",
    "onnx",
    "sklearn",
    "scipy",
    "matplotlib",
    "jinja2",
    "weasyprint",
    "pandas",
    "tensorboard",
    "pytest",
    "pydicom",
    "highdicom",
    "fhir",
    "pydantic",
    "IPython",
)


def test_the_wheel_names_the_hooks() -> None:
    from acne_edge.__pyinstaller import get_hook_dirs

    text = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    assert '[project.entry-points.pyinstaller40]\nhook-dirs = "acne_edge.__pyinstaller:get_hook_dirs"' in text
    (folder,) = get_hook_dirs()
    assert {name for name in os.listdir(folder) if name.startswith("hook-")} == {
        "hook-acne_edge.py",
        "hook-acne_edge.cli.main.py",
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_frozen_program_predicts(tmp_path: Path, name: str) -> None:
    pytest.importorskip("PyInstaller", reason="pip install pyinstaller")
    from acne_edge.__pyinstaller import get_hook_dirs

    (tmp_path / "program.py").write_text(PROGRAMS[name])
    root = Path(__file__).parents[1]
    command = [sys.executable, "-m", "PyInstaller", "-y", "--onedir", "--log-level", "ERROR", "--paths", str(root)]
    command += [f"--additional-hooks-dir={folder}" for folder in get_hook_dirs()]
    command += [f"--exclude-module={extra}" for extra in EXTRAS]
    subprocess.run([*command, "program.py"], cwd=tmp_path, check=True, timeout=900)
    image = root / "tests" / "assets" / "drawn_face.png"
    frozen = tmp_path / "dist" / "program" / "program"
    for arguments in (["predict", image], ["-h"]) if name == "command" else ([image],):
        done = subprocess.run([frozen, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.strip()
