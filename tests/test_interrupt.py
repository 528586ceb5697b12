from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

DRAWN = Path(__file__).parent / "assets" / "drawn_face.png"
# As `acne_edge.__main__`, and says when it has begun.
BEGUN = """\
from acne_edge import interrupt
interrupt.end_at_once("acne-edge")
print("begun", flush=True)
from acne_edge.__main__ import run
run()
"""


def interrupted(command: list[str], after: float, path: Path | None = None) -> tuple[int, str]:
    """Exit code and stderr of a process that gets SIGINT so many seconds after its first line."""
    folders = [*([str(path)] if path else []), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, *command], text=True, env=environment, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(after)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    return process.returncode, err


@pytest.mark.parametrize("after", [0.0, 0.03, 0.08, 0.15, 0.25, 0.4])
def test_ctrl_c_while_a_command_starts_is_one_line(after: float) -> None:
    code, err = interrupted(["-c", BEGUN, "predict", str(DRAWN), "-"], after)  # it waits for stdin, once it has started
    assert (code, err) == (130, "acne-edge: interrupted\n")


@pytest.mark.parametrize(
    ("command", "program"),
    [("acne_edge", "acne-edge"), ("export", "export"), ("calibration", "calibration")],
)
def test_ctrl_c_while_the_command_line_is_imported_is_one_line(command: str, program: str, tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("import time; print('begun', flush=True); time.sleep(60)\n")
    assert interrupted(["-m", command, "--help"], 0.0, tmp_path) == (130, f"{program}: interrupted\n")
