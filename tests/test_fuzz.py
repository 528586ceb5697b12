from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory by RLIMIT_AS and /proc")


@pytest.mark.parametrize("cases", [1000, pytest.param(30_000, marks=pytest.mark.slow)])
def test_hostile_input_never_crashes_hangs_or_exhausts_memory(cases: int) -> None:
    command = [sys.executable, "-m", "tests.fuzz", str(cases)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1], timeout=1800)
    assert done.returncode == 0, done.stdout + done.stderr
    for outcome in ("image_case accepted", "exif_case accepted", "jpeg_case accepted", "profile_case accepted"):
        assert outcome in done.stdout
    for outcome in ("size_case accepted", "manifest_case accepted", "jpeg_case refused"):
        assert outcome in done.stdout
    for outcome in ("image_case refused", "size_case refused", "array_case refused", "manifest_case refused"):
        assert outcome in done.stdout
