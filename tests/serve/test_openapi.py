"""Requests that schemathesis makes up of the OpenAPI document: no answer contradicts it."""

from __future__ import annotations

import warnings
from contextlib import nullcontext, suppress
from urllib.parse import parse_qsl, urlsplit

import hypothesis
import pytest
from hypothesis import strategies as st
from PIL import Image

from acne_edge.serve.rest import PREDICTIONS
from acne_edge.serve.uploads import TYPES, UNSAID
from tests import drawing
from tests.serve.conftest import TOKEN, Client

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
    from schemathesis.specs.openapi.checks import negative_data_rejection, unsupported_method

QUICK, THOROUGH = 10, 200  # requests an operation


@pytest.fixture(scope="module", autouse=True)
def _photographs() -> None:
    """What a schema cannot say of bytes: that they are a photograph."""
    face = Image.fromarray(drawing.face(width=96, height=108))
    kinds = dict(zip((*TYPES, UNSAID), ("JPEG", "PNG", "WEBP", "HEIF", "JPEG"), strict=True))
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    for media_type, kind in kinds.items():
        schemathesis.openapi.media_type(media_type, st.just(drawing.encode(face, kind)))


def check(client: Client, examples: int) -> None:
    """Every operation, with that many requests that keep to the document and that do not."""
    url = str(client.base_url).rstrip("/")
    headers = {"Authorization": f"Bearer {TOKEN}"}
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", headers=headers)
    operations = [result.ok() for result in schema.get_all_operations()]
    assert {operation.path for operation in operations} >= {"/v1/predictions", "/v1/models", "/metrics"}
    for operation in operations:
        for mode in schemathesis.GenerationMode:

            @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
            @hypothesis.settings(max_examples=examples, database=None, suppress_health_check=list(hypothesis.HealthCheck))
            def ask(case: schemathesis.Case) -> None:
                response = case.call(headers=headers)
                sent = parse_qsl(urlsplit(response.request.url).query, keep_blank_values=True)
                # A wrong parameter whose value is an empty list is not sent at all.
                unsent = all(name == "lesion_map" and value in ("true", "false") for name, value in sent)
                excluded = [unsupported_method, *([negative_data_rejection] if unsent else [])]
                case.validate_response(response, excluded_checks=excluded)

            with suppress(hypothesis.errors.Unsatisfiable) if operation.path != PREDICTIONS else nullcontext():
                ask()  # of an operation that takes nothing, nothing can be wrong


@pytest.mark.slow
def test_the_document_is_kept_to(plain: Client) -> None:
    check(plain, QUICK)


@pytest.mark.slow
def test_the_document_is_kept_to_by_many_requests(plain: Client) -> None:
    check(plain, THOROUGH)
