"""The files of the page. They are read once, and served by name from a list: no path is made of what a client sends."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response

from acne_edge.serve.problems import Problem

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}
WORDS, LANGUAGES = Path(__file__).parent / "words", ("en", "zh")
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
        found[f"words/{language}.json"] = (WORDS / f"{language}.json").read_bytes(), TYPES[".json"]
    return found
