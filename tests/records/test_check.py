from __future__ import annotations

import os
import random
from contextlib import suppress
from pathlib import Path

import pytest

from acne_edge import Record
from acne_edge.errors import UsageError
from acne_edge.records.check import check
from tests.records.conftest import chained, lines


def raw(study: Path) -> list[bytes]:
    return study.read_bytes().splitlines(keepends=True)


def faults(study: Path, text: list[bytes]) -> list[str]:
    study.write_bytes(b"".join(text))
    return [fault.what for fault in check(study).faults]


def test_a_record_as_it_was_written_is_whole(study: Path) -> None:
    checked = check(study)
    assert (checked.whole, checked.lines, checked.torn) == (True, 5, 0)
    assert checked.head == lines(study)[-1]["hash"]
    tally = checked.tally
    assert (tally.photographs, tally.failed, tally.counts) == (4, 1, 0)
    assert (tally.first, tally.last) == (lines(study)[0]["at"], lines(study)[-1]["at"])


def test_a_changed_line_is_named(study: Path) -> None:
    text = raw(study)
    text[2] = text[2].replace(b"b.jpg", b"x.jpg")
    assert faults(study, text) == ["line 3 was changed: it does not fit its hash"]


def test_a_changed_last_line_is_named(study: Path) -> None:
    text = raw(study)
    text[-1] = text[-1].replace(b"c.jpg", b"x.jpg")
    assert faults(study, text) == ["line 5 was changed: it does not fit its hash"]


def test_a_line_that_was_replaced_with_its_hash_is_named(study: Path, tmp_path: Path) -> None:
    other = lines(study)
    other[2]["result"]["count"] = 40.0
    chained(tmp_path / "other.jsonl", other)
    text = raw(study)
    text[2] = raw(tmp_path / "other.jsonl")[2]
    assert faults(study, text) == ["line 3 was replaced: line 4 was written after another one"]


@pytest.mark.parametrize(
    ("gone", "says"),
    [
        ([2], ["line 3 is missing"]),
        ([1, 2], ["lines 2 to 3 are missing"]),
        ([1, 3], ["line 2 is missing", "line 4 is missing"]),
        ([0], ["line 1 is missing"]),
    ],
)
def test_missing_lines_are_named(study: Path, gone: list[int], says: list[str]) -> None:
    assert faults(study, [line for i, line in enumerate(raw(study)) if i not in gone]) == says


def test_reordered_and_repeated_lines_are_named(study: Path) -> None:
    text = raw(study)
    assert faults(study, [text[0], text[2], text[1], *text[3:]]) == [
        "line 2 stands behind line 3: lines were put into another order"
    ]
    assert faults(study, [*text, text[2]]) == ["line 3 is there twice"]


def test_lines_at_the_end_that_are_missing_show_by_a_filed_head_alone(study: Path) -> None:
    head = check(study).head
    study.write_bytes(b"".join(raw(study)[:-1]))
    assert check(study).whole
    assert [fault.what for fault in check(study, head).faults] == [
        "no line has the head that was filed: the record was rewritten, or its end is missing"
    ]


def test_a_record_that_was_written_anew_shows_by_a_filed_head_alone(study: Path) -> None:
    head, other = check(study).head, lines(study)
    other[1]["result"]["count"] = 40.0
    chained(study, other)
    assert check(study).whole
    assert not check(study, head).whole


def test_a_filed_head_is_found_when_lines_were_added_since(study: Path) -> None:
    head = check(study).head
    with Record(study) as record:
        record.add_count(lines(study)[1]["sha256"], 3, by="R1")
    checked = check(study, head)
    assert (checked.whole, checked.filed_at, checked.lines) == (True, 5, 6)


def test_a_last_line_that_is_cut_short_is_told_and_is_no_change(study: Path) -> None:
    study.write_bytes(study.read_bytes()[:-10])
    checked = check(study)
    assert (checked.whole, checked.lines) == (True, 4)
    assert checked.torn > 500


def test_a_line_of_another_record_does_not_fit(study: Path, tmp_path: Path) -> None:
    with Record(tmp_path / "other.jsonl") as record:
        record.add_count("0" * 64, 3, by="R1")
    text = raw(study)
    assert faults(study, [text[0], raw(tmp_path / "other.jsonl")[1], *text[2:]]) == [
        "line 1 was replaced: line 2 was written after another one",
        "line 2 was replaced: line 3 was written after another one",
    ]


def test_whatever_is_done_to_the_lines_is_noticed(study: Path) -> None:
    """Shuffled, dropped, repeated, and bytes changed, by a seed; the end may be missing without a trace, nothing else."""
    text, rng = raw(study), random.Random(1)
    for _ in range(300):
        other = [line for line in text if rng.random() > 0.15]
        if rng.random() < 0.3:
            rng.shuffle(other)
        if other and rng.random() < 0.3:
            other.insert(rng.randrange(len(other) + 1), rng.choice(text))
        if other and rng.random() < 0.3:
            i = rng.randrange(len(other))
            place = rng.randrange(len(other[i]) - 1)
            other[i] = other[i][:place] + bytes([other[i][place] ^ 1 << rng.randrange(7)]) + other[i][place + 1 :]
        study.write_bytes(b"".join(other))
        if other == text[: len(other)] and other:
            assert check(study).whole
            continue
        with suppress(UsageError):  # nothing of a record is left at its beginning
            assert not check(study).whole


@pytest.mark.parametrize("content", [b"", b"\n", b"path,count\na.jpg,3\n", b"{}\n", b"\xff\xd8\xff\xe0" * 1000])
def test_a_file_that_is_no_record_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(UsageError, match="no record"):
        check(tmp_path / "x")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        check(tmp_path / "x")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(UsageError, match="is no file"):
            check(path)


def test_a_line_without_end_takes_no_memory_without_end(study: Path) -> None:
    study.write_bytes(study.read_bytes() + b"x" * (3 << 20))
    assert "line 6 is no line of a record" in [fault.what for fault in check(study).faults]
