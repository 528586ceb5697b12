"""`python -m export card`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def card(
    run: Annotated[Path, typer.Argument(help="Directory of the run on all photographs, with the results of the folds.")],
    out: Annotated[Path, typer.Option(help="The card.")] = Path("MODEL_CARD.md"),
    model: Annotated[str | None, typer.Option(help="Shipped model [the default].")] = None,
    settings: Annotated[
        list[Path] | None,
        typer.Option(help="The --config file of its training [experiments/settings/steady.yaml]; of an average, each."),
    ] = None,
    tables: Annotated[
        Path | None, typer.Option(help="Directory of the tables of acne-edge crossval [experiments/results].")
    ] = None,
) -> None:
    """Write the model card of a shipped model, which was trained on all photographs."""
    from export.card import SETTINGS, TABLES, write_card

    write_card(run, out, model, settings or [SETTINGS], tables or TABLES)
    print(out)
