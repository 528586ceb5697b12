from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event
from time import process_time

import pytest

from acne_edge.errors import UsageError
from acne_edge.sources.folder import WatchedFolder
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


def test_somebody_else_may_remember_what_was_done(tmp_path: Path) -> None:
    """Nothing is written to the folder for state then, and another process may watch the folder too."""

    class Journal:
        stamps: dict[str, tuple[int, int]] = {}  # noqa: RUF012

        def get(self, name: str) -> tuple[int, int] | None:
            return self.stamps.get(name)

        def add(self, name: str, stamp: tuple[int, int]) -> None:
            self.stamps[name] = stamp

        def close(self) -> None:
            pass

    first = WatchedFolder(tmp_path, settle=0.0, journal=Journal())
    (tmp_path / "a.jpg").write_bytes(b"one")
    (path,) = first.scan()
    first.done(path)
    assert Journal.stamps == {"a.jpg": (3, path.stat().st_mtime_ns)}
    assert WatchedFolder(tmp_path, settle=0.0, journal=Journal()).scan() == []


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
    looker.close()
    again, clock = watch(tmp_path)
    again.scan()
    clock.now = 2
    assert [p.name for p in again.scan()] == ["b.jpg"]
    assert {p.name for p in tmp_path.iterdir()} == {"a.jpg", "b.jpg"}, "nothing is written into the folder that is watched"


def test_an_empty_file_is_waited_for(tmp_path: Path) -> None:
    looker, clock = watch(tmp_path)
    (tmp_path / "empty.jpg").touch()
    looker.scan()
    clock.now = 5
    assert looker.scan() == []


