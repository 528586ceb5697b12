from __future__ import annotations

import io
import sys
from contextlib import suppress
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acne_edge.errors import UsageError
from acne_edge.followup.timeline import read_timeline

HEAD = "patient,date,view,file,event\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "visits.csv"


def test_rows_are_put_in_order_and_files_are_relative_to_the_table(table: Path) -> None:
    table.write_text(
        "\ufeffFile, Patient,date,view,event\nb.jpg,7,2026-03-01,left,\na.jpg,7,2026-01-01,left,\n,7,2026-02-01,,started\n"
    )
    found = read_timeline(table)
    assert [p.path for p in found.photographs] == [str(table.parent / name) for name in ("a.jpg", "b.jpg")]
    assert [(e.day, e.text) for e in found.events] == [(date(2026, 2, 1), "started")]
    assert (found.patient, found.views) == ("7", ["left"])


def test_a_table_may_come_through_stdin(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table.write_text(HEAD + "p1,2026-01-01,left,a.jpg,\n")
    monkeypatch.chdir(table.parent)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbf" + table.read_bytes())))
    assert read_timeline(Path("-"), "p1") == read_timeline(Path(table.name), "p1")


def test_one_patient_of_several_is_named(table: Path) -> None:
    table.write_text(HEAD + "7,2026-01-01,left,a.jpg,\n8,2026-01-01,left,b.jpg,\n")
    assert read_timeline(table, "8").photographs[0].path.endswith("b.jpg")
    for patient, message in ((None, "holds 2 patients; name one with --patient: 7, 8"), ("9", "has no patient '9'")):
        with pytest.raises(UsageError, match=message):
            read_timeline(table, patient)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks the column patient"),
        (HEAD, "the table is empty"),
        (HEAD + "7,1.3.2026,left,a.jpg,\n", r"visits\.csv:2: expected a date as in 2026-03-31, found '1\.3\.2026'"),
        (HEAD + "7,2026-01-01,left,,\n", r"visits\.csv:2: has neither a file nor an event"),
        (HEAD + "7,2026-01-01,left,a.jpg,\n7,2026-01-01,left,b.jpg,\n", r"visits\.csv:3: a second photograph of the view 'left'"),
        (HEAD + "7,2026-01-01,,,started\n", "no photograph of 7"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused_with_its_line(table: Path, text: str, message: str) -> None:
    table.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_timeline(table)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=200) | st.text(max_size=120).map(lambda text: HEAD + text) | st.binary(max_size=80))
def test_any_other_table_is_read_or_refused(table: Path, text: str | bytes) -> None:
    table.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "replace"))
    with suppress(UsageError):
        assert read_timeline(table).photographs
