"""The interface for other programs: predictions, models, and what whoever runs the server asks of it."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response

from acne_edge import __version__, models
from acne_edge.errors import AcneEdgeError
from acne_edge.prediction import Prediction
from acne_edge.serve import uploads
from acne_edge.serve.engine import Engine
from acne_edge.serve.metrics import CONTENT_TYPE, Metrics
from acne_edge.serve.problems import Problem, of_error
from acne_edge.serve.settings import Settings

SCHEMA_FILE = Path(__file__).parents[1] / "prediction.schema.json"
PREDICTIONS = "/v1/predictions"
BINARY = {"schema": {"type": "string", "format": "binary"}}
FORM = {
    "schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}, "required": ["file"]},
    "encoding": {"file": {"contentType": ", ".join(uploads.TYPES)}},
}
MEANINGS = {
    400: "The request is none.",
    401: "The token is missing or wrong.",
    403: "Sent by a page of another site.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "No photograph of a kind that is accepted.",
    421: "The server is not called so.",
    422: "A parameter is wrong; or the photograph is damaged, too small or too large, or refused for its quality.",
    429: "Too many requests wait already; Retry-After says for how long to wait.",
    500: "A defect, or the system failed.",
    503: "Not predicted in time, or the server is stopping; try again.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The responses of a route that is not answered as meant, for the OpenAPI document."""
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/failure"}}}
    wait = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}}
    return {
        status: {"description": MEANINGS[status], "content": content, **({"headers": wait} if status == 429 else {})}
        for status in (401, 403, 421, *statuses)
    }


def schemas() -> dict[str, Any]:
    """The published JSON Schema of results, as components of an OpenAPI document."""
    text = SCHEMA_FILE.read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text.replace('"#/$defs/', '"#/components/schemas/'))["$defs"]
    return found


def routes(engine: Engine, metrics: Metrics, settings: Settings) -> APIRouter:
    """The routes of one server."""
    router = APIRouter(dependencies=[Depends(_known_parameters)])
    _predictions(router, engine, metrics, settings)
    _operation(router, engine, metrics)
    return router


def _predictions(router: APIRouter, engine: Engine, metrics: Metrics, settings: Settings) -> None:
    @router.post(
        PREDICTIONS,
        tags=["predictions"],
        summary="Predict one photograph",
        responses={
            200: {
                "description": "The prediction; `path` is null.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/prediction"}}},
            },
            **problems(400, 408, 413, 415, 422, 429, 503),
        },
        openapi_extra={
            "requestBody": {
                "required": True,
                "description": "The photograph: JPEG, PNG, WebP or HEIC (extra `heif`), as the body itself or as the one file "
                "of a form.",
                "content": {**dict.fromkeys((*uploads.TYPES, uploads.UNSAID), BINARY), uploads.FORM: FORM},
            }
        },
    )
    async def predict(
        request: Request, lesion_map: bool = Query(False, description="Return the map of expected lesions too.")
    ) -> Response:
        """The photograph is kept in memory until it is predicted, and then nowhere."""
        begin, status = perf_counter(), 500
        try:
            result = await predicted(request, engine, settings)
            status = 200
        except (Problem, AcneEdgeError) as error:
            status = of_error(error).status_code
            raise
        finally:
            metrics.requests.labels(status).inc()
            metrics.seconds.observe(perf_counter() - begin)
        metrics.abstained.inc(bool(result.abstained))
        return JSONResponse(result.to_dict(lesion_map))

    @router.get("/v1/models", tags=["models"], summary="Models", responses=problems(422))
    def listed() -> dict[str, Any]:
        """The model that predicts, and those that the package brings."""
        manifest, model, scale = engine.grader.manifest, engine.grader.model, engine.grader.scale
        running = {
            **vars(model),
            "input": {"height": manifest.input.height, "width": manifest.input.width},
            "scale": {"name": scale.name, "labels": list(scale.labels), "lower": list(scale.lower)},
        }
        return {"running": running, "shipped": [{"name": name, "sha256": e["sha256"]} for name, e in models.index().items()]}


def _operation(router: APIRouter, engine: Engine, metrics: Metrics) -> None:
    @router.get("/healthz", tags=["operation"], summary="Is the process alive?", responses={422: problems(422)[422]})
    async def alive() -> dict[str, str]:
        """Asks for no token."""
        return {"status": "ok", "version": __version__}

    @router.get(
        "/readyz", tags=["operation"], summary="May requests be sent?", responses={n: problems(422, 503)[n] for n in (422, 503)}
    )
    async def ready() -> dict[str, str]:
        """Asks for no token. 503 while the server stops."""
        if engine.draining:
            raise Problem(503, "the server is stopping")
        return {"status": "ok"}

    @router.get(
        "/metrics",
        tags=["operation"],
        summary="Counters for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **problems(422)},
    )
    def counted() -> Response:
        """Requests by status, seconds, abstentions, places."""
        return Response(metrics.text(), media_type=CONTENT_TYPE)


def _known_parameters(request: Request) -> None:
    """Raise a Problem for one that is misspelt, instead of doing something else than what was meant."""
    known = ("lesion_map",) if request.url.path == PREDICTIONS else ()
    unknown = next((name for name in request.query_params if name not in known), None)
    if unknown is not None:
        raise Problem(422, f"unknown parameter {unknown[:60]!r}; known: {', '.join(known) or 'none'}")


async def predicted(request: Request, engine: Engine, settings: Settings) -> Prediction:
    """The prediction of the photograph in a request's body. Raises a Problem."""
    with engine.place() as keep:
        data = await uploads.photograph(request)
        future = engine.submit(partial(engine.grader.predict, data))
        keep(future)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), settings.timeout)
        except asyncio.TimeoutError as error:
            raise Problem(503, f"not predicted within {settings.timeout:g} s", retry_after=5) from error
        except asyncio.CancelledError as error:
            if engine.stopping:
                raise Problem(503, "the server is stopping", retry_after=5) from error
            raise
