"""`acne-edge evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from acne_edge.cli.options import BackendOption, ModelOption, StrictOption, ThreadsOption, open_grader


def evaluate(
    images: Annotated[Path, typer.Argument(help="Directory of the photographs.")],
    labels: Annotated[Path, typer.Argument(metavar="LIST", help="List file: 'name grade count' a line.")],
    model: ModelOption = None,
    backend: BackendOption = "auto",
    threads: ThreadsOption = 0,
    strict: StrictOption = False,
) -> None:
    """Measure a model on labelled photographs, the way a device runs it; prints JSON."""
    from acne_edge.evaluation.run import evaluate_list

    with open_grader(model, backend, threads, strict) as grader:
        print(json.dumps(evaluate_list(grader, images, labels), indent=2))
