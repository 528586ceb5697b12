from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest

from acne_edge.errors import UsageError
from acne_edge.sources.folder import STATE_NAME, WatchedFolder
from tests import drawing


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def watch(directory: Path) -> tuple[WatchedFolder, Clock]:
    clock = Clock()
    return WatchedFolder(directory, settle=1.0, clock=clock), clock


def test_a_file_is_given_out_once_it_has_settled(tmp_path: Path) -> None:
    looker, clock = watch(tmp_path)
    (tmp_path / "a.jpg").write_bytes(b"half")
    assert looker.scan() == []
    clock.now = 0.9
    (tmp_path / "a.jpg").write_bytes(b"half and the rest")
    assert looker.scan() == []
    clock.now = 1.8
    assert looker.scan() == []
    clock.now = 1.95
    assert looker.scan() == [tmp_path / "a.jpg"]


def test_a_file_done_is_not_given_out_again_unless_it_changes(tmp_path: Path) -> None:
    looker, clock = watch(tmp_path)
    file = tmp_path / "a.jpg"
    file.write_bytes(b"one")
    looker.scan()
    clock.now = 2
    looker.done(looker.scan()[0])
    clock.now = 4
    assert looker.scan() == []
    file.write_bytes(b"another")
    looker.scan()
    clock.now = 6
    assert looker.scan() == [file]


def test_what_was_done_is_remembered_across_a_restart(tmp_path: Path) -> None:
    looker, clock = watch(tmp_path)
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"x")
    looker.scan()
    clock.now = 2
    looker.done(looker.scan()[0])
    again, clock = watch(tmp_path)
    again.scan()
    clock.now = 2
    assert [p.name for p in again.scan()] == ["b.jpg"]


def test_empty_hidden_and_other_files_are_left_alone(tmp_path: Path) -> None:
    looker, clock = watch(tmp_path)
    for name in ("empty.jpg", ".hidden.jpg", "notes.txt"):
        (tmp_path / name).write_bytes(b"" if name == "empty.jpg" else b"x")
    looker.scan()
    clock.now = 5
    assert looker.scan() == []


def test_files_come_oldest_first_and_from_subdirectories(tmp_path: Path) -> None:
    looker, clock = watch(tmp_path)
    (tmp_path / "sub").mkdir()
    for age, name in ((30, "b.jpg"), (20, "sub/c.png"), (10, "a.jpg")):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    looker.scan()
    clock.now = 2
    assert [p.name for p in looker.scan()] == ["b.jpg", "c.png", "a.jpg"]


def test_a_stopped_watch_ends(tmp_path: Path) -> None:
    stop = Event()
    stop.set()
    assert list(WatchedFolder(tmp_path).files(stop)) == []


def test_a_missing_directory_or_a_damaged_state_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such directory"):
        WatchedFolder(tmp_path / "missing")
    for text in ("{", "[]", '{"a.jpg": 3}'):
        (tmp_path / STATE_NAME).write_text(text)
        with pytest.raises(UsageError, match="delete it"):
            WatchedFolder(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_the_command_prints_jsonl_and_stops_cleanly_on_a_signal(tmp_path: Path, how: signal.Signals) -> None:
    (tmp_path / "good.png").write_bytes(drawing.encode(drawing.face(width=200, height=200)))
    (tmp_path / "bad.jpg").write_bytes(b"not an image")
    command = [sys.executable, "-m", "acne_edge", "watch", str(tmp_path), "--settle", "0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        records = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(how)
        rest, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert rest == ""
    assert {Path(r["path"]).name: "error" in r for r in records} == {"good.png": False, "bad.jpg": True}
    assert err.count("\n") == 1
    assert set(json.loads((tmp_path / STATE_NAME).read_text())) == {"good.png", "bad.jpg"}
