"""`python -m export abstention`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def abstention(
    predictions: Annotated[Path, typer.Argument(help="out_of_fold.npz of acne-edge crossval or refit.")],
    out: Annotated[Path, typer.Option(help="Output: a patch for python -m export restamp.")] = Path("abstention.json"),
) -> None:
    """Fit the probability below which no grade is given, write it as a patch for manifests, and print what that gains.

    Takes minutes. Photographs are judged by thresholds that were fitted on others.
    """
    from export import abstention as fitting

    print(fitting.table(fitting.abstention(predictions, out)))
