from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acne_edge import files
from acne_edge.errors import AcneEdgeError, UsageError
from acne_edge.sources import journal
from acne_edge.sources.journal import OLD_NAME, Journal


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for state."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "acne-edge" / "watch"


@pytest.fixture
def folder(tmp_path: Path, state: Path) -> Path:
    """An empty folder to watch."""
    (tmp_path / "hot").mkdir()
    return tmp_path / "hot"


def file_of(state: Path) -> Path:
    (file,) = state.glob("*.jsonl")
    return file


def reopened(folder: Path) -> dict[str, journal.Stamp]:
    again = Journal(folder)
    stamps = dict(again._stamps)
    again.close()
    return stamps


def test_what_was_added_is_there_after_a_restart_and_nothing_lies_in_the_folder(folder: Path, state: Path) -> None:
    with_names = Journal(folder)
    with_names.add("a.jpg", (1, 2))
    with_names.add("sub/b\n\udce9.jpg", (3, 4))
    with_names.add("a.jpg", (5, 6))
    with_names.close()
    assert reopened(folder) == {"a.jpg": (5, 6), "sub/b\n\udce9.jpg": (3, 4)}
    assert list(folder.iterdir()) == []
    assert json.loads(file_of(state).read_text().splitlines()[0])["folder"] == str(folder)


def test_a_photograph_is_one_line_that_is_appended(folder: Path, state: Path) -> None:
    notes = Journal(folder)
    before = file_of(state).read_bytes()
    inode = file_of(state).stat().st_ino
    notes.add("a.jpg", (1, 2))
    notes.close()
    assert file_of(state).read_bytes() == before + b'["a.jpg", 1, 2]\n'
    assert file_of(state).stat().st_ino == inode


def test_a_file_with_many_old_lines_is_written_anew(folder: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "SLACK", 10)
    notes = Journal(folder)
    for i in range(100):
        notes.add("latest.jpg", (1, i))
    assert len(file_of(state).read_text().splitlines()) < 14
    notes.add("other.jpg", (7, 7))
    notes.close()
    assert reopened(folder) == {"latest.jpg": (1, 99), "other.jpg": (7, 7)}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(min_value=0))
def test_a_line_that_was_cut_short_does_not_count(folder: Path, state: Path, cut: int) -> None:
    notes = Journal(folder)
    for name in "abc":
        notes.add(name, (1, 2))
    notes.close()
    whole = file_of(state).read_bytes()
    header = whole.index(b"\n") + 1
    file_of(state).write_bytes(whole[: header + cut % (len(whole) - header + 1)])
    kept = set(reopened(folder))
    assert kept in ({*()}, {"a"}, {"a", "b"}, {"a", "b", "c"})
    notes = Journal(folder)
    notes.add("d", (1, 2))
    notes.close()
    assert set(reopened(folder)) == kept | {"d"}
    file_of(state).unlink()


def test_the_state_of_an_older_version_is_taken_over(folder: Path) -> None:
    (folder / OLD_NAME).write_text('{"a.jpg": [1, 2]}')
    assert reopened(folder) == {"a.jpg": (1, 2)}
    assert not (folder / OLD_NAME).exists()
    assert reopened(folder) == {"a.jpg": (1, 2)}


DEEP = "[" * 100_000


@pytest.mark.parametrize("text", ["{", "[]", '{"a.jpg": 3}', DEEP], ids=["cut", "list", "stamp", "deep"])
def test_a_damaged_state_of_an_older_version_is_refused_and_kept(folder: Path, text: str) -> None:
    (folder / OLD_NAME).write_text(text)
    with pytest.raises(UsageError, match="delete it to start again"):
        Journal(folder)
    assert (folder / OLD_NAME).read_text() == text


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"acne_edge_watch": 2}', '{"acne_edge_watch": 1}\n["a", 1]\n["b", 1, 2]\n', DEEP]
)
def test_a_damaged_journal_is_refused_and_kept(folder: Path, state: Path, text: str) -> None:
    reopened(folder)
    file = file_of(state)
    file.write_text(text)
    with pytest.raises(UsageError, match="delete it to start again"):
        Journal(folder)
    assert file.read_text() == text


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system")
def test_a_state_that_never_ends_is_refused_at_once(folder: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(folder / OLD_NAME)
    with pytest.raises(UsageError, match="no regular file"):
        Journal(folder)
    (folder / OLD_NAME).unlink()
    (folder / OLD_NAME).symlink_to("/dev/zero")
    with pytest.raises(UsageError, match="no regular file"):
        Journal(folder)
    (folder / OLD_NAME).unlink()
    monkeypatch.setattr(journal, "MAX_BYTES", 10)
    reopened(folder)
    with pytest.raises(UsageError, match="larger than"):
        Journal(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="no flock")
def test_one_process_at_a_time_watches_a_folder(folder: Path) -> None:
    first = Journal(folder)
    with pytest.raises(UsageError, match="watched by another process"):
        Journal(folder)
    first.close()
    Journal(folder).close()


def test_without_a_home_a_watch_works_and_says_that_it_forgets(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(files, "state_folder", lambda kind: None)
    notes = Journal(folder)
    notes.add("a.jpg", (1, 2))
    assert notes.get("a.jpg") == (1, 2)
    notes.close()
    assert reopened(folder) == {}
    assert "HOME is not set" in caplog.text


def test_a_disk_that_fills_up_costs_the_memory_and_not_the_watch(
    folder: Path, state: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    notes = Journal(folder)
    notes.add("a.jpg", (1, 2))
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:5]))
    notes.add("b.jpg", (1, 2))
    monkeypatch.undo()
    monkeypatch.setenv("XDG_STATE_HOME", str(state.parents[1]))
    notes.add("c.jpg", (1, 2))
    assert notes.get("b.jpg") == notes.get("c.jpg") == (1, 2)
    assert caplog.text.count("cannot remember which photographs are done") == 1
    notes.close()
    assert reopened(folder) == {"a.jpg": (1, 2)}, "no half line is left"


def test_a_state_folder_that_cannot_be_written_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    notes = Journal(folder)
    notes.add("a.jpg", (1, 2))
    notes.close()

    def refuse(*_: object) -> int:
        raise PermissionError(30, "Read-only file system")

    monkeypatch.setattr(journal, "_locked", refuse)
    notes = Journal(folder)
    assert notes.get("a.jpg") == (1, 2)
    notes.add("b.jpg", (1, 2))
    assert "Read-only file system" in caplog.text


def test_writing_anew_fails_without_loss(folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def full(*_: object) -> None:
        raise AcneEdgeError("no space")

    (folder / OLD_NAME).write_text('{"a.jpg": [1, 2]}')
    monkeypatch.setattr(files, "write", full)
    Journal(folder).close()
    assert (folder / OLD_NAME).exists(), "the old state is deleted only when the new one is there"
    assert "no space" in caplog.text


def test_the_state_that_another_user_left_on_a_share_is_passed_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / OLD_NAME).write_text("{")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert reopened(folder) == {}
