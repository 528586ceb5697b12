"""`python -m export evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from calibration import Method


def evaluate(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Finished runs, measured together.")],
    data: Annotated[Path, typer.Option(help="ACNE04 in the layout of its distribution.")],
    out: Annotated[Path, typer.Option(help="JSON results.")],
    part: Annotated[Literal["test", "val"], typer.Option(help="Which held-out photographs.")] = "test",
    method: Annotated[Method, typer.Option(help="How to choose activation ranges.")] = "minmax",
    reduce_range: Annotated[bool, typer.Option(help="7-bit weights, for processors without VNNI.")] = True,
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for each run's INT8 file for CPUs and its outputs.")
    ] = None,
) -> None:
    """Quantise runs as `model` does at first, and measure them on the photographs that each held out.

    Calibration crops come from each run's training photographs. No version is chosen by its result, and no layer is left in
    float. Takes minutes per run.
    """
    from acne_edge.evaluation.tables import to_json
    from acne_edge.files import write
    from acne_edge.training.studies.compare import markdown
    from export import evaluate as judge

    results = judge.evaluate(runs, data, part, method, reduce_range, keep)
    write(out, (to_json(results) + "\n").encode())
    print(markdown(results))
