from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import jsonschema
import numpy as np
import pytest
from PIL import Image

from tests import drawing
from tests.serve.conftest import Client, Serve, wait_for

SCHEMA = json.loads((Path(__file__).parents[2] / "acne_edge" / "prediction.schema.json").read_text())
URL = "/v1/predictions"


def test_a_photograph_is_predicted_as_by_the_grader(plain: Client, grader: object, jpeg: bytes) -> None:
    answer = plain.post(URL, content=jpeg, headers={"Content-Type": "image/jpeg"})
    assert answer.status_code == 200
    jsonschema.validate(answer.json(), SCHEMA)
    own = grader.predict(jpeg).to_dict()
    told = {**answer.json(), "timings": None, "model": None}
    assert told["count"] == pytest.approx(own["count"], abs=0.05)
    assert told["grade"] == own["grade"]
    assert "lesion_map" not in told


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("form", [False, True])
def test_kinds_and_ways_of_sending(plain: Client, face: np.ndarray, kind: str, form: bool) -> None:
    data = drawing.encode(face[::2, ::2], kind)
    sent = {"files": {"file": ("x", data)}} if form else {"content": data}
    assert plain.post(URL, **sent).status_code == 200


def test_heic(plain: Client, face: np.ndarray) -> None:
    heif = pytest.importorskip("pillow_heif")
    stream = io.BytesIO()
    heif.from_pillow(Image.fromarray(face)).save(stream)
    assert plain.post(URL, content=stream.getvalue()).status_code == 200


def test_heic_without_its_extra_names_it(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    answer = serve().post(URL, content=b"\0\0\0\x18ftypheic" + bytes(200))
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "missing_extra")
    assert "acne-edge[heif]" in answer.json()["error"]["message"]


def test_the_map_comes_on_request(plain: Client, jpeg: bytes) -> None:
    lesion_map = plain.post(URL, params={"lesion_map": True}, content=jpeg).json()["lesion_map"]
    assert np.asarray(lesion_map).ndim == 2


@pytest.mark.parametrize(
    ("data", "headers", "status", "code"),
    [
        (b"no photograph", {}, 415, "unsupported_type"),
        (b"BM" + bytes(100), {}, 415, "unsupported_type"),
        (b"\xff\xd8\xff\xe0 cut", {}, 422, "image_decode"),
        (b"", {}, 422, "image_decode"),
        (drawing.encode(np.zeros((8, 8, 3), np.uint8)), {}, 422, "image_size"),
        (b"\xff\xd8\xff", {"Content-Type": "text/plain"}, 415, "unsupported_type"),
        (b"\xff\xd8\xff", {"Content-Type": "application/json"}, 415, "unsupported_type"),
        (b"--x\r\nno form", {"Content-Type": "multipart/form-data; boundary=x"}, 422, "invalid"),
        (b"", {"Content-Type": "multipart/form-data"}, 422, "invalid"),
    ],
)
def test_what_is_no_photograph_is_named(plain: Client, data: bytes, headers: dict, status: int, code: str) -> None:
    answer = plain.post(URL, content=data, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    jsonschema.validate(answer.json(), SCHEMA)


def test_too_many_pixels_are_refused_before_they_are_decoded(serve: Serve) -> None:
    bomb = drawing.encode(Image.new("1", (20_000, 10_000)), "PNG")
    answer = serve().post(URL, content=bomb)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "image_size")
    assert "megapixels" in answer.json()["error"]["message"]


@pytest.mark.parametrize("query", ["lesion_maps=1", "lesion_map=maybe", "lesion_map=1&x"])
def test_parameters_that_are_misspelt_are_named(plain: Client, jpeg: bytes, query: str) -> None:
    answer = plain.post(f"{URL}?{query}", content=jpeg)
    assert answer.status_code == 422
    assert query.partition("=")[0][:10] in answer.text


def test_two_files_in_a_form_are_refused(plain: Client, jpeg: bytes) -> None:
    answer = plain.post(URL, files=[("file", jpeg), ("file", jpeg)])
    assert answer.status_code == 422


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch, grader: object) -> Event:
    """Predictions wait until this is set."""
    go = Event()
    predict = type(grader).predict

    def slow(self: object, source: object) -> object:
        go.wait(20)
        return predict(self, source)

    monkeypatch.setattr("acne_edge.grader.AcneGrader.predict", slow)
    return go


