"""What a page must keep so that a keyboard, a screen reader and a printer can use it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = ("meta", "link", "img", "br", "input", "hr")


class Page(HTMLParser):
    """A page as its elements: (name, attributes, names of the elements around it, its text)."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[dict] = []
        self._open: list[dict] = []
        self.source = source
        self.feed(source)
        assert self._open == [], f"never closed: {[e['name'] for e in self._open]}"

    def handle_starttag(self, tag: str, attrs: list) -> None:
        element = {"name": tag, "around": [e["name"] for e in self._open], "text": "", **dict(attrs)}
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.elements.append({"name": tag, "around": [e["name"] for e in self._open], "text": "", **dict(attrs)})

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop()["name"] == tag

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element["text"] += data

    def all(self, name: str) -> list[dict]:
        return [e for e in self.elements if e["name"] == name]

    @property
    def text(self) -> str:
        """What is read, without the style; all white space is one space."""
        return " ".join(self.all("body")[0]["text"].split())


def check(source: str) -> Page:
    """Assert what every page keeps."""
    page = Page(source)
    ids = [e["id"] for e in page.elements if "id" in e]
    assert len(set(ids)) == len(ids)
    for element in page.elements:
        for name in (element.get("aria-labelledby"), (element.get("href") or "#")[1:] if element["name"] == "a" else None):
            assert not name or name in ids, f"nothing is called {name}"
    assert page.all("html")[0]["lang"]
    assert [len(page.all(name)) for name in ("main", "h1", "header", "footer")] == [1] * 4
    assert len([e for e in page.all("title") if "head" in e["around"]]) == 1
    levels = [int(e["name"][1]) for e in page.elements if re.fullmatch("h[1-6]", e["name"])]
    assert all(b <= a + 1 for a, b in zip([0, *levels], levels, strict=False)), "no level of headings is left out"
    first = next(e for e in page.elements if e["name"] == "a")
    assert first["class"] == "skip"
    tables = page.all("table")
    assert len(page.all("caption")) == len(tables)
    assert all("scope" in e for e in page.all("th"))
    assert all(e["alt"] for e in page.all("img"))
    for chart in page.all("svg"):
        assert chart["role"] == "img"
    self_contained(source)
    return page


def self_contained(source: str) -> None:
    """Nothing is fetched: no script, no address but data and places in the page, and a policy that forbids the rest."""
    assert "<script" not in source
    assert "default-src 'none'" in source
    assert not re.search(r"""(?:src|href|action|data)=["'](?!data:|#)""", source)
    assert not re.search(r"@import|url\((?!#)", source)
