"""`python -m export familiarity` and `python -m export append`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def familiarity(
    run: Annotated[Path, typer.Argument(help="Finished run whose model files are to tell what they have not learned.")],
    folds: Annotated[
        list[Path],
        typer.Argument(metavar="FOLD...", help="Finished runs of its settings that held photographs out, for the threshold."),
    ],
    data: Annotated[Path, typer.Option(help="ACNE04 in the layout of its distribution.")],
    part: Annotated[Literal["test", "val"], typer.Option(help="What they held out: test, for a run on a fold.")] = "test",
    out: Annotated[Path, typer.Option(help="For python -m export append, or model.")] = Path("familiarity.npz"),
) -> None:
    """Fit how far a photograph's features lie from those learned, and the threshold beyond which it gets no grade.

    Takes minutes.
    """
    from acne_edge.evaluation.tables import to_json
    from export import familiarity as fitting

    fitted = fitting.fit(run, folds, data, part, out)
    print(to_json({"familiarity": vars(fitted.familiarity), **fitted.measured}, indent=2))


def append(
    fitted: Annotated[Path, typer.Argument(help="What python -m export familiarity wrote of the models' run.")],
    model: Annotated[list[str] | None, typer.Option(help="Shipped model (repeatable) [all of them].")] = None,
) -> None:
    """Put the output `unfamiliarity` into shipped models and list the new files; their other outputs stay what they are."""
    from acne_edge.fit.familiarity import FittedFamiliarity
    from export import familiarity as fitting

    print("\n".join(fitting.extend_shipped(FittedFamiliarity.load(fitted), model)))