def test_a_full_queue_says_when_to_come_again(serve: Serve, jpeg: bytes, stuck: Event) -> None:
    client = serve(places=2)
    with ThreadPoolExecutor(2) as pool:
        first = [pool.submit(client.post, URL, content=jpeg) for _ in range(2)]
        wait_for(lambda: client.study.engine.taken == 2)
        answer = client.post(URL, content=jpeg)
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "busy")
        assert int(answer.headers["Retry-After"]) >= 1
        stuck.set()
        assert [future.result().status_code for future in first] == [200, 200]
    assert client.study.engine.taken == 0
    assert client.post(URL, content=jpeg).status_code == 200


def test_a_prediction_that_takes_too_long_is_given_up(serve: Serve, jpeg: bytes, stuck: Event) -> None:
    client = serve(timeout=0.2, places=2)
    answer = client.post(URL, content=jpeg)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert client.study.engine.taken == 1  # its place is taken until it really ends
    late = client.post(URL, content=jpeg)
    assert late.status_code == 503
    stuck.set()
    wait_for(lambda: client.study.engine.taken == 0)


def test_a_body_that_is_refused_gives_its_place_back(serve: Serve) -> None:
    client = serve(places=1)
    for _ in range(3):
        assert client.post(URL, content=b"none").status_code == 415


def test_poor_captures_are_refused_where_the_grader_does(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    client = serve()
    monkeypatch.setattr(client.study.engine.grader, "_on_poor_quality", "fail")
    dark = drawing.encode((drawing.face(width=288, height=320) * 0.1).astype(np.uint8), "JPEG")
    answer = client.post(URL, content=dark)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "poor_quality")


def test_models(plain: Client, grader: object) -> None:
    told = plain.get("/v1/models").json()
    assert told["running"]["name"] == grader.model.name
    assert told["running"]["scale"] == {
        "name": "hayashi",
        "labels": ["mild", "moderate", "severe", "very severe"],
        "lower": [0, 6, 21, 51],
    }
    assert told["running"]["name"] in {model["name"] for model in told["shipped"]}


def test_metrics_count_what_happened(serve: Serve, jpeg: bytes) -> None:
    client = serve()
    client.post(URL, content=jpeg)
    client.post(URL, content=b"none")
    text = client.get("/metrics").text
    assert 'acne_edge_predictions_total{status="200"} 1.0' in text
    assert 'acne_edge_predictions_total{status="415"} 1.0' in text
    assert "acne_edge_prediction_seconds_count 2.0" in text
    assert "acne_edge_places 64.0" in text


def test_a_server_that_stops_is_not_ready_but_alive(serve: Serve) -> None:
    client = serve()
    client.study.engine.drain()
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200


def test_paths_and_methods_that_do_not_exist_have_the_same_form(plain: Client) -> None:
    client = plain
    for answer, code in ((client.get("/v1/none"), "not_found"), (client.get(URL), "method_not_allowed")):
        jsonschema.validate(answer.json(), SCHEMA)
        assert answer.json()["error"]["code"] == code


def test_a_defect_is_a_line_and_no_trace(serve: Serve, jpeg: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(*_: object) -> None:
        raise RuntimeError("of Mrs Miller")

    client = serve()
    monkeypatch.setattr(client.study.engine.grader, "predict", defect)
    answer = client.post(URL, content=jpeg)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "error")
    assert "Miller" not in answer.text


def test_the_document_is_openapi_3_1_with_the_published_schema(serve: Serve) -> None:
    client = serve()
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert set(document["components"]["schemas"]) == set(SCHEMA["$defs"])
    assert set(document["paths"]) == {URL, "/v1/models", "/healthz", "/readyz", "/metrics"}
    assert "#/$defs" not in json.dumps(document)
    assert {"413", "415", "422", "429", "503"} <= set(document["paths"][URL]["post"]["responses"])
    assert "docs.js" in client.get("/docs").text
