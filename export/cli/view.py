"""`python -m export view`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def view(
    run: Annotated[Path, typer.Argument(help="Finished run whose model files are to tell close-ups.")],
    data: Annotated[Path, typer.Option(help="ACNE04 in the layout of its distribution.")],
    views: Annotated[Path, typer.Option(help="Views told by eye: CSV with file, view, part.")] = Path("experiments/views.csv"),
    out: Annotated[Path, typer.Option(help="For python -m export model.")] = Path("view.npz"),
    ship: Annotated[bool, typer.Option(help="Put the output into the shipped models too.")] = False,
) -> None:
    """Fit what tells close-ups from half faces, and judge it on photographs that it was not fitted on.

    Takes a minute.
    """
    from acne_edge.evaluation.tables import to_json
    from export import view as fitting

    fitted = fitting.fit(run, data, views, out)
    print(to_json({"close_up": vars(fitted.close_up), **fitted.measured}, indent=2))
    if ship:
        print("\n".join(fitting.extend_shipped(fitted)))
