"""A photograph out of the body of a request: raw, or the one file of a form. It is kept in memory alone."""

from __future__ import annotations

from python_multipart.exceptions import FormParserError
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from acne_edge.image import HEIF_BRANDS
from acne_edge.serve.problems import Problem

FORM = "multipart/form-data"
UNSAID = "application/octet-stream"
TYPES = ("image/jpeg", "image/png", "image/webp", "image/heic")
SUFFIXES = dict(zip(TYPES, (".jpg", ".png", ".webp", ".heic"), strict=True))
ACCEPTED = "a photograph is accepted as JPEG, PNG, WebP or HEIC, as the body itself or as the one file of a form"


async def photograph(request: Request) -> bytes:
    """The photograph's bytes, which begin like one of the kinds that are accepted. Raises a Problem."""
    declared = request.headers.get("content-type", UNSAID).partition(";")[0].strip().lower()
    try:
        if declared == FORM:
            data = await _of_form(request)
        elif declared == UNSAID or declared.startswith("image/"):
            data = await request.body()
        else:
            raise Problem(415, ACCEPTED)
    except ClientDisconnect as error:
        raise Problem(400, "the body ended early") from error
    if not data:
        raise Problem(422, "there is no photograph in the body (0 bytes)", "image_decode")
    kind(data)
    return data


def kind(data: bytes) -> str:
    """The media type, by the first bytes. Raises a Problem, 415, for another than is accepted."""
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp" and data[8:12] in HEIF_BRANDS:
        return "image/heic"
    raise Problem(415, ACCEPTED)


async def _of_form(request: Request) -> bytes:
    parser = MultiPartParser(request.headers, request.stream(), max_files=1, max_fields=16, max_part_size=1 << 16)
    parser.spool_max_size = 1 << 62  # bytes beyond which a file would go to the disk; the guard has a limit far below
    try:
        form = await parser.parse()
    except (MultiPartException, FormParserError) as error:
        raise Problem(422, "the form cannot be read") from error
    try:
        files = [value for _, value in form.multi_items() if not isinstance(value, str)]
        if len(files) != 1:
            raise Problem(422, "the form has no file")
        return await files[0].read()
    finally:
        await form.close()
