from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from time import monotonic, sleep
from typing import TypeAlias

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

import httpx
import uvicorn

from acne_edge import AcneGrader
from acne_edge.serve import app, server
from acne_edge.serve.engine import Engine
from acne_edge.serve.settings import Settings
from acne_edge.serve.store import NAME, Store
from acne_edge.serve.study import Study
from tests import drawing

TOKEN = "a-token-of-the-tests"
Serve: TypeAlias = "Callable[..., Client]"


class Client(httpx.Client):
    """Asks a server that runs in a thread of this process."""

    study: Study
    stop: Callable[[], None]


@pytest.fixture(scope="session")
def jpeg(face: np.ndarray) -> bytes:
    """A drawn face."""
    return drawing.encode(face, "JPEG", quality=90)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with three drawn faces, one of them below."""
    root = tmp_path / "photographs"
    (root / "below").mkdir(parents=True)
    for number, name in enumerate(("a.jpg", "b.jpg", "below/c.jpg")):
        (root / name).write_bytes(drawing.encode(drawing.face(4 + 9 * number, seed=number, width=288, height=320), "JPEG"))
    return root


@pytest.fixture(scope="session")
def single() -> AcneGrader:
    """The shipped model, one thread a photograph."""
    return AcneGrader.load(threads=1)


@pytest.fixture(scope="session")
def start(single: AcneGrader) -> Iterator[Serve]:
    """Start servers; see `serve`. They end with the tests, or when they are told."""
    close, single.close = single.close, lambda: None  # type: ignore[method-assign]  # of one server, of which there are many
    running: list[_Running] = []

    def start_one(folder: Path | None = None, **limits: object) -> Client:
        settings = Settings(**{"token": TOKEN, "workers": 1, **limits})  # type: ignore[arg-type]
        engine = Engine(single, settings.workers, settings.places)
        study = Study(folder, Store(folder / NAME if folder else None), engine, settings.blind)
        listening = server.listen("127.0.0.1", 0)
        serving = server.configured(app.create(study, settings))
        thread = Thread(target=asyncio.run, args=(serving.serve([listening]),))
        thread.start()
        client = Client(base_url=server.url(listening, settings, shown_token=False), timeout=30, verify=False)
        client.study = study
        client.headers["Authorization"] = f"Bearer {TOKEN}"
        client.stop = _Running(client, serving, thread)
        running.append(client.stop)
        return client

    yield start_one
    for stop in running:
        stop()
    close()


class _Running:
    def __init__(self, client: Client, serving: uvicorn.Server, thread: Thread) -> None:
        self._client, self._serving, self._thread = client, serving, thread

    def __call__(self) -> None:
        """End the server."""
        self._client.close()
        self._client.study.engine.drain()
        self._serving.should_exit = True
        self._thread.join()


@pytest.fixture
def serve(start: Serve) -> Iterator[Serve]:
    """Start servers: `serve(folder, limit=...)` is a client of one, with its token. `client.study` is what it serves."""
    clients: list[Client] = []

    def start_one(folder: Path | None = None, **limits: object) -> Client:
        clients.append(start(folder, **limits))
        return clients[-1]

    yield start_one
    for client in clients:
        client.stop()


@pytest.fixture(scope="session")
def plain(start: Serve) -> Client:
    """A server without a folder and with the usual limits, for tests that change nothing that others see."""
    return start()


@pytest.fixture
def stranger(plain: Client) -> Iterator[Client]:
    """Who does not have its token."""
    with Client(base_url=plain.base_url, timeout=30, verify=False) as client:
        yield client


def wait_for(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Return as soon as the condition holds."""
    end = monotonic() + seconds
    while not condition():
        assert monotonic() < end, "it did not happen in time"
        sleep(0.02)


def rows(client: Client, n: int) -> dict[str, dict]:
    """The rows of the list by name, once there are `n`."""

    def found() -> list[dict]:
        return client.get("/study/changes").json()["rows"]

    wait_for(lambda: len(found()) == n)
    return {row["name"]: row for row in found()}
