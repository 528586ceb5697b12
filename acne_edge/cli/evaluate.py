"""`acne-edge evaluate`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from acne_edge import console
from acne_edge.cli.options import (
    BackendOption,
    DocumentOption,
    ModelOption,
    OutputOption,
    StrictOption,
    ThreadsOption,
    open_grader,
)
from acne_edge.cli.output import Tally, destination


def evaluate(
    images: Annotated[Path, typer.Argument(help="Directory of the photographs.")],
    labels: Annotated[Path, typer.Argument(metavar="LIST", help="List file: 'name grade count' a line.")],
    model: ModelOption = None,
    backend: BackendOption = "auto",
    threads: ThreadsOption = 0,
    strict: StrictOption = False,
    output: DocumentOption = "json",
    file: OutputOption = None,
) -> None:
    """Measure a model on labelled photographs, the way a device runs it.

    Photographs that cannot be used are named on stderr, and the exit code is then 3. A warning says so if the model has learned
    this very list. A figure that does not exist is null, and `notes` say why.
    """
    from acne_edge.evaluation.run import evaluate_list
    from acne_edge.evaluation.tables import to_json

    console.log_to_stderr()
    tally = Tally()
    with destination(file), open_grader(model, backend, threads, strict) as grader:
        report = evaluate_list(
            grader, images, labels, lambda results, n: tally.count(console.progress(iter(results), "evaluating", n))
        )
        print(to_json(report, indent=2) if output == "json" else "\n".join(_lines(report)))
    if tally.failed:
        raise typer.Exit(3)


def _lines(report: dict[str, Any]) -> Iterator[str]:
    from acne_edge.evaluation.tables import cell

    model = report["model"]
    yield f"{model['name']} {model['version']} on {model['backend']}: {report['images']} photographs, {report['failed']} failed"
    yield f"{'figure':<28}value [95 % interval]"
    for name, figure in report["figures"].items():
        why = report["notes"].get(f"figures.{name}.value")
        yield f"{name:<28}{cell(name, figure)}" + (f"  ({why})" if why else "")
