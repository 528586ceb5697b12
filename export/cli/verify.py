"""`python -m export verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from acne_edge import console


def verify(
    run: Annotated[Path, typer.Argument(help="Directory of a training run.")],
    files: Annotated[list[Path], typer.Option("--model", help="Model files to compare with the checkpoint (repeatable).")],
    data: Annotated[Path | None, typer.Option(help="ACNE04, for photographs of the run's validation or training list.")] = None,
    number: Annotated[int, typer.Option(min=1, help="Photographs.")] = 32,
    with_engine: Annotated[bool, typer.Option("--engine", help="Run the models in TensorRT too, on this machine's GPU.")] = False,
) -> None:
    """Compare each output of model files with the checkpoint's, on photographs and on adversarial images.

    On failure, names the first layer that diverges. Takes seconds per file.
    """
    from acne_edge.errors import ModelError
    from export.verify import compare

    verdicts = compare(run, files, data, number, with_engine)
    console.table(
        ("model", "images", "output", "difference", "at most", ""),
        [
            (verdict.version, row.images, row.output, f"{row.difference:.2e}", f"{row.tolerance:g}", "ok" if row.ok else "FAILS")
            for verdict in verdicts
            for row in verdict.rows
        ],
    )
    if failures := [verdict.failure for verdict in verdicts if verdict.failure]:
        raise ModelError("; ".join(failures))
