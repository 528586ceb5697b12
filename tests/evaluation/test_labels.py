from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acne_edge.errors import UsageError
from acne_edge.evaluation import labels as reader
from acne_edge.evaluation.labels import Label, list_hash, read_labels
from acne_edge.grading import HAYASHI

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
        (b"a.jpg 0 3\nb.jpg 1\n", r"list\.txt:2: expected 'name grade count'.*found 'b\.jpg 1'"),
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
        with pytest.raises(UsageError, match="not a regular file"):
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


NAMED = [Label("left side.jpg", 2, 25), Label("b.jpg", 0, 3)]


@pytest.mark.parametrize(
    "text",
    [
        "file,count,grade\nleft side.jpg,25,2\nb.jpg,3,0\n",
        "grade,file,count\nsevere,left side.jpg,25\nMild,b.jpg,3\n",
        "\ufeffFile;Count;who\r\nleft side.jpg;25;A. B.\r\nb.jpg;3;\r\n",
        'count\t"file"\n25\t"left side.jpg"\n\n3\tb.jpg\n',
        "file, count, grade\nleft side.jpg, 25,\nb.jpg, 3, 0\n",
    ],
    ids=[
        "commas",
        "any order, grades by name",
        "semicolons, byte order mark, no grade",
        "tabs and quotes",
        "spaces, an empty grade",
    ],
)
def test_a_table_is_read_as_spreadsheets_save_it(text: str, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8", newline="")
    assert read_labels(tmp_path / "labels.csv", HAYASHI) == NAMED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,count\n", r"labels\.csv: the list is empty"),
        ("file,count\na.jpg,\n", r"labels\.csv:2: expected a file and a whole count, found 'a\.jpg,'"),
        ("file,count\na.jpg,3.5\n", r"labels\.csv:2: expected a file and a whole count"),
        ("file,count\n,3\n", r"labels\.csv:2: expected a file"),
        ("file,count\na.jpg,3\na.jpg,4\n", r"labels\.csv:3: a\.jpg is in an earlier line too"),
        (
            "file,count,grade\na.jpg,3,bad\n",
            r"labels\.csv:2: unknown grade 'bad'; expected 0\.\.3, or one of: mild, moderate, severe, ",
        ),
        ("file,number\na.jpg,3\n", r"labels\.csv:1: expected 'name grade count', or a table whose first line names"),
    ],
)
def test_what_is_wrong_in_a_table_is_said_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(UsageError, match=message) as error:
        read_labels(tmp_path / "labels.csv", HAYASHI)
    assert "\n" not in str(error.value)


def test_a_table_without_grades_needs_a_scale(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,count\na.jpg,3\n")
    with pytest.raises(UsageError, match="expected a grade as a number from 0"):
        read_labels(tmp_path / "labels.csv")


def test_a_column_source_says_where_a_photograph_is_from_and_is_no_label(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("file,count,source\na.jpg,3,clinic A\nb.jpg,9,\n")
    rows = read_labels(tmp_path / "list.csv", HAYASHI)
    assert [row.source for row in rows] == ["clinic A", ""]
    assert rows[0] == Label("a.jpg", 0, 3)
    assert list_hash(rows) == list_hash([Label("a.jpg", 0, 3), Label("b.jpg", 1, 9)])
