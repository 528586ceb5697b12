"""`python -m export restamp`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def restamp(
    patch: Annotated[Path | None, typer.Argument(help="JSON merge patch (RFC 7396) of manifest fields.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="Shipped model (repeatable) [all of them].")] = None,
    run: Annotated[
        Path | None, typer.Option(help="Run that the models come from: put in fingerprints of what it learned; with --data.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="ACNE04 in the layout of its distribution; with --run.")] = None,
) -> None:
    """Change fields in shipped models' manifests and update the index; graphs and weights do not change.

    `acne-edge evaluate` uses the fingerprints to recognise photographs that a model has learned.
    """
    from acne_edge.errors import UsageError
    from export import restamp as stamp

    if (run is None) != (data is None):
        raise UsageError("--run RUN and --data ACNE04 go together")
    if patch is None and run is None:
        raise UsageError("restamp wants a patch, or --run RUN and --data ACNE04")
    print("\n".join(stamp.restamp(patch, model, run, data)))
