"""`python -m tests.soak FRAMES`: a stream over FRAMES frames, then over a camera that keeps vanishing, with a tiny model.

Resident memory after a tenth of the frames must be what it is at the end, within 2 %, and no descriptor may stay open. Prints
both; exits with 1 if they grew.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from acne_edge import AcneGrader
from acne_edge.sources import camera
from acne_edge.sources.camera import Camera
from tests import drawing
from tests.toy_model import toy_model

GROWTH = 0.02
FACE = np.ascontiguousarray(drawing.face(width=96, height=112)[..., ::-1])


class Capture:
    """A capture of `frames` frames that holds a descriptor, as a driver does."""

    def __init__(self, frames: int) -> None:
        self._left, self._file = frames, open("/dev/zero", "rb")  # noqa: SIM115

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def get(self, which: int) -> float:
        return 30.0

    def read(self) -> tuple[bool, np.ndarray | None]:
        self._left -= 1
        return (True, FACE.copy()) if self._left >= 0 else (False, None)

    def release(self) -> None:
        self._file.close()


def resident() -> int:
    """Resident memory, bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors() -> int:
    """Open descriptors."""
    return len(os.listdir("/proc/self/fd"))


def main(frames: int) -> int:
    """Run; 0 if nothing grew."""
    camera.FIRST_WAIT = camera.LONGEST_WAIT = 0.001
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tiny.onnx"
        file.write_bytes(toy_model())
        with AcneGrader.load(file) as grader:
            memory = opened = 0
            for seen in grader.stream(Camera(str(file), open_capture=lambda source: Capture(frames))):
                assert seen.result.ok
                if seen.index == frames // 10:
                    memory, opened = resident(), descriptors()
            lost = 0

            def count(record: logging.LogRecord) -> bool:
                nonlocal lost
                lost += "gives no picture" in record.msg
                return False

            camera.logger.addFilter(count)
            for _ in grader.stream(Camera(0, open_capture=lambda source: Capture(20))):
                if lost >= 100:
                    break
    grown = resident() / memory - 1
    print(
        f"{frames} frames, 100 losses: memory {memory / 1e6:.1f} MB, {100 * grown:+.2f} %; descriptors {opened}, {descriptors()}"
    )
    return int(grown > GROWTH or descriptors() > opened)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
