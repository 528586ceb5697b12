"""The files of the page. They are read once, and served by name from a list: no path is made of what a client sends."""

from __future__ import annotations

import json
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response

from acne_edge.catalogue import FOLDER, LANGUAGES
from acne_edge.serve.problems import Problem

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}
SAID = ("lang", "not_a_diagnosis", "grade.", "quality.", "advice.", "page.")  # of the catalogue
PAGES = {"/": "index.html", "/docs": "docs.html"}


def routes() -> APIRouter:
    """The routes of the page's files."""
    router, files = APIRouter(), read()

    def add(path: str, name: str) -> None:
        content, media_type = files[name]

        @router.get(path)
        async def file() -> Response:
            return Response(content, media_type=media_type)

    for path, name in PAGES.items():
        add(path, name)

    @router.get("/page/{name:path}")
    async def file(name: str) -> Response:
        if name not in files:
            raise Problem(404, "no such file")
        content, media_type = files[name]
        return Response(content, media_type=media_type)

    return router


def read() -> dict[str, tuple[bytes, str]]:
    """Return content and media type of each file of the page, by its name below `/page/`."""
    folder = Path(__file__).parent / "page"
    found = {
        file.relative_to(folder).as_posix(): (file.read_bytes(), TYPES[file.suffix])
        for file in folder.rglob("*")
        if file.suffix in TYPES
    }
    for language in LANGUAGES:
        texts = json.loads((FOLDER / f"{language}.json").read_text(encoding="utf-8"))
        own = {key: text for key, text in texts.items() if key.startswith(SAID)}
        found[f"words/{language}.json"] = json.dumps(own, ensure_ascii=False).encode(), TYPES[".json"]
    return found
