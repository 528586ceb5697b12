"""`python -m export positions`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def positions(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Finished runs; a photograph held out by several counts once.")
    ],
    data: Annotated[Path, typer.Option(help="ACNE04, for the boxes.")],
    part: Annotated[Literal["test", "val"], typer.Option(help="Which held-out photographs; test for runs on folds.")] = "test",
    out: Annotated[Path, typer.Option(help="Output: a patch for python -m export restamp.")] = Path("positions.json"),
) -> None:
    """Fit the threshold of positions on held-out photographs, and write it as a patch for manifests."""
    from acne_edge.evaluation.tables import to_json
    from export import positions as fitting

    print(to_json(fitting.positions(runs, data, part, out), indent=2))
