"""`acne-edge serve`."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from acne_edge import console
from acne_edge.cli.options import (
    BackendOption,
    ModelOption,
    QualityOption,
    ScaleOption,
    StrictOption,
    UnfamiliarOption,
    open_grader,
)
from acne_edge.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    import socket

    from acne_edge.grader import AcneGrader
    from acne_edge.serve.settings import Settings
    from acne_edge.serve.store import Store

TOKEN = "ACNE_EDGE_TOKEN"


def serve(
    directory: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="Folder of photographs; those added on the page go here too [in memory]."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at; localhost admits this machine alone.")] = "localhost",
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0 takes a free one [8642, or a free one].")] = None,
    name: Annotated[
        list[str] | None, typer.Option(help="Further name by which browsers call the server; repeat it for several.")
    ] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="Certificate, a PEM file, to serve over https.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Key of the certificate, a PEM file.")] = None,
    no_token: Annotated[
        bool, typer.Option("--no-token", help="Let in whoever is on this machine; not with another --host.")
    ] = False,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    store: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File that keeps corrections [acne-edge.sqlite in DIR]."),
    ] = None,
    blind: Annotated[bool, typer.Option("--blind", help="Hide the model's result until the reader has counted.")] = False,
    workers: Annotated[int, typer.Option(min=0, help="Photographs predicted at once; 0 means one per processor.")] = 0,
    queue: Annotated[int, typer.Option(min=1, help="Most requests that may run or wait; more get 429.")] = 64,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds a request may take; after them it gets 503.")] = 30.0,
    max_megabytes: Annotated[
        float, typer.Option(min=0.001, max=200.0, help="Largest photograph, in MB; a larger one gets 413.")
    ] = 32.0,
    model: ModelOption = None,
    scale: ScaleOption = None,
    backend: BackendOption = "auto",
    strict: StrictOption = False,
    on_poor_quality: QualityOption = "warn",
    on_unfamiliar: UnfamiliarOption = None,
) -> None:
    """Serve a page for reviewing photographs and correcting marks, and a REST interface, until SIGINT or SIGTERM.

    Needs the extra `serve`. It prints the page's address, with a token that lets you in; ACNE_EDGE_TOKEN sets one of your own.
    """
    try:
        from acne_edge.serve import app, server  # noqa: F401  # needs all that the extra brings
        from acne_edge.serve.settings import Settings, is_loopback, own_names
    except ImportError as error:
        raise MissingExtraError(error.name or "FastAPI", "serve", "the server") from error

    if directory is not None and not directory.is_dir():
        raise UsageError(f"{directory}: no such folder")
    if no_token and not is_loopback(host):
        raise UsageError(f"--no-token would let everybody in who reaches {host}; leave one of the two out")
    if (tls_certificate is None) != (tls_key is None):
        raise UsageError("--tls-certificate and --tls-key are given together")
    certificate = None if tls_certificate is None or tls_key is None else (tls_certificate, tls_key)
    settings = Settings(
        **_token(no_token),
        names=own_names(host, tuple(name or ())),
        max_bytes=int(max_megabytes * 1e6),
        places=queue,
        workers=workers,
        timeout=timeout,
        blind=blind,
        secure=certificate is not None,
        network=not is_loopback(host),
    )
    if certificate:
        server.check(*certificate)
    console.log_to_stderr()
    with closing(_store(directory, store)) as kept, closing(server.listen(host, port)) as listening:
        grader = open_grader(model, backend, 1, strict, scale, on_poor_quality, on_unfamiliar)
        _run(grader, directory, kept, settings, listening, certificate, open_browser)


def _run(
    grader: AcneGrader,
    directory: Path | None,
    kept: Store,
    settings: Settings,
    listening: socket.socket,
    certificate: tuple[Path, Path] | None,
    open_browser: bool,
) -> None:
    """Serve until a signal. Everything is closed then."""
    from acne_edge.serve import app, server
    from acne_edge.serve.engine import Engine
    from acne_edge.serve.study import Study

    grader.warmup()
    engine = Engine(grader, settings.workers, settings.places)
    study = Study(directory, kept, engine, settings.blind)

    def ready() -> None:
        _say(server.url(listening, settings, TOKEN not in os.environ), settings, directory)
        if open_browser:
            import webbrowser

            webbrowser.open(server.url(listening, settings))

    try:
        server.run(app.create(study, settings), listening, certificate, engine.drain, ready)
    finally:  # a signal may come before the application has started, which else closes them
        study.close()
        engine.close()


def _token(no_token: bool) -> dict[str, str | None]:
    """The token, where it is not one drawn at random."""
    if no_token:
        return {"token": None}
    given = os.environ.get(TOKEN)
    if given is None:
        return {}
    if len(given) < 16 or not given.isascii() or not given.isprintable() or set(given) & set(' ";,\\'):
        raise UsageError(f'{TOKEN}: expected at least 16 letters, digits and signs, without blanks and any of ";,\\')
    return {"token": given}


def _store(directory: Path | None, store: Path | None) -> Store:
    from acne_edge.serve.store import NAME, Store

    if store is None and directory is not None:
        store = directory / NAME
        if not store.exists() and not os.access(directory, os.W_OK):
            raise UsageError(f"{directory}: may not be written to; name a file for corrections with --store")
    return Store(store)


def _say(url: str, settings: Settings, directory: Path | None) -> None:
    print(url, flush=True)
    if settings.network and not settings.secure:
        console.complain("whoever is on the way can read token and photographs: serve over TLS, or behind a proxy that does")
    if directory is None:
        console.complain("no folder: photographs and corrections are gone when this ends")
    console.complain("Ctrl-C ends it")
