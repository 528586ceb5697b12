"""`acne-edge visit`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from acne_edge import console
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
from acne_edge.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGES = (".html", ".htm", ".pdf")


def visit(
    left: Annotated[Path, typer.Argument(metavar="LEFT", help="Photograph of the left side of the face.")],
    right: Annotated[Path, typer.Argument(metavar="RIGHT", help="Photograph of the right side.")],
    file: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Page to write, .html or .pdf.")],
    more: Annotated[
        list[Path] | None, typer.Argument(metavar="[VIEW]...", help="Further views, which are shown but not added to the count.")
    ] = None,
    title: Annotated[str, typer.Option(help="Heading of the page [Lesion count].")] = "",
    language: LanguageOption = "en",
    model: ModelOption = None,
    scale: ScaleOption = None,
    backend: BackendOption = "auto",
    threads: ThreadsOption = 0,
    strict: StrictOption = False,
) -> None:
    """Write a page about both sides of one face, to read, print and count again by hand; needs the extra report.

    It shows each view with marks, count, interval, grade and what to do better, leaves space for the doctor's own count, and adds
    both sides by a rule that it states. It holds nothing of the photographs but their pixels.
    """
    pages.check_target(file, PAGES)
    paths = [left, right, *(more or [])]
    _check(paths, file)
    from acne_edge.catalogue import load
    from acne_edge.files import write
    from acne_edge.report.page import pdf
    from acne_edge.report.visit import write_page

    with open_grader(model, backend, threads, strict, scale) as grader:
        views = [grader.predict(path) for path in paths]
        page = write_page(views[0], views[1], views[2:], grader.scale, load(language), title)
    write(file, pdf(page) if file.suffix.lower() == ".pdf" else page.encode())
    if all(view.abstained for view in views):
        console.complain("no photograph got a grade; the page says why")
        raise typer.Exit(5)


def _check(paths: Sequence[Path], file: Path) -> None:
    """Raises UsageError for photographs that are one, and for a page that would take the place of one."""
    real = [os.path.realpath(path) for path in paths]
    for number, path in enumerate(paths):
        if real[number] in real[:number]:
            raise UsageError(f"{path}: is given twice; a visit has a photograph of each side")
    if os.path.realpath(file) in real:
        raise UsageError(f"{file}: is one of the photographs; name another file for the page")
