"""The routes of the page: photographs, readings, exports. They belong to the page of the same version and to nobody else."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from acne_edge import __version__
from acne_edge.catalogue import LANGUAGES
from acne_edge.evaluation.annotated import MAX_COUNT, to_coco
from acne_edge.serve import agreement, exports, pictures, rows, uploads
from acne_edge.serve.problems import Problem
from acne_edge.serve.settings import Settings
from acne_edge.serve.store import ConflictError, Photograph, Reading
from acne_edge.serve.study import Study

WAIT, LOOK = 20.0, 0.1  # seconds that a question for changes waits for one, and between looks
Reader = Annotated[str, Query(max_length=80)]
Blind = Annotated[bool, Query()]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class MarkIn(BaseModel):
    """A lesion, as the page sends it."""

    model_config = ConfigDict(extra="forbid")
    x: Share
    y: Share
    score: Share | None = None


class ReadingIn(BaseModel):
    """What a person says now; made of the reading with this version."""

    model_config = ConfigDict(extra="forbid")
    version: Annotated[int, Field(ge=0)]
    marks: Annotated[list[MarkIn], Field(max_length=2000)] | None
    count: Annotated[int, Field(ge=0, le=MAX_COUNT)] | None = None
    grade: Annotated[int, Field(ge=0)] | None = None
    note: Annotated[str, Field(max_length=4000)] = ""
    done: bool = False
    reveal: bool = False  # who counts blind has counted, and wants to see what the model says


def routes(study: Study, settings: Settings) -> APIRouter:
    """The routes of one study."""
    router = APIRouter(prefix="/study")
    _list(router, study, settings)
    _readings(router, study)
    _photographs(router, study, settings)
    _results(router, study)
    return router


def _list(router: APIRouter, study: Study, settings: Settings) -> None:
    scale = study.engine.grader.scale

    @router.get("")
    def about() -> dict[str, Any]:
        model = study.engine.grader.model
        return {
            "version": __version__,
            "folder": study.folder.name or str(study.folder) if study.folder else None,
            "model": {"name": model.name, "version": model.version},
            "scale": {"name": scale.name, "labels": scale.labels, "lower": scale.lower},
            "blind": study.blind,
            "readers": study.store.readers(),
            "languages": LANGUAGES,
            "max_bytes": settings.max_bytes,
        }

    @router.get("/changes")
    async def changes(since: int = 0, reader: Reader = "", blind: Blind = False) -> dict[str, Any]:
        end = monotonic() + WAIT
        while 0 < since == study.sequence and monotonic() < end and not study.engine.draining:
            await asyncio.sleep(LOOK)
        return await run_in_threadpool(_changes, study, since, reader, blind or study.blind)


def _readings(router: APIRouter, study: Study) -> None:
    scale = study.engine.grader.scale

    @router.get("/photographs/{number}")
    def photograph(number: int, reader: Reader = "", blind: Blind = False) -> dict[str, Any]:
        found = study.photograph(number)
        return rows.detail(found, study.see(found, reader, blind), scale, blind or study.blind)

    @router.put("/photographs/{number}/reading")
    def keep(number: int, said: ReadingIn, reader: Reader = "", blind: Blind = False) -> Response:
        found = study.photograph(number)
        before = study.store.reading(found.sha256, reader)
        if said.grade is not None and said.grade >= len(scale.labels):
            raise Problem(422, f"grade is {said.grade}; the scale ends at {len(scale.labels) - 1}")
        hidden = rows.withheld(before, blind or study.blind)
        try:
            kept_reading = study.keep(found, reader, corrected(before, said, hidden))
        except ConflictError as conflict:
            current = rows.detail(found, conflict.current, scale, blind or study.blind)
            return JSONResponse({"error": {"code": "conflict", "message": "changed meanwhile"}, "current": current}, 409)
        return JSONResponse(rows.detail(found, kept_reading, scale, blind or study.blind))


def _photographs(router: APIRouter, study: Study, settings: Settings) -> None:
    kept = pictures.Kept()

    @router.post("/photographs")
    async def add(request: Request, name: Annotated[str, Query(max_length=1000)] = "photograph") -> dict[str, int]:
        with study.engine.place() as keep_place:
            data = await uploads.photograph(request)
            future = await run_in_threadpool(study.add, unquote(name), data)
            keep_place(future)
            try:
                return {"id": await asyncio.wait_for(asyncio.wrap_future(future), settings.timeout)}
            except asyncio.TimeoutError as error:
                raise Problem(503, f"not predicted within {settings.timeout:g} s", retry_after=5) from error

    async def picture(number: int, side: int) -> Response:
        found = study.photograph(number)
        data = kept.get(found.sha256, side)
        if data is None:
            data = await asyncio.wrap_future(study.engine.submit(partial(_render, study, found, side)))
            kept.add(found.sha256, side, data)
        return Response(data, media_type="image/jpeg")

    @router.get("/photographs/{number}/thumbnail")
    async def thumbnail(number: int) -> Response:
        return await picture(number, pictures.THUMBNAIL)

    @router.get("/photographs/{number}/picture")
    async def whole(number: int) -> Response:
        return await picture(number, pictures.PICTURE)


def _results(router: APIRouter, study: Study) -> None:
    @router.get("/agreement")
    def agreed() -> dict[str, Any]:
        return agreement.measured(study)

    @router.get("/export.json")
    def annotated(reader: str | None = None, which: str = exports.LAST) -> Response:
        return _download(JSONResponse(to_coco(exports.annotated(study, reader, which))), "annotated.json")

    @router.get("/export.csv")
    def table(reader: str | None = None) -> Response:
        return _download(Response(exports.table(study, reader), media_type="text/csv; charset=utf-8"), "readings.csv")


def corrected(before: Reading, said: ReadingIn, hidden: bool) -> Reading:
    """The reading as it is after a correction. `hidden`: made before the model's results were shown.

    Raises a Problem for one who wants to see the model's results without having counted.
    """
    marks = None if said.marks is None else tuple((mark.x, mark.y, None if hidden else mark.score) for mark in said.marks)
    done = said.done and not hidden
    after = replace(before, version=said.version, marks=marks, count=said.count, grade=said.grade, note=said.note, done=done)
    if not (said.reveal and hidden):
        return after
    if after.lesions is None:
        raise Problem(422, "count first")
    first = {"lesions": after.lesions, "grade": after.grade, "marks": after.marks}
    return replace(after, first=first, revealed=True, done=True)


def _changes(study: Study, since: int, reader: str, blind: bool) -> dict[str, Any]:
    sequence, changed, gone = study.changes(since)
    readings = study.store.readings(reader)
    scale = study.engine.grader.scale
    return {
        "sequence": sequence,
        "rows": [rows.row(p, readings.get((p.sha256, reader), Reading()), scale, blind) for p in changed],
        "gone": gone,
        "waiting": study.waiting,
    }


def _render(study: Study, photograph: Photograph, side: int) -> bytes:
    return pictures.render(study.shelf.read(photograph.name), side)


def _download(response: Response, name: str) -> Response:
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
