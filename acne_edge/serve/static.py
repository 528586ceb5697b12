"""The files of the page. They are read once, and served by name from a list: no path is made of what a client sends."""

from __future__ import annotations

import json
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
    """Content and media type of each file of the page, by its name below `/page/`."""
    here, found = Path(__file__).parent, {}
    for folder, prefix in ((here / "page", ""), (here / "catalogue", "catalogue/")):
        for file in folder.rglob("*"):
            if file.suffix in TYPES:
                name = prefix + file.relative_to(folder).as_posix()
                found[name] = file.read_bytes(), TYPES[file.suffix]
    return found


def languages() -> dict[str, dict[str, str]]:
    """The catalogues, by language."""
    return {
        name.removeprefix("catalogue/").removesuffix(".json"): json.loads(content)
        for name, (content, _) in read().items()
        if name.startswith("catalogue/")
    }
