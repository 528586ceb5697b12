"""`acne-edge track`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from acne_edge.cli import pages
from acne_edge.cli.options import (
    BackendOption,
    LanguageOption,
    ModelOption,
    ScaleOption,
    StrictOption,
    ThreadsOption,
    open_grader,
)
from acne_edge.cli.output import Tally
from acne_edge.errors import UsageError


def track(
    visits: Annotated[
        Path, typer.Argument(metavar="VISITS", help="CSV with the columns patient, date, view, file, event; - for stdin.")
    ],
    file: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Page to write, .html or .pdf.")],
    patient: Annotated[str | None, typer.Option(help="Whose rows [the only patient].")] = None,
    pictures: Annotated[
        bool, typer.Option("--pictures", help="Show the photographs with marks; the page then shows a face.")
    ] = False,
    language: LanguageOption = "en",
    model: ModelOption = None,
    scale: ScaleOption = None,
    backend: BackendOption = "auto",
    threads: ThreadsOption = 0,
    strict: StrictOption = False,
) -> None:
    """Write a page about one patient over time, to read and print; needs the extra report.

    For each view a chart of the counts with intervals, grades and events, and a table that says of each visit whether it differs
    from the first by more than measurement error. A row of the table has a file, or an event such as the start of a treatment.
    """
    pages.check_target(file, (".html", ".htm", ".pdf"))
    from acne_edge.catalogue import load
    from acne_edge.files import write
    from acne_edge.followup.timeline import read_timeline
    from acne_edge.report.page import pdf
    from acne_edge.report.track import write_page

    timeline = read_timeline(visits, patient)
    paths = [photograph.path for photograph in timeline.photographs]
    if os.path.realpath(file) in [os.path.realpath(path) for path in (*paths, str(visits))]:
        raise UsageError(f"{file}: is read for the page; name another file for it")
    tally = Tally()
    with open_grader(model, backend, threads, strict, scale) as grader:
        results = list(tally.count(grader.predict_many(paths)))
        page = write_page(timeline, results, grader.scale, grader.manifest, load(language), pictures)
    write(file, pdf(page) if file.suffix.lower() == ".pdf" else page.encode())
    if tally.exit_code:
        raise typer.Exit(tally.exit_code)
