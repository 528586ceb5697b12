"""`python -m export reference`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def reference(
    out_of_fold: Annotated[Path, typer.Argument(metavar="FILE", help="out_of_fold.npz of acne-edge crossval or refit.")],
    data: Annotated[Path, typer.Option(help="ACNE04 in the layout of its distribution.")],
    out: Annotated[Path, typer.Option(help="Output: a patch for python -m export restamp.")] = Path("reference.json"),
) -> None:
    """Describe the photographs that a model's constants were fitted on, as a patch for manifests; `acne-edge drift` reads it.

    `python -m export model` does the same for new models.
    """
    from export import reference as describing

    made = describing.reference(out_of_fold, data, out)
    print(f"{out}: {made.photographs} photographs, {', '.join(made.values)}")
