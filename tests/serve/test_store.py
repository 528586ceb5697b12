from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from threading import Thread
from time import sleep

import pytest

from acne_edge.errors import AcneEdgeError, UsageError
from acne_edge.serve.store import ConflictError, Reading, Store

RESULT = {"schema": "1.1", "path": None, "count": 1.0}
SHA = "ab" * 32


def test_a_reading_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    said = Reading(marks=((0.25, 0.5, 0.9), (0.1, 0.2, None)), count=None, grade=2, note="left", done=True, revealed=True)
    store = Store(tmp_path / "s.sqlite")
    kept = store.keep_reading(SHA, "Dr A", said)
    assert kept == replace(said, version=1, at=kept.at)
    store.close()
    again = Store(tmp_path / "s.sqlite")
    assert again.reading(SHA, "Dr A") == kept
    assert again.reading(SHA, "Dr B") == Reading()
    assert again.readers() == ["Dr A"]


@pytest.mark.parametrize(
    ("reading", "lesions"),
    [
        (Reading(), None),
        (Reading(marks=()), 0),
        (Reading(marks=((0, 0, None),)), 1),
        (Reading(marks=((0, 0, None),), count=7), 7),
    ],
)
def test_a_typed_count_is_worth_more_than_marks(reading: Reading, lesions: int | None) -> None:
    assert reading.lesions == lesions


def test_the_second_who_changes_a_version_is_told_and_changes_nothing(tmp_path: Path) -> None:
    one, other = Store(tmp_path / "s.sqlite"), Store(tmp_path / "s.sqlite")  # as two processes
    first = one.keep_reading(SHA, "", Reading(note="first"))
    with pytest.raises(ConflictError) as told:
        other.keep_reading(SHA, "", Reading(note="second"))
    assert told.value.current == first
    assert other.reading(SHA, "").note == "first"
    assert other.keep_reading(SHA, "", replace(told.value.current, note="second")).version == 2


def test_of_many_who_change_one_version_one_succeeds(tmp_path: Path) -> None:
    stores = [Store(tmp_path / "s.sqlite") for _ in range(8)]
    done: list[int] = []

    def change(n: int) -> None:
        try:
            stores[n].keep_reading(SHA, "", Reading(note=str(n)))
            done.append(n)
        except ConflictError:
            pass

    threads = [Thread(target=change, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 1
    assert stores[0].reading(SHA, "").note == str(done[0])


def test_a_photograph_keeps_its_number_when_it_changes(tmp_path: Path) -> None:
    store = Store(tmp_path / "s.sqlite")
    number = store.keep_result("a.jpg", (1, 2), SHA, "m", RESULT)
    other = store.keep_result("b.jpg", (1, 2), SHA, "m", RESULT)
    assert store.keep_result("a.jpg", (3, 4), "cd" * 32, "m", RESULT) == number != other
    found = store.photograph(number)
    assert found is not None
    assert (found.name, found.stamp, found.result["path"]) == ("a.jpg", (3, 4), "a.jpg")
    store.forget("a.jpg")
    assert [p.name for p in store.photographs()] == ["b.jpg"]


@pytest.mark.parametrize("content", [b"no database at all, but longer than a header" * 9, b"\0" * 4096])
def test_another_file_is_left_alone(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "s.sqlite"
    file.write_bytes(content)
    with pytest.raises(UsageError, match="--store"):
        Store(file)
    assert file.read_bytes() == content


def test_the_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "s.sqlite") as other:
        other.execute("CREATE TABLE t (x)")
    with pytest.raises(UsageError, match="another program"):
        Store(tmp_path / "s.sqlite")


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    Store(tmp_path / "s.sqlite").close()
    with sqlite3.connect(tmp_path / "s.sqlite") as newer:
        newer.execute("PRAGMA user_version=2")
    with pytest.raises(UsageError, match="another version"):
        Store(tmp_path / "s.sqlite")


def test_a_disk_that_is_full_is_an_error_and_keeps_the_old_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "s.sqlite")
    kept = store.keep_reading(SHA, "", Reading(note="old"))
    store._db.execute("PRAGMA max_page_count=1")
    with pytest.raises(AcneEdgeError, match="could not be kept"):
        store.keep_reading(SHA, "", replace(kept, note="x" * 100_000))
    assert store.reading(SHA, "") == kept


WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from acne_edge.serve.store import Reading, Store
store, reading = Store(Path(sys.argv[1])), Reading()
while True:
    n = reading.version + 1
    reading = store.keep_reading("ab" * 32, "", replace(reading, marks=((0.5, 0.5, None),) * n, note=str(n)))
    print(n, flush=True)
"""


def test_a_process_that_is_killed_leaves_one_whole_reading(tmp_path: Path) -> None:
    """What it said that it had kept is there, and nothing half: a note and as many marks as it says."""
    file = tmp_path / "s.sqlite"
    for wait in (0.05, 0.11, 0.17):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(file)], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            sleep(wait)
            os.kill(writer.pid, signal.SIGKILL)
            told = writer.stdout.read().split("\n")[:-1]
        store = Store(file)
        reading = store.reading(SHA, "")
        assert reading.marks is not None
        assert reading.note == str(len(reading.marks)) == str(reading.version)
        assert reading.version >= int(told[-1] if told else 1)
        assert store._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        store.close()
        file.unlink()
