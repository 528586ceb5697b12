"""The site is built from docs/ without a network, whole, and loads nothing from elsewhere."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

SITE = runpy.run_path(str(ROOT / "scripts" / "site"))
TOUR = ROOT / "docs" / "tutorials" / "tour.ipynb"


@pytest.mark.parametrize(
    "loading",
    [
        '<script src="https://cdn.example/a.js"></script>',
        '<link rel="stylesheet" href="//fonts.example/css">',
        '<link rel="preconnect" href="https://fonts.example">',
        '<img src="a.png" srcset="a.png 1x, https://example.org/b.png 2x">',
        "<style>@import 'https://example.org/a.css';</style>",
        '<p style="background: url(https://example.org/a.png)">',
    ],
)
def test_what_a_page_would_load_from_elsewhere_is_found(tmp_path: Path, loading: str) -> None:
    (tmp_path / "a.html").write_text(f"<html><head>{loading}</head></html>")
    (found,) = SITE["foreign"](tmp_path)
    assert re.fullmatch(r"a\.html: (https:)?//\S+( 2x)?", found)


def test_a_style_sheet_that_loads_a_font_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("@font-face { src: url('https://example.org/a.woff2') }")
    assert SITE["foreign"](tmp_path) == ["a.css: https://example.org/a.woff2"]


def test_links_for_readers_and_own_files_are_fine(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<a href="https://example.org">there</a><link rel="canonical" href="https://example.org"><script src="a.js"></script>'
        '<img src="data:image/png;base64,//8="><svg xmlns="http://www.w3.org/2000/svg"></svg>'
    )
    assert SITE["foreign"](tmp_path) == []


def test_links_are_turned_to_where_the_site_has_the_page() -> None:
    pytest.importorskip("mkdocs", reason="needs the extra docs")
    hook = runpy.run_path(str(ROOT / "scripts" / "site_hook.py"))
    turned = hook["outside_of_code"]("[a](x.md) `[b](x.md)` [`c`](x.md)\n```\n[d](x.md)\n```\n", lambda found: f"<{found[1]}>")
    assert turned == "<a> `[b](x.md)` <`c`>\n```\n[d](x.md)\n```\n"
    assert hook["address"](ROOT / "MODEL_CARD.md") == "project/MODEL_CARD.md"
    assert hook["address"](ROOT / "docs" / "start.md") == "start.md"
    assert hook["source"]("project/experiments/LOG.md") == ROOT / "experiments" / "LOG.md"


@pytest.mark.slow
def test_the_site_is_built_and_loads_nothing_from_elsewhere(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("material", reason="needs the extra docs")
    assert SITE["main"]([]) == 0, capfd.readouterr().err
    site = SITE["SITE"]
    assert 'href="tutorials/first-prediction.html"' in (site / "index.html").read_text()
    assert "AcneGrader" in (site / "reference" / "python-docstrings.html").read_text()
    assert "acne_edge_predict_jpeg" in (site / "reference" / "c-header.html").read_text()
    card = re.search(r'href="(\S*MODEL_CARD\.html)"', (site / "explanation" / "honest-numbers.html").read_text())
    assert card is not None
    assert (site / "explanation" / card[1]).exists()


def test_the_notebook_is_committed_without_outputs() -> None:
    cells = json.loads(TOUR.read_text())["cells"]
    assert [cell["outputs"] for cell in cells if cell["cell_type"] == "code" and cell["outputs"]] == []


@pytest.mark.slow
def test_the_notebook_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient", reason="needs the extra docs")
    nbformat = pytest.importorskip("nbformat", reason="needs the extra docs")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(TOUR, as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in shown), "the marked face"
    assert any("fewer" in output.get("data", {}).get("text/plain", "") for output in shown), "the change between two visits"
