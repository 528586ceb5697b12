"""`python -m export restamp`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def restamp(
    patch: Annotated[Path, typer.Argument(help="JSON merge patch (RFC 7396) of manifest fields.")],
    model: Annotated[list[str] | None, typer.Option(help="Shipped model (repeatable) [all of them].")] = None,
) -> None:
    """Change fields in the manifests of shipped models and list the new files; graphs and weights stay as they are."""
    from export import restamp as stamp

    print("\n".join(stamp.restamp(patch, model)))
