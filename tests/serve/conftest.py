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


@pytest.fixture
def serve(single: AcneGrader, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start servers: `serve(folder, limit=...)` is a client of one, with its token. `client.study` is what it serves."""
    monkeypatch.setattr(single, "close", lambda: None)  # it is the next test's too
    running: list[tuple[Client, uvicorn.Server, Thread]] = []

    def start(folder: Path | None = None, *, known: bool = True, **limits: object) -> Client:
        settings = Settings(**{"token": TOKEN, "workers": 1, **limits})  # type: ignore[arg-type]
        engine = Engine(single, settings.workers, settings.places)
        study = Study(folder, Store(folder / NAME if folder else None), engine, settings.blind)
        listening = server.listen("127.0.0.1", 0)
        serving = server.configured(app.create(study, settings))
        thread = Thread(target=asyncio.run, args=(serving.serve([listening]),))
        thread.start()
        client = Client(base_url=server.url(listening, settings, shown_token=False), timeout=30, verify=False)
        client.study = study
        if known:
            client.headers["Authorization"] = f"Bearer {TOKEN}"
        running.append((client, serving, thread))
        return client

    yield start
    for client, serving, thread in running:
        client.close()
        client.study.engine.drain()
        serving.should_exit = True
        thread.join()


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
