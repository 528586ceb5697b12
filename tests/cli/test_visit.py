from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests import drawing
from tests.cli.conftest import Run

pytest.importorskip("jinja2", reason="the extra report is not installed")


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "left.jpg", tmp_path / "right.jpg"
    for number, path in enumerate(paths):
        path.write_bytes(drawing.encode(drawing.face(4 + 9 * number, number, 288, 320), "JPEG"))
    return paths


def test_a_page_is_written_in_the_language_and_under_the_title_that_are_asked_for(run: Run, sides: tuple, tmp_path: Path) -> None:
    page = tmp_path / "visit.html"
    assert run("visit", *sides, "-o", page, "--language", "zh", "--title", "No. 12") == (0, "", "")
    text = page.read_text(encoding="utf-8")
    assert "<h1>No. 12</h1>" in text
    assert "左侧" in text


@pytest.mark.slow
def test_a_pdf_is_written_where_the_name_says_so(run: Run, sides: tuple, tmp_path: Path) -> None:
    pytest.importorskip("weasyprint", reason="the extra report is not installed")
    assert run("visit", *sides, "-o", tmp_path / "visit.pdf")[0] == 0
    assert (tmp_path / "visit.pdf").read_bytes().startswith(b"%PDF-")


@pytest.mark.parametrize(
    ("left", "right", "output", "message"),
    [
        ("left.jpg", "left.jpg", "v.html", "left.jpg: is given twice"),
        ("left.jpg", "right.jpg", "v.docx", "v.docx: a page is a .html or .htm or .pdf file"),
        ("left.jpg", "right.jpg", "nowhere/v.html", "no such folder"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_predicted(
    run: Run, sides: tuple, tmp_path: Path, left: str, right: str, output: str, message: str
) -> None:
    code, out, err = run("visit", tmp_path / left, tmp_path / right, "-o", tmp_path / output)
    assert (code, out) == (2, "")
    assert message in err
    assert not (tmp_path / output).exists()


def test_a_photograph_that_cannot_be_used_leaves_no_page(run: Run, sides: tuple, tmp_path: Path) -> None:
    sides[1].write_bytes(b"no image")
    code, _, err = run("visit", *sides, "-o", tmp_path / "v.html")
    assert code == 3
    assert str(sides[1]) in err
    assert not (tmp_path / "v.html").exists()


def test_two_empty_pictures_end_with_the_code_for_abstaining(run: Run, sides: tuple, tmp_path: Path) -> None:
    for number, path in enumerate(sides):
        path.write_bytes(drawing.encode(drawing.Image.new("RGB", (300, 300), (90 + number,) * 3), "JPEG"))
    code, _, err = run("visit", *sides, "-o", tmp_path / "v.html")
    assert (code, err) == (5, "acne-edge: no photograph got a grade; the page says why\n")
    assert (tmp_path / "v.html").exists()


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_without_the_extra_it_is_named(
    run: Run, sides: tuple, tmp_path: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    code, _, err = run("visit", *sides, "-o", tmp_path / "v.html")
    assert code == 2
    assert f"a report needs {package}; install it with: pip install 'acne-edge[report]'" in err


def test_a_pdf_without_weasyprint_names_the_extra(
    run: Run, sides: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    code, _, err = run("visit", *sides, "-o", tmp_path / "v.pdf")
    assert code == 2
    assert "a PDF needs weasyprint; install it with: pip install 'acne-edge[report]'" in err
