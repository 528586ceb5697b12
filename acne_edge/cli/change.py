"""`acne-edge change`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from acne_edge import console
from acne_edge.cli import pages
from acne_edge.cli.options import (
    BackendOption,
    DocumentOption,
    LanguageOption,
    ModelOption,
    OutputOption,
    ScaleOption,
    StrictOption,
    ThreadsOption,
    open_grader,
)
from acne_edge.cli.output import Tally, destination
from acne_edge.followup.visits import PairBy, Paired, Visit

if TYPE_CHECKING:
    from acne_edge.followup.change import Change, Comparison
    from acne_edge.grader import AcneGrader

VISIT_HELP = "Folder or list (.txt) of photographs, one photograph, or saved results (.jsonl, .json, --save DIR, - for stdin)."


def change(
    baseline: Annotated[str, typer.Argument(metavar="BASELINE", help=f"First visit. {VISIT_HELP}")],
    followup: Annotated[str, typer.Argument(metavar="FOLLOWUP", help="Second visit, likewise.")],
    table: Annotated[
        Path | None,
        typer.Option("--pairs", metavar="CSV", help="Which photographs are one view: columns baseline, followup, view."),
    ] = None,
    by: Annotated[
        PairBy, typer.Option(help="Pair by name or by order; auto: by name if all have partners, else by order.")
    ] = "auto",
    model: ModelOption = None,
    scale: ScaleOption = None,
    backend: BackendOption = "auto",
    threads: ThreadsOption = 0,
    strict: StrictOption = False,
    report: Annotated[Path | None, typer.Option(metavar="HTML", help="Page to read and print; needs the extra report.")] = None,
    language: LanguageOption = "en",
    output: DocumentOption = "table",
    file: OutputOption = None,
) -> None:
    """Tell whether the lesions of one person changed between two visits by more than measurement error.

    For each view and in sum: the change with its interval, the probability of fewer lesions, the grades, and one verdict.
    Photographs of poor quality cannot be compared. The interval assumes that photographs which look alike behave like visits.
    """
    from acne_edge.followup.change import INCOMPARABLE, compare_visits
    from acne_edge.followup.visits import pair, read_visit

    if report is not None:
        pages.check_target(report, (".html", ".htm", ".pdf"))
    before, after = read_visit(baseline), read_visit(followup)
    paired = pair(before, after, by, table)
    tally = Tally()
    with destination(file), open_grader(model, backend, threads, strict, scale) as grader:
        first, second = (
            _results(visit, order, grader, tally) for visit, order in ((before, paired.baseline), (after, paired.followup))
        )
        known = _made_by(grader.model.sha256, [*first, *second])
        found = compare_visits(first, second, grader.manifest if known else None, paired.views)
        if not known:
            console.complain("the results are another model's than --model: its own figures for differences are not used")
        if output == "json":
            from acne_edge.evaluation.tables import to_json

            values = found.to_dict()
            print(to_json({**values, "pairing": {"by": paired.how, "without_partner": paired.left}}, indent=2))
        else:
            _print(found, paired)
        if report is not None:
            _report(report, found, paired, grader, language)
    if tally.failed:
        raise typer.Exit(3)
    if all(view.verdict == INCOMPARABLE for view in found.views):
        raise typer.Exit(5)


def _results(visit: Visit, order: list[int], grader: AcneGrader, tally: Tally) -> list[dict[str, Any]]:
    """The JSON form of each photograph's result, in the order of the pairs."""
    if visit.saved is not None:
        return [visit.saved[i] for i in order]
    return [result.to_dict() for result in tally.count(grader.predict_many([visit.paths[i] for i in order]))]


def _made_by(sha256: str, rows: list[dict[str, Any]]) -> bool:
    return all("error" in row or row.get("model", {}).get("sha256") == sha256 for row in rows)


def _print(found: Comparison, paired: Paired) -> None:
    views = (*found.views, *([found.total] if len(found.views) > 1 else []))
    console.table(("view", "lesions", "change", "interval", "%", "P(fewer)"), [_cells(view) for view in views])
    print()
    for view in views:
        print(f"{console.printable(view.view)}: {_verdict(view)}")
    print(
        f"\npaired by {paired.how}"
        + (f"; without partner: {', '.join(map(console.printable, paired.left))}" if paired.left else "")
    )
    for view in found.views:
        if view.before and view.after:
            print(f"  {console.printable(view.view)}: {_path(view.before.path)} -> {_path(view.after.path)}")
    print(_rule(found))


def _path(path: str | None) -> str:
    return console.printable(path or "-")


def _cells(view: Change) -> tuple[str, ...]:
    d = view.difference
    lesions = "-" if view.counts is None else f"{view.counts[0]:.1f} -> {view.counts[1]:.1f}"
    if d is None:
        return console.printable(view.view), lesions, "-", "-", "-", "-"
    percent = "-" if view.percent is None else f"{view.percent:+.0f}"
    fewer = "-" if d.fewer is None else f"{d.fewer:.2f}"
    return (
        console.printable(view.view),
        lesions,
        f"{d.change:+.1f}",
        f"{d.low:+d} to {d.high:+d}",
        percent,
        fewer,
    )


def _verdict(view: Change) -> str:
    why = ", ".join(f"{o.where}: {o.code.replace('_', ' ')}" for o in view.obstacles)
    grades = f"; {view.before.grade or '-'} -> {view.after.grade or '-'}" if view.before and view.after else ""
    return view.verdict + (f" ({why})" if view.difference is None else "") + grades


def _rule(found: Comparison) -> str:
    if found.fitted_on:
        return f"interval: 90 %, fitted on {found.fitted_on}"
    rows = {
        "a view": next((v for v in found.views if v.difference), None),
        "the sum": found.total if found.total.difference else None,
    }
    sure = ", ".join(f"{name} with at least {100 * v.difference.level:.0f} %" for name, v in rows.items() if v and v.difference)
    return f"interval: the two single intervals combined ({sure or 'none'}); the model has no figures for differences"


def _report(report: Path, found: Comparison, paired: Paired, grader: AcneGrader, language: str) -> None:
    from acne_edge.catalogue import load
    from acne_edge.files import write
    from acne_edge.report.change import write_page
    from acne_edge.report.page import pdf

    page = write_page(found, paired, grader.model, load(language))
    write(report, pdf(page) if report.suffix.lower() == ".pdf" else page.encode())
