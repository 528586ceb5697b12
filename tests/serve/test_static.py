"""What the page is made of."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from acne_edge.serve import static
from acne_edge.serve.problems import CODES

PAGE = Path(static.__file__).parent / "page"
KEY = re.compile(r"[\"'`](page\.[a-z_.]+)")
SCRIPTS = sorted(PAGE.glob("js/*.js"))


def words(language: str) -> dict[str, str]:
    return json.loads(static.read()[f"words/{language}.json"][0])


def test_every_text_that_is_used_is_there_and_every_one_that_is_there_is_used() -> None:
    used = {key for file in (*SCRIPTS, PAGE / "index.html") for key in KEY.findall(file.read_text())}
    stems = {key for key in used if key.endswith(".")}
    english = words("en")
    assert [key for key in used - stems if key not in english] == []
    assert [stem for stem in stems if not any(key.startswith(stem) for key in english)] == []
    own = {key for key in english if key.startswith("page.")}
    assert [k for k in own if k not in used and k.removesuffix(".one") not in used and not k.startswith(tuple(stems))] == []


def test_every_error_that_an_upload_can_meet_has_a_text() -> None:
    english = words("en")
    unlikely = {"bad_request", "forbidden", "conflict", "method_not_allowed", "unknown_host"}
    assert [code for code in CODES.values() if f"page.error.{code}" not in english and code not in unlikely] == []


@pytest.mark.parametrize("file", [*PAGE.glob("*.html"), *PAGE.glob("*.css"), *SCRIPTS, PAGE / "icon.svg"], ids=lambda f: f.name)
def test_nothing_comes_from_elsewhere_and_nothing_is_inline(file: Path) -> None:
    text = file.read_text()
    assert re.findall(r"(?:https?:)?//[a-z][\w.-]+\.[a-z]{2,}", text.replace("http://www.w3.org/", "")) == []
    if file.suffix == ".html":
        assert re.findall(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=|javascript:", text) == []


def test_modules_import_what_is_there() -> None:
    for file in SCRIPTS:
        for name in re.findall(r'from "\./([\w.]+)"', file.read_text()):
            assert (PAGE / "js" / name).is_file(), f"{file.name} imports {name}"


def luminance(colour: str) -> float:
    """Relative, of `#rrggbb` (WCAG 2.2)."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("front", "back", "least"),
    [
        ("ink", "paper", 4.5), ("ink", "card", 4.5), ("ink", "accent-soft", 4.5), ("soft", "paper", 4.5), ("soft", "card", 4.5),
        ("soft", "accent-soft", 4.5), ("accent", "card", 4.5), ("accent", "paper", 4.5), ("on-accent", "accent", 4.5),
        ("machine", "card", 4.5), ("warn", "warn-soft", 4.5), ("warn", "card", 4.5), ("bad", "bad-soft", 4.5),
        ("bad", "card", 4.5), ("good", "card", 4.5), ("good", "accent-soft", 4.5), ("edge", "card", 3.0), ("paper", "ink", 4.5),
    ],
)  # fmt: skip
def test_colours_are_legible(theme: int, front: str, back: str, least: float) -> None:
    """The contrast that WCAG 2.2 asks of texts (AA), and of the edges of fields."""
    themes = re.findall(r":root \{(.*?)\}", (PAGE / "base.css").read_text(), re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", themes[theme]))
    assert contrast(colours[front], colours[back]) >= least
