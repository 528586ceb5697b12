"""`acne-edge evaluate`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from acne_edge import console
from acne_edge.cli import pages
from acne_edge.cli.options import (
    BackendOption,
    Document,
    Language,
    LanguageOption,
    ModelOption,
    OutputOption,
    StrictOption,
    ThreadsOption,
    open_grader,
)
from acne_edge.cli.output import Tally, destination
from acne_edge.errors import UsageError

if TYPE_CHECKING:
    from acne_edge.evaluation.labels import Label
    from acne_edge.evaluation.localisation import Boxes
    from acne_edge.grader import AcneGrader
    from acne_edge.prediction import Failure, Prediction

SHOWN = {  # figures of the table: title, and name in the report
    "grades right, %": "accuracy",
    "mean of the grades' recalls, %": "balanced_accuracy",
    "weighted kappa of the grade": "qwk",
    "count off by, lesions": "mae",
    "root mean square of that": "rmse",
    "counted too many, lesions": "bias",
    "agreement of the counts, ICC(2,1)": "icc",
    "intervals that hold the count, %": "interval_coverage",
    "without a grade, %": "abstained",
    "calibration error of the grade": "ece",
}


def evaluate(
    images: Annotated[Path, typer.Argument(metavar="DIR", help="Directory of the photographs.")],
    labels: Annotated[
        Path,
        typer.Argument(
            metavar="LIST",
            help="CSV with columns file, count and perhaps grade; or lines 'name grade count'; - reads either from stdin; "
            "or an annotated set, .json.",
        ),
    ],
    model: ModelOption = None,
    backend: BackendOption = "auto",
    threads: ThreadsOption = 0,
    strict: StrictOption = False,
    by: Annotated[str | None, typer.Option(help="For an annotated set: whose readings to use [the only one].")] = None,
    predictions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSV with one row per photograph: its label and its prediction.")
    ] = None,
    perturb: Annotated[
        bool,
        typer.Option(
            "--perturb", help="Also judge perturbed copies (noise, blur, JPEG, borders, screenshots ...); takes 24 times as long."
        ),
    ] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="HTML", help="Page to read and print, without faces; needs the extra report.")
    ] = None,
    language: LanguageOption = "en",
    faces: Annotated[
        bool, typer.Option("--faces", help="Show in the report the photographs that are counted worst, and their names.")
    ] = False,
    output: Annotated[
        Document | None, typer.Option("--format", "-f", help="Output format [table on a terminal, else json].")
    ] = None,
    file: OutputOption = None,
) -> None:
    """Measure a model on labelled photographs, exactly as a device runs it.

    Photographs that cannot be used are named on stderr, and the exit code is then 3. A warning is logged if the model has learned
    photographs of the list. The table shows the main figures with 95 % intervals; JSON has all of them. A figure that does not
    exist is a dash, or null in JSON, with the reason.
    """
    from acne_edge.evaluation.run import evaluate_list, read_set
    from acne_edge.evaluation.tables import to_json

    console.log_to_stderr()
    if faces and report is None:
        raise UsageError("--faces goes with --report, which is where they are shown")
    if report is not None:
        pages.check_target(report, (".html", ".htm"))
    output = output or ("table" if file is None and sys.stdout.isatty() else "json")
    if perturb:
        if predictions is not None or report is not None:
            raise UsageError("--predictions and --report cannot be combined with --perturb")
        with destination(file), open_grader(model, backend, threads, strict) as grader:
            _perturb(grader, images, labels, by, output)
        return
    tally, rows = Tally(), _Rows()
    with destination(file), open_grader(model, backend, threads, strict) as grader:
        found = evaluate_list(
            grader,
            images,
            labels,
            lambda results, n: tally.count(console.progress(iter(results), "evaluating", n)),
            by=by,
            each=rows.add,
        )
        print(to_json(found, indent=2) if output == "json" else "\n".join(_lines(found)))
        if report is not None:
            boxes = read_set(grader, images, labels, by) if faces else None
            _report(report, found, rows, grader, images, language, boxes)
    if predictions is not None:
        rows.write(predictions)
    if tally.failed:
        raise typer.Exit(3)


def _perturb(grader: AcneGrader, images: Path, labels: Path, by: str | None, output: str) -> None:
    """Print how steady the answers are under each perturbation."""
    from acne_edge.evaluation import perturb
    from acne_edge.evaluation.run import list_report, read_set
    from acne_edge.evaluation.tables import to_json

    known, _ = read_set(grader, images, labels, by)
    about = list_report(grader, images, labels, known)
    found = perturb.table(*perturb.judge([(grader, images, known)], progress=console.progress))
    if output == "json":
        print(to_json({"model": vars(grader.model), "list": about, "images": len(known), "rows": found}, indent=2))
        return
    print(f"{grader.model.name} {grader.model.version} on {grader.model.backend}: {len(known)} photographs")
    print("\n".join(perturb.lines(found)))


def _report(
    file: Path,
    found: dict[str, Any],
    rows: _Rows,
    grader: AcneGrader,
    images: Path,
    language: Language,
    labelled: tuple[list[Label], list[Boxes | None]] | None,
) -> None:
    """Write the page of `--report`; with faces if there is what is `labelled` in them."""
    from acne_edge.catalogue import load
    from acne_edge.files import write
    from acne_edge.report.study import Study, write_page

    study = Study(found, images, grader.scale, grader.manifest, pages.command())
    for label, result in rows.results:
        study.add(label, result)
    faces = None if labelled is None else {label.name: boxes for label, boxes in zip(*labelled, strict=True)}
    write(file, write_page(study, load(language), faces, console.progress).encode())


class _Rows:
    """CSV rows, one per photograph."""

    def __init__(self) -> None:
        self.results: list[tuple[Label, Prediction | Failure]] = []

    def add(self, label: Label, result: Prediction | Failure) -> None:
        """Take in one photograph."""
        self.results.append((label, result))

    def write(self, path: Path) -> None:
        """All rows as CSV. Raises AcneEdgeError if the file cannot be written."""
        import csv
        import io

        from acne_edge.files import write

        rows = [
            {"file": label.name, "true_count": label.count, "true_grade": label.grade, **result.to_row()}
            for label, result in self.results
        ]
        columns = dict.fromkeys(name for row in rows for name in row)
        text = io.StringIO()
        writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write(path, text.getvalue().encode(errors="surrogateescape"))


def _lines(report: dict[str, Any]) -> Iterator[str]:
    from acne_edge.evaluation.tables import cell

    model = report["model"]
    yield f"{model['name']} {model['version']} on {model['backend']}: {report['images']} photographs, {report['failed']} failed"
    yield f"{'':<36}value [95 % interval]"
    for title, name in SHOWN.items():
        why = report["notes"].get(f"figures.{name}.value")
        yield f"{title:<36}{cell(name, report['figures'][name])}" + (f"  ({why})" if why else "")
    ends = [(report["figures"][name]["low"], report["figures"][name]["high"]) for name in SHOWN.values()]
    if any(low is not None and low == high for low, high in ends):
        yield "An interval whose ends are equal says nothing: all photographs agree in that."
