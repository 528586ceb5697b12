"""Windows and macOS: nothing on the device path needs what they lack, and folders are where these systems have them.

Neither system is at hand. What can be shown elsewhere is shown here; `tests/without_posix.py` says what that leaves out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import platformdirs.macos
import platformdirs.unix
import platformdirs.windows
import pytest

from acne_edge import files

posix = pytest.mark.skipif(sys.platform != "linux", reason="hides what Linux has, and sees in /proc which files are open")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the commands of the device path did without POSIX, all in one process."""
    folder = tmp_path_factory.mktemp("device")
    command = [sys.executable, "-X", "warn_default_encoding", "-m", "tests.without_posix", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return result


@posix
def test_every_module_of_the_device_path_is_imported(told: dict[str, Any]) -> None:
    reasons = {name: reason for name, reason in told["failed"].items() if not reason.startswith("ModuleNotFoundError")}
    assert reasons == {}
    missing = {reason.split("'")[1].partition(".")[0] for reason in told["failed"].values()}
    assert not missing & {"acne_edge", "fcntl", "resource", "pwd", "grp", "termios", "pty", "tty"}  # the rest are extras


@posix
@pytest.mark.parametrize("command", ["predict", "save", "watch", "check-record", "evaluate", "bench", "doctor", "version"])
def test_commands_end_well(told: dict[str, Any], command: str) -> None:
    done = told["commands"][command]
    assert done["code"] in (0, 5), done["err"]  # 5: of drawings the model may say that they are no faces


@posix
def test_photographs_are_predicted_recorded_and_found_unchanged(told: dict[str, Any]) -> None:
    counts = {
        command: [json.loads(line)["count"] for line in told["commands"][command]["out"].splitlines()]
        for command in ("predict", "watch")
    }
    assert len(counts["predict"]) == 2
    assert counts["watch"] == counts["predict"]
    assert "predicted again: 2 as recorded" in told["commands"]["check-record"]["out"]


def test_on_linux_the_folder_for_caches_is_that_of_platformdirs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for root in ("/var/tmp/caches", "relative", "", None):
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        if root is not None:
            monkeypatch.setenv("XDG_CACHE_HOME", root)
        if root != "relative":  # which the specification says to ignore, and older versions of platformdirs do not
            assert os.path.dirname(files.cache_folder("x")) == platformdirs.unix.Unix("acne-edge", False).user_cache_dir


@pytest.mark.parametrize(
    ("system", "of_system", "cache", "state"),
    [
        ("win32", platformdirs.windows.Windows, "AppData/acne-edge/Cache", "AppData/acne-edge"),
        ("darwin", platformdirs.macos.MacOS, "Library/Caches/acne-edge", "Library/Application Support/acne-edge"),
    ],
)
def test_elsewhere_folders_are_those_of_the_system(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, system: str, of_system: Any, cache: str, state: str
) -> None:
    for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "AppData"))
    monkeypatch.setattr(platformdirs, "PlatformDirs", of_system)
    by_variables = platformdirs.windows.get_win_folder_from_env_vars
    monkeypatch.setattr(platformdirs.windows, "get_win_folder", by_variables)
    monkeypatch.setattr(files, "sys", SimpleNamespace(platform=system))
    assert files.cache_folder("graphs") == str(tmp_path / cache / "graphs")
    assert files.state_folder("watch") == str(tmp_path / state / "watch")


def test_where_there_are_no_rights_of_posix_a_cache_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delattr(os, "getuid", raising=False)
    (tmp_path / "cache").mkdir(mode=0o777)
    (tmp_path / "cache").chmod(0o777)  # as Windows says of every folder
    files.private(tmp_path / "cache")
