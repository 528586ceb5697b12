"""Reading arbitrary files, and folders that only we may write to."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from acne_edge import files
from acne_edge.errors import BackendError

posix = pytest.mark.skipif(sys.platform == "win32", reason="rights of POSIX")


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert files.read(tmp_path / "a", 5) == b"12345"
    with pytest.raises(OSError, match="larger than"):
        files.read(tmp_path / "a", 4)
    with pytest.raises(FileNotFoundError):
        files.read(tmp_path / "b", 4)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
def test_a_file_without_a_size_is_read_too() -> None:
    assert files.read("/proc/self/status", 1_000_000).startswith(b"Name:")
    with pytest.raises(OSError, match="larger than"):
        files.read("/proc/self/status", 10)


@posix
def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(OSError, match="no regular file"):
            files.read(path, 4)


@posix
@pytest.mark.parametrize(("mode", "taken"), [(0o700, True), (0o755, True), (0o775, False), (0o757, False), (0o1777, False)])
def test_a_cache_that_others_may_write_to_is_refused(tmp_path: Path, mode: int, taken: bool) -> None:
    """The group, too: whoever may plant a graph there decides what answers under a model's name."""
    folder = tmp_path / "cache"
    folder.mkdir()
    folder.chmod(mode)
    if taken:
        files.private(folder)
    else:
        with pytest.raises(BackendError, match="others may write"):
            files.private(folder)


@posix
def test_a_cache_that_is_made_here_is_ours_alone(tmp_path: Path) -> None:
    files.private(tmp_path / "new" / "cache")
    assert stat.S_IMODE((tmp_path / "new" / "cache").stat().st_mode) == 0o700


@posix
def test_without_a_home_there_is_no_folder_for_caches_or_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And so none named `~` in the working folder."""
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as without HOME and an entry in passwd
    monkeypatch.chdir(tmp_path)
    for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BackendError, match="set XDG_CACHE_HOME"):
        files.cache_folder("graphs")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    with pytest.raises(BackendError, match="set XDG_CACHE_HOME"):
        files.cache_folder("graphs")
    assert files.state_folder("watch") is None
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert files.cache_folder("graphs") == str(tmp_path / "acne-edge" / "graphs")
