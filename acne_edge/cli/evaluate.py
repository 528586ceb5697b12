"""`acne-edge evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from acne_edge import console
from acne_edge.cli.options import BackendOption, ModelOption, StrictOption, ThreadsOption, open_grader
from acne_edge.cli.output import Tally


def evaluate(
    images: Annotated[Path, typer.Argument(help="Directory of the photographs.")],
    labels: Annotated[
        Path, typer.Argument(metavar="LIST", help="List file, 'name grade count' a line; or an annotated set, .json.")
    ],
    model: ModelOption = None,
    backend: BackendOption = "auto",
    threads: ThreadsOption = 0,
    strict: StrictOption = False,
    by: Annotated[str | None, typer.Option(help="Of an annotated set: whose readings [there is one a photograph].")] = None,
) -> None:
    """Measure a model on labelled photographs, the way a device runs it; prints JSON.

    Photographs that cannot be used are named on stderr, and the exit code is then 3. A warning says so if the model has learned
    this very list. A figure that does not exist is null, and `notes` say why.
    """
    from acne_edge.evaluation.run import evaluate_list
    from acne_edge.evaluation.tables import to_json

    console.log_to_stderr()
    tally = Tally()
    with open_grader(model, backend, threads, strict) as grader:
        report = evaluate_list(
            grader, images, labels, lambda results, n: tally.count(console.progress(iter(results), "evaluating", n)), by=by
        )
    print(to_json(report, indent=2))
    if tally.failed:
        raise typer.Exit(3)
