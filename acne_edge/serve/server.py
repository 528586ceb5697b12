"""Listens, says where, and stops when it is told to, once what it has begun is done."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import ssl
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from acne_edge.errors import UsageError
from acne_edge.serve.settings import PORT, Settings

PATIENCE = 10  # seconds that requests have to end, when the server stops


class PortTakenError(UsageError):
    """Another program listens there."""


def listen(host: str, port: int | None = None) -> socket.socket:
    """A socket at the address; without a port at PORT, or at any if that is taken. Raises UsageError where there can be none."""
    if port is None:
        try:
            return listen(host, PORT)
        except PortTakenError:
            port = 0
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise UsageError(f"--host {host}: no such address on this machine ({error.strerror})") from error
    listening = socket.socket(family, socket.SOCK_STREAM)
    if sys.platform != "win32":  # where it would let another program listen at the same port
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
        listening.listen(128)  # now, so that who is told the address and is quick waits, and is not refused
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTakenError(f"port {port} at {host} is taken; choose another with --port, or 0 for a free one") from error
        raise UsageError(f"port {port} at {host} cannot be used ({error.strerror}); choose another with --port") from error
    return listening


def url(listening: socket.socket, settings: Settings, shown_token: bool = True) -> str:
    """What to open in a browser."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname(), "127.0.0.1": "localhost"}.get(host, host)
    host = f"[{host}]" if ":" in host else host
    token = f"?token={settings.token}" if settings.token and shown_token else ""
    return f"{'https' if settings.secure else 'http'}://{host}:{port}/{token}"


def run(
    app: FastAPI,
    listening: socket.socket,
    certificate: tuple[Path, Path] | None = None,
    stopping: Callable[[], None] = lambda: None,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGINT or SIGTERM. `stopping` is called at once then, before requests have ended.

    `ready` is called once a signal ends the server well; whoever is told the address by it may send one.
    """
    server = configured(app, certificate)

    def stop(*_: object) -> None:
        server.force_exit = server.should_exit  # a second one does not wait
        server.should_exit = True
        stopping()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    ready()
    asyncio.run(_serve(server, listening))


async def _serve(server: uvicorn.Server, listening: socket.socket) -> None:
    await server.serve([listening])
    if server.force_exit:  # where uvicorn leaves the application running, which asyncio would then cancel, with a traceback
        await server.lifespan.shutdown()


def configured(app: FastAPI, certificate: tuple[Path, Path] | None = None) -> uvicorn.Server:
    """The server, which ends when its `should_exit` is set."""
    options: dict[str, Any] = {}
    if certificate:
        options = {"ssl_certfile": str(certificate[0]), "ssl_keyfile": str(certificate[1])}
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,  # addresses hold the token
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=PATIENCE,
        **options,
    )
    server = uvicorn.Server(config)
    server.capture_signals = nullcontext  # type: ignore[method-assign, assignment]  # which would end the process by the signal
    return server


def check(certificate: Path, key: Path) -> None:
    """Raise UsageError for a certificate or key that cannot be used."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except OSError as error:  # ssl.SSLError is one
        raise UsageError(f"{certificate}, {key}: no certificate and its key, as PEM files ({error.strerror or error})") from error