def test_files_that_are_not_photographs_are_ignored(tmp_path: Path) -> None:
    """By the rule of `sources.paths`."""
    looker, clock = watch(tmp_path)
    for name in (".hidden.jpg", "notes.txt", "@eaDir/a.jpg/SMALL.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    looker.scan()
    clock.now = 5
    assert looker.scan() == []


def test_a_photograph_that_cannot_be_read_is_tried_again_after_longer_and_longer_waits(tmp_path: Path) -> None:
    looker, clock = watch(tmp_path)
    file = tmp_path / "a.jpg"
    file.write_bytes(b"x")
    looker.scan()
    given_out = []
    for second in range(1, 200):
        clock.now = float(second)
        for path in looker.scan():
            given_out.append(second)
            looker.again(path, "cannot be read")
    assert given_out == [1, 2, 4, 8, 16, 32, 64, 124, 184]
    looker.done(file)
    clock.now = 1000
    assert looker.scan() == []


def test_a_photograph_whose_rights_change_is_tried_again_at_once(tmp_path: Path) -> None:
    looker, clock = watch(tmp_path)
    file = tmp_path / "a.jpg"
    file.write_bytes(b"x")
    looker.scan()
    for clock.now in (1, 2, 4, 8, 16, 32):
        looker.again(*looker.scan(), "cannot be read")
    clock.now = 33
    assert looker.scan() == []
    file.chmod(0o600)
    assert looker.scan() == [file]


def test_the_log_names_what_cannot_be_read_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    looker, clock = watch(tmp_path)
    (tmp_path / "a.jpg").write_bytes(b"x")
    looker.scan()
    for clock.now in (1, 10, 100):
        looker.again(*looker.scan(), "cannot be read: Permission denied")
    assert [r.getMessage() for r in caplog.records] == [
        f"{tmp_path / 'a.jpg'}: cannot be read: Permission denied; trying again until it can be read"
    ]


def test_what_was_passed_over_comes_again_after_a_restart(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(b"x")
    for _ in range(2):
        looker, clock = watch(tmp_path)
        looker.scan()
        clock.now = 1
        looker.passed_over(*looker.scan())
        clock.now = 9
        assert looker.scan() == []
        looker.close()


def test_a_folder_that_goes_away_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "share"
    folder.mkdir()
    looker, clock = watch(folder)
    caplog.set_level("INFO")
    folder.rmdir()
    assert looker.scan() == looker.scan() == []
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"x")
    looker.scan()
    clock.now = 1
    assert looker.scan() == [folder / "a.jpg"]
    first, second = [r.getMessage() for r in caplog.records]
    assert "the folder cannot be read (No such file or directory)" in first
    assert second == f"{folder}: can be read again"


def test_at_its_start_a_watch_says_what_it_ignores(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a.jpg", "b.MOV", "c.mov", ".d.jpg"):
        (tmp_path / name).write_bytes(b"x")
    looker, _ = watch(tmp_path)
    caplog.set_level("INFO")
    stop = Event()
    stop.set()
    assert list(looker.files(stop)) == []
    says = [r.getMessage() for r in caplog.records]
    assert ".jpg .jpeg" in says[0]
    assert "@eadir" in says[1]
    assert says[2] == "there now: 1 photographs, of which 0 are done; 3 names ignored: 2 .mov, 1 .jpg"


@pytest.mark.slow
def test_a_scan_of_a_hundred_thousand_photographs_costs_little_more_than_their_listing(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    for i in range(100):
        (folder / str(i)).mkdir(parents=True)
        for j in range(1000):
            os.close(os.open(folder / str(i) / f"{j}.jpg", os.O_CREAT | os.O_WRONLY))
    looker = WatchedFolder(folder)
    looker.scan()
    listed, scans = [], []
    for _ in range(3):  # the least, as whatever else runs here only adds
        start = process_time()
        assert sum(file.stat().st_size == 0 for sub in os.scandir(folder) for file in os.scandir(sub)) == 100_000
        listed.append(process_time() - start)
        start = process_time()
        looker.scan()
        scans.append(process_time() - start)
    assert min(scans) < 8 * min(listed)  # 3.6 times as much when this was written, .7 seconds
    start = process_time()
    for path in list(looker._seen):
        looker.done(folder / path)
    assert (process_time() - start) / 1e5 < 1e-3
    looker.close()
    start = process_time()
    looker = WatchedFolder(folder)
    looker.scan()
    assert process_time() - start < 16 * min(listed)
    assert looker._seen == {}


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


def test_a_missing_folder_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="missing: no such folder"):
        WatchedFolder(tmp_path / "missing")
    (tmp_path / "a.jpg").touch()
    with pytest.raises(UsageError, match=r"a\.jpg: is no folder"):
        WatchedFolder(tmp_path / "a.jpg")


def start(directory: Path, *options: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "acne_edge", "watch", str(directory), "--settle", "0.1", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment})


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_the_command_prints_jsonl_and_stops_cleanly_on_a_signal(tmp_path: Path, how: signal.Signals) -> None:
    (tmp_path / "good.png").write_bytes(drawing.encode(drawing.face(width=200, height=200)))
    (tmp_path / "bad.jpg").write_bytes(b"not an image")
    with start(tmp_path) as process:
        assert process.stdout is not None
        records = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(how)
        rest, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert rest == ""
    assert {Path(r["path"]).name: "error" in r for r in records} == {"good.png": False, "bad.jpg": True}
    assert [line for line in err.splitlines() if "bad.jpg" in line] == [err.splitlines()[-1]]
    looker = WatchedFolder(tmp_path, settle=0)
    assert looker.scan() == [], "both are remembered"
    looker.close()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_the_command_waits_for_a_photograph_that_may_not_be_read_yet(tmp_path: Path) -> None:
    late = tmp_path / "late.png"
    late.write_bytes(drawing.encode(drawing.face(width=64, height=64)))
    late.chmod(0)
    with start(tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert any("late.png" in line for line in iter(process.stderr.readline, ""))
        late.chmod(0o600)
        assert "count" in json.loads(process.stdout.readline())
        process.terminate()
        process.communicate(timeout=60)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_without_a_place_for_its_state_the_command_predicts_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(drawing.encode(drawing.face(width=64, height=64)))
    with start(tmp_path, XDG_STATE_HOME="/dev/null/none") as process:
        assert process.stdout is not None
        assert "count" in json.loads(process.stdout.readline())
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert err.count("cannot remember which photographs are done") == 1
