from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest

from acne_edge.cli import main as cli
from tests import drawing

Run: TypeAlias = "Callable[..., tuple[int, str, str]]"


@pytest.fixture
def photo(face: np.ndarray, tmp_path: Path) -> Path:
    """A JPEG of a drawn face."""
    file = tmp_path / "face.jpg"
    file.write_bytes(drawing.encode(face, "JPEG", quality=92))
    return file


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line: (exit code, stdout, stderr)."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["acne-edge", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return call
