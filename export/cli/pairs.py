"""`python -m export pairs`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def pairs(
    out_of_fold: Annotated[Path, typer.Argument(metavar="FILE", help="out_of_fold.npz of acne-edge crossval or refit.")],
    groups: Annotated[
        Path | None, typer.Option(help="CSV with the columns file and group [the committed groups of ACNE04].")
    ] = None,
    out: Annotated[Path, typer.Option(help="Output: a patch for python -m export restamp.")] = Path("pairs.json"),
    repeats: Annotated[int, typer.Option(min=0, help="Samples of the bootstrap over groups.")] = 1000,
) -> None:
    """Fit the interval of the difference of two counts on pairs of look-alikes, and write it as a patch for manifests.

    Printed, and in the patch, is how good it is on groups that it was not fitted on.
    """
    from acne_edge.evaluation.tables import to_json
    from export import pairs as fitting

    print(to_json(fitting.pairs(out_of_fold, groups, out, repeats), indent=2))
