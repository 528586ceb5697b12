"""A browser without a window, for tests of pages: what it says on its console, and what it asks a network for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

SIZES = {"phone": (390, 844), "tablet": (1024, 600), "desktop": (1440, 900)}
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass
class Seen:
    """What a page did."""

    console: list[str] = field(default_factory=list)  # errors and warnings
    requests: list[str] = field(default_factory=list)  # addresses, but those that hold what they name
    page: Any = None  # Playwright's


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium of the system; skips where there is none, or no Playwright to drive it."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no Chromium on PATH: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield chromium
        finally:
            chromium.close()


def visit(chromium: Any, file: Path, size: str = "desktop", scheme: str = "light") -> Seen:
    """Open a page from its file."""
    width, height = SIZES[size]
    seen = Seen(page=chromium.new_page(viewport={"width": width, "height": height}, color_scheme=scheme))
    seen.page.on("console", lambda message: seen.console.append(message.text) if message.type in ("error", "warning") else None)
    seen.page.on("pageerror", lambda error: seen.console.append(str(error)))
    seen.page.on("request", lambda request: seen.requests.append(request.url) if not request.url.startswith("data:") else None)
    seen.page.goto(file.as_uri(), wait_until="networkidle")
    assert seen.requests[0] == file.as_uri()
    del seen.requests[0]
    return seen
