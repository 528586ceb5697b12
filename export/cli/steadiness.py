"""`python -m export steadiness`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def steadiness(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Finished runs on folds, measured together.")],
    data: Annotated[Path, typer.Option(help="ACNE04 in the layout of its distribution.")],
    out: Annotated[Path, typer.Option(help="JSON results.")],
    part: Annotated[Literal["test", "val"], typer.Option(help="Which held-out photographs.")] = "test",
    every: Annotated[int, typer.Option(min=1, help="Judge each n-th photograph of a run's list only.")] = 1,
) -> None:
    """Judge perturbed copies of what runs held out, as acne-edge evaluate --perturb does, each by a run that has not learned it.

    Takes a minute for 10 photographs.
    """
    from acne_edge import console
    from acne_edge.evaluation import perturb
    from acne_edge.evaluation.tables import to_json
    from acne_edge.files import write
    from export import steadiness as judge

    results = judge.steadiness(runs, data, part, every, console.progress)
    write(out, (to_json(results, indent=2) + "\n").encode())
    print(f"folds {', '.join(map(str, results['runs']))}: {results['images']} photographs")
    print("\n".join(perturb.lines(results["rows"])))
