from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import drawing
from tests.cli.conftest import Run

pytest.importorskip("jinja2", reason="the extra report is not installed")


@pytest.fixture
def visits(tmp_path: Path) -> Path:
    """A patient with two visits of the left side, a treatment between them."""
    for name, lesions in {"a": 30, "b": 2}.items():
        (tmp_path / f"{name}.jpg").write_bytes(drawing.encode(drawing.face(lesions, 1, 324, 360), "JPEG", quality=90))
    table = tmp_path / "visits.csv"
    table.write_text(
        "patient,date,view,file,event\n7,2026-01-01,left,a.jpg,\n7,2026-01-05,,,<treatment>\n7,2026-03-01,left,b.jpg,\n"
    )
    return table


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_shows_counts_changes_and_events_and_no_face(run: Run, visits: Path, tmp_path: Path, language: str) -> None:
    page = tmp_path / "patient.html"
    assert run("track", visits, "-o", page, "--language", language) == (0, "", "")
    text = page.read_text(encoding="utf-8")
    assert text.count("2026-03-01") >= 2, "in the chart and in the table"
    assert "&lt;treatment&gt;" in text
    assert ">E1</text>" in text
    assert "<svg" in text
    assert "<img" not in text
    assert not re.search(r"(src|href)=\"(?!#|data:)", text), "it fetches nothing"


def test_pictures_are_shown_on_request(run: Run, visits: Path, tmp_path: Path) -> None:
    page = tmp_path / "patient.html"
    assert run("track", visits, "-o", page, "--pictures")[0] == 0
    assert page.read_text(encoding="utf-8").count('<img src="data:image/jpeg;base64,') == 2


def test_a_photograph_that_fails_has_a_row_that_says_so(run: Run, visits: Path, tmp_path: Path) -> None:
    (tmp_path / "b.jpg").write_bytes(b"no image")
    page = tmp_path / "patient.html"
    code, _, err = run("track", visits, "-o", page)
    assert code == 3
    assert "b.jpg" in err
    assert "cannot be compared" in page.read_text(encoding="utf-8")


def test_a_page_never_takes_the_place_of_the_table(run: Run, visits: Path) -> None:
    table = visits.rename(visits.with_suffix(".html"))
    code, _, err = run("track", table, "-o", table)
    assert code == 2
    assert "is read for the page" in err
