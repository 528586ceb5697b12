from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acne_edge.errors import UsageError
from acne_edge.evaluation import labels as reader
from acne_edge.evaluation.labels import Label, list_hash, read_labels

ROWS = [Label("a.jpg", 0, 3), Label("ärztin.jpg", 3, 60)]
TEXT = "a.jpg 0 3\närztin.jpg 3 60\n"


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        TEXT.rstrip().encode(),
        TEXT.replace("\n", "\r\n").encode("utf-8-sig"),
        TEXT.replace("\n", "\r").encode(),
        ("\n\n" + TEXT.replace(" ", "\t") + "  \n").encode("utf-8-sig"),
    ],
    ids=["plain", "no line end", "byte order mark and CRLF", "CR", "tabs and empty lines"],
)
def test_a_list_is_read_as_editors_and_windows_programs_save_it(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(data)
    assert read_labels(tmp_path / "list.txt") == ROWS


def test_the_locale_does_not_change_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("locale.getpreferredencoding", lambda *_: "ascii")
    (tmp_path / "list.txt").write_bytes(TEXT.encode())
    assert read_labels(tmp_path / "list.txt") == ROWS


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"list\.txt: the list is empty"),
        (b"\xef\xbb\xbf\r\n", r"list\.txt: the list is empty"),
        (b"a.jpg 0 3\nb.jpg 1\n", r"list\.txt:2: expected 'name grade count', found 'b\.jpg 1'"),
        (b"a.jpg 0 -3\n", r"list\.txt:1: expected"),
        ("a.jpg 0 ٣\n".encode(), r"list\.txt:1: expected"),
        (b"a.jpg 0 99999999999999999999\n", r"list\.txt:1: expected"),
        (TEXT.encode("utf-16"), r"list\.txt: cannot read the list file as UTF-8 .*; save it as UTF-8"),
        (b"a.jpg\xff 0 3\n", r"list\.txt: cannot read the list file as UTF-8"),
    ],
)
def test_what_is_no_list_is_refused_in_one_line_that_says_where(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(data)
    with pytest.raises(UsageError, match=message) as error:
        read_labels(tmp_path / "list.txt")
    assert "\n" not in str(error.value)


def test_what_is_missing_no_file_or_endless_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")  # would be waited for
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(UsageError, match="a list is a regular file"):
            read_labels(path)
    with pytest.raises(UsageError, match=r"none\.txt: cannot read the list file \(No such file or directory\)"):
        read_labels(tmp_path / "none.txt")
    monkeypatch.setattr(reader, "MAX_BYTES", 15)
    (tmp_path / "long.txt").write_text(TEXT)
    with pytest.raises(UsageError, match=r"long\.txt: the list is over"):
        read_labels(tmp_path / "long.txt")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("labels") / "list.txt"


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(min_size=1), st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1))
def test_whatever_the_names_a_list_is_read_or_refused(file: Path, rows: list[tuple[str, int, int]]) -> None:
    file.write_bytes("".join(f"{name} {grade} {count}\n" for name, grade, count in rows).encode(errors="replace"))
    try:
        found = read_labels(file)
    except UsageError:
        return
    assert (found[-1].grade, found[-1].count) == rows[-1][1:]


def test_a_list_is_known_by_its_photographs_and_labels_in_any_order() -> None:
    assert list_hash(ROWS) == list_hash(ROWS[::-1])
    assert list_hash(ROWS) != list_hash(ROWS[:1])
    assert list_hash(ROWS) != list_hash([ROWS[0], Label("ärztin.jpg", 3, 61)])
