"""`acne-edge serve`."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from acne_edge import console
from acne_edge.cli.options import BackendOption, ModelOption, QualityOption, ScaleOption, StrictOption, open_grader
from acne_edge.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from acne_edge.serve.settings import Settings
    from acne_edge.serve.store import Store

TOKEN = "ACNE_EDGE_TOKEN"


def serve(
    directory: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Photographs to look at; what is added goes here too [memory alone].")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen at; others than the machine's own let the network in.")
    ] = "localhost",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8642,
    name: Annotated[
        list[str] | None, typer.Option(help="A further name by which browsers call the server; may be given several times.")
    ] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM file; with --tls-key, serve over https.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of the certificate's key.")] = None,
    no_token: Annotated[bool, typer.Option("--no-token", help="Ask for no token; on the machine's own address only.")] = False,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    store: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where corrections are kept [acne-edge.sqlite in DIR; else nowhere]."),
    ] = None,
    blind: Annotated[bool, typer.Option("--blind", help="Show what the model says only after the reader has counted.")] = False,
    workers: Annotated[int, typer.Option(min=0, help="Photographs predicted at once; 0: one for each processor.")] = 0,
    queue: Annotated[int, typer.Option(min=1, help="Requests that may run or wait; further ones get 429.")] = 64,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds after which a request gets 503.")] = 30.0,
    max_megabytes: Annotated[float, typer.Option(min=0.001, max=200.0, help="Of one photograph; larger ones get 413.")] = 32.0,
    model: ModelOption = None,
    scale: ScaleOption = None,
    backend: BackendOption = "auto",
    strict: StrictOption = False,
    on_poor_quality: QualityOption = "warn",
) -> None:
    """Serve a page on which people look at photographs and correct marks, and a REST interface, until SIGINT or SIGTERM.

    Needs the extra `serve`. The page's address is printed with a token, without which nobody gets in; ACNE_EDGE_TOKEN sets one.
    """
    try:
        from acne_edge.serve import app, server
        from acne_edge.serve.engine import Engine
        from acne_edge.serve.settings import Settings, is_loopback, own_names
        from acne_edge.serve.study import Study
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
    )
    if certificate:
        server.check(*certificate)
    console.log_to_stderr()
    with closing(_store(directory, store)) as kept, closing(server.listen(host, port)) as listening:
        grader = open_grader(model, backend, 1, strict, scale, on_poor_quality)
        grader.warmup()
        engine = Engine(grader, workers, queue)
        study = Study(directory, kept, engine, blind)
        _say(server.url(listening, settings, TOKEN not in os.environ), settings, not is_loopback(host), directory)
        if open_browser:
            import webbrowser

            webbrowser.open(server.url(listening, settings))
        server.run(app.create(study, settings), listening, certificate, engine.drain)


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


def _say(url: str, settings: Settings, network: bool, directory: Path | None) -> None:
    print(url, flush=True)
    if network and not settings.secure:
        console.complain("whoever is on the way can read token and photographs: serve over TLS, or behind a proxy that does")
    if directory is None:
        console.complain("no folder: photographs and corrections are gone when this ends")
    console.complain("Ctrl-C ends it")
