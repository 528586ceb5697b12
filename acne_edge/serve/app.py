"""The application: routes behind the guards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from acne_edge import __version__
from acne_edge.errors import AcneEdgeError
from acne_edge.serve import desk, problems, rest, static
from acne_edge.serve.guards import Guard
from acne_edge.serve.metrics import Metrics
from acne_edge.serve.settings import Settings
from acne_edge.serve.study import Study

ABOUT = (
    "Counts acne lesions and grades severity from one photograph, on this machine. Decision support for professionals, not a "
    "diagnosis. Every error has the form of a failed input, with a `code` for machines. The token is sent as "
    "`Authorization: Bearer TOKEN`."
)


def create(study: Study, settings: Settings) -> FastAPI:
    """The application of one server. The study, its engine and its store are closed when it ends."""
    engine = study.engine

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        engine.draining = True
        await run_in_threadpool(study.close)
        await run_in_threadpool(engine.close)
        study.store.close()

    app = FastAPI(title="acne-edge", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.include_router(rest.routes(engine, Metrics(engine), settings))
    app.include_router(desk.routes(study, settings), include_in_schema=False)
    app.include_router(static.routes(), include_in_schema=False)
    app.add_middleware(Guard, settings=settings)
    app.add_exception_handler(HTTPException, _problem)
    app.add_exception_handler(AcneEdgeError, _error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    return app


async def _problem(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return problems.answer(error)


async def _error(request: Request, error: Exception) -> JSONResponse:
    return problems.answer(problems.of_error(error))


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return problems.answer(problems.Problem(422, f"{where}: {first['msg']}"))


def _document(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=ABOUT, routes=app.routes)
        components = document.setdefault("components", {})
        components["schemas"] = rest.schemas()
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
        for path in ("/healthz", "/readyz"):
            document["paths"][path]["get"]["security"] = []
        app.openapi_schema = document
    return app.openapi_schema
