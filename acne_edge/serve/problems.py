"""What the interface answers where it does not answer with a prediction: a status, a code for machines, and a sentence."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from acne_edge.errors import (
    AcneEdgeError,
    ImageError,
    MissingExtraError,
)
from acne_edge.prediction import SCHEMA

CODES = {
    400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "method_not_allowed",
    408: "upload_timeout", 409: "conflict", 413: "too_large", 415: "unsupported_type", 421: "unknown_host",
    422: "invalid", 429: "busy", 500: "error", 503: "unavailable",
}  # fmt: skip


class Problem(HTTPException):
    """A request that is not answered as it was meant. Starlette hands it to `answer`."""

    def __init__(self, status: int, message: str, code: str = "", retry_after: int = 0) -> None:
        super().__init__(status, message, {"Retry-After": str(retry_after)} if retry_after else None)
        self.code = code or CODES.get(status, "error")


def of_error(error: Exception) -> Problem:
    """The problem that an error is to a client."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, MissingExtraError):
        return Problem(415, error.message, error.code)
    if isinstance(error, ImageError):
        return Problem(422, error.message, error.code)
    if isinstance(error, AcneEdgeError):
        return Problem(503, error.message, error.code)
    return Problem(500, "internal error; the server's log says where")


def body(code: str, message: str, **more: Any) -> dict[str, Any]:
    """The JSON of a failed input, as the command line writes it."""
    return {"schema": SCHEMA, "path": None, "error": {"code": code, "message": message}, **more}


def answer(error: HTTPException) -> JSONResponse:
    """The response for a problem."""
    code = getattr(error, "code", "") or CODES.get(error.status_code, "error")
    return JSONResponse(body(code, str(error.detail)), error.status_code, error.headers)
