"""Pages in Chromium: nothing on the console, nothing asked for, nothing wider than the screen, all reached by keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from acne_edge import Prediction
from acne_edge.catalogue import load
from acne_edge.grading import HAYASHI
from acne_edge.report import study, visit
from tests import browser
from tests.report.conftest import MakeStudy


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser.browser() as found:
        yield found


@pytest.fixture(scope="module")
def files(make_study: MakeStudy, predictions: list[Prediction], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A study with faces and a visit, in both languages."""
    folder, measured = tmp_path_factory.mktemp("pages"), make_study(60)
    found = {}
    for language in ("en", "zh"):
        words = load(language)
        sources = {
            f"study-{language}": study.write_page(measured, words, faces={}, repeats=5),
            f"visit-{language}": visit.write_page(predictions[1], predictions[3], predictions[2:3], HAYASHI, words),
        }
        for name, source in sources.items():
            found[name] = folder / f"{name}.html"
            found[name].write_text(source, encoding="utf-8")
    return found


@pytest.mark.parametrize("name", ["study-en", "study-zh", "visit-en", "visit-zh"])
@pytest.mark.parametrize("size", ["phone", *(pytest.param(s, marks=pytest.mark.slow) for s in browser.SIZES if s != "phone")])
def test_a_page_is_quiet_and_fits(chromium: Any, files: dict[str, Path], name: str, size: str) -> None:
    seen = browser.visit(chromium, files[name], size, "dark" if size == "tablet" else "light")
    assert (seen.console, seen.requests) == ([], [])
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= browser.SIZES[size][0]
    assert seen.page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    seen.page.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["study-en", "visit-zh"])
def test_colours_stand_out_in_the_light_and_in_the_dark(chromium: Any, files: dict[str, Path], name: str) -> None:
    """WCAG 2.2: 4.5 to 1 for text, 3 to 1 for what is drawn."""
    for scheme in ("light", "dark"):
        seen = browser.visit(chromium, files[name], scheme=scheme)
        colours = {
            role: seen.page.evaluate(
                "role => { const e = document.createElement('i'); e.style.color = `var(--${role})`; document.body.append(e);"
                "const c = getComputedStyle(e).color; e.remove(); return c.match(/[0-9.]+/g).slice(0, 3).map(Number) }",
                role,
            )
            for role in ("paper", "raised", "ink", "quiet", "dot", "mark")
        }
        for ground in ("paper", "raised"):
            for role, least in (("ink", 7), ("quiet", 4.5), ("dot", 4.5), ("mark", 3)):
                assert contrast(colours[role], colours[ground]) >= least, (scheme, role, ground)
        seen.page.close()


def contrast(one: list[float], other: list[float]) -> float:
    def luminance(colour: list[float]) -> float:
        linear = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_first_key_leads_past_the_contents(chromium: Any, files: dict[str, Path]) -> None:
    seen = browser.visit(chromium, files["study-en"])
    seen.page.keyboard.press("Tab")
    assert seen.page.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert seen.page.evaluate("document.activeElement.getBoundingClientRect().left >= 0"), "it is seen once it has the focus"
    seen.page.keyboard.press("Enter")
    assert seen.page.evaluate("document.activeElement.id") == "content"
    seen.page.keyboard.press("Tab")
    assert seen.page.evaluate("document.activeElement.className") == "scroll", "wide tables are scrolled by keys"
    assert seen.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    seen.page.close()


def test_this_browser_would_tell(chromium: Any, tmp_path: Path) -> None:
    file = tmp_path / "bad.html"
    file.write_text("<meta charset=utf-8><script>console.error('oh')</script><img alt='' src='http://127.0.0.1:9/face.jpg'>")
    seen = browser.visit(chromium, file)
    assert "oh" in seen.console
    assert seen.requests == ["http://127.0.0.1:9/face.jpg"]
    seen.page.close()
