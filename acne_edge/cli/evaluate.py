"""`acne-edge evaluate`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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

if TYPE_CHECKING:
    from acne_edge.evaluation.labels import Label
    from acne_edge.prediction import Failure, Prediction

SHOWN = {  # in the table: what a figure is called there, and its name in the report
    "grades right, %": "accuracy",
    "mean of the grades' recalls, %": "balanced_accuracy",
    "weighted kappa of the grade": "qwk",
    "count off by, lesions": "mae",
    "root mean square of that": "rmse",
    "counted too many, lesions": "bias",
    "agreement of the counts, ICC(2,1)": "icc",
    "intervals that hold the count, %": "interval_coverage",
    "calibration error of the grade": "ece",
}


def evaluate(
    images: Annotated[Path, typer.Argument(help="Directory of the photographs.")],
    labels: Annotated[
        Path,
        typer.Argument(
            metavar="LIST",
            help="CSV with the columns file, count and perhaps grade; 'name grade count' a line; or an annotated set, .json.",
        ),
    ],
    model: ModelOption = None,
    backend: BackendOption = "auto",
    threads: ThreadsOption = 0,
    strict: StrictOption = False,
    by: Annotated[str | None, typer.Option(help="Of an annotated set: whose readings [there is one a photograph].")] = None,
    predictions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSV with a row a photograph: label and prediction beside each other.")
    ] = None,
    output: DocumentOption = "table",
    file: OutputOption = None,
) -> None:
    """Measure a model on labelled photographs, the way a device runs it.

    Photographs that cannot be used are named on stderr, and the exit code is then 3. A warning says so if the model has learned
    this very list. The table shows the figures that matter most, with 95 % intervals; --format json has all of them. A figure
    that does not exist is a dash, or null, with the reason.
    """
    from acne_edge.evaluation.run import evaluate_list
    from acne_edge.evaluation.tables import to_json

    console.log_to_stderr()
    tally, rows = Tally(), _Rows()
    with destination(file), open_grader(model, backend, threads, strict) as grader:
        report = evaluate_list(
            grader,
            images,
            labels,
            lambda results, n: tally.count(console.progress(iter(results), "evaluating", n)),
            by=by,
            each=rows.add,
        )
        print(to_json(report, indent=2) if output == "json" else "\n".join(_lines(report)))
    if predictions is not None:
        rows.write(predictions)
    if tally.failed:
        raise typer.Exit(3)


class _Rows:
    """A row a photograph."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []

    def add(self, label: Label, result: Prediction | Failure) -> None:
        """Take in one photograph."""
        self._rows.append({"file": label.name, "true_count": label.count, "true_grade": label.grade, **result.to_row()})

    def write(self, path: Path) -> None:
        """All rows as CSV. Raises AcneEdgeError if the file cannot be written."""
        import csv
        import io

        from acne_edge.files import write

        columns = dict.fromkeys(name for row in self._rows for name in row)
        text = io.StringIO()
        writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        write(path, text.getvalue().encode(errors="surrogateescape"))


def _lines(report: dict[str, Any]) -> Iterator[str]:
    from acne_edge.evaluation.tables import cell

    model = report["model"]
    yield f"{model['name']} {model['version']} on {model['backend']}: {report['images']} photographs, {report['failed']} failed"
    yield f"{'':<36}value [95 % interval]"
    for title, name in SHOWN.items():
        why = report["notes"].get(f"figures.{name}.value")
        yield f"{title:<36}{cell(name, report['figures'][name])}" + (f"  ({why})" if why else "")
