"""`python -m export restamp`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def restamp(
    patch: Annotated[Path, typer.Argument(help="JSON merge patch (RFC 7396) of manifest fields.")],
    model: Annotated[list[str] | None, typer.Option(help="Shipped model (repeatable) [all of them].")] = None,
) -> None:
    """Change fields in shipped models' manifests and update the index; graphs and weights do not change."""
    from export import restamp as stamp

    print("\n".join(stamp.restamp(patch, model)))
