"""`acne-edge drift`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from acne_edge import console
from acne_edge.cli import pages
from acne_edge.cli.options import DocumentOption, LanguageOption, ModelOption, OutputOption, not_stdin
from acne_edge.cli.output import destination
from acne_edge.errors import UsageError

if TYPE_CHECKING:
    from acne_edge.records.drift import Drift, Look, Result
    from acne_edge.reference import Reference

DRIFTED = 7  # exit code


def drift(
    files: Annotated[
        list[str],
        typer.Argument(metavar="RECORD...", help="Records, saved results (.jsonl, .json) or folders of --save, oldest first."),
    ],
    model: ModelOption = None,
    reference: Annotated[
        str | None, typer.Option(metavar="RECORD", help="Compare with these earlier results instead of the model's reference.")
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="A look: week, file, or a number of photographs [week where times are known, else file].")
    ] = None,
    one_a_folder: Annotated[
        bool, typer.Option("--one-a-folder", help="A folder is a person: compare one photograph of each a look.")
    ] = False,
    last: Annotated[int, typer.Option(min=0, help="Show and judge only the last looks; 0: all.")] = 0,
    report: Annotated[Path | None, typer.Option(metavar="HTML", help="Page to read and print; needs the extra report.")] = None,
    language: LanguageOption = "en",
    output: DocumentOption = "table",
    file: OutputOption = None,
) -> None:
    """Tell whether newer photographs still look like those that the model's constants were fitted on (extra `drift`).

    Each week's quality scores, familiarity and counts are compared with the reference. At most 5 in 100 series of twelve looks
    give a false alarm. Exit code 7: something drifted in a look that is shown.
    """
    from dataclasses import replace

    from acne_edge.records.drift import compare, read_results

    if report is not None:
        pages.check_target(report, (".html", ".htm", ".pdf"))
    look = _by(by)
    for name in files:
        not_stdin(name, "RECORD")
    results = [result for name in files for result in read_results(name)]
    known, model_name = _reference(results, model, reference)
    found = compare(results, known, look, one_a_folder)
    if last:
        found = replace(found, looks=found.looks[-last:])
    with destination(file):
        if output == "json":
            from acne_edge.evaluation.tables import to_json

            print(to_json(found.to_dict(), indent=2))
        else:
            _print(found)
    if report is not None:
        from acne_edge.catalogue import load
        from acne_edge.files import write
        from acne_edge.report.drift import write_page
        from acne_edge.report.page import pdf

        page = write_page(found, model_name, load(language))
        write(report, pdf(page) if report.suffix.lower() == ".pdf" else page.encode())
    if found.alarm:
        raise typer.Exit(DRIFTED)


def _by(text: str | None) -> str | int | None:
    if text is None or text in ("week", "file"):
        return text
    if text.isascii() and text.isdecimal() and 0 < int(text) < 10**9:
        return int(text)
    raise UsageError(f"--by {text}: expected week, file, or a number of photographs")


def _reference(results: list[Result], model: str | None, earlier: str | None) -> tuple[Reference, str]:
    """The reference, and the name and version of the model whose results are compared. Raises UsageError, ModelError."""
    from acne_edge.records.drift import check_model, read_results, reference_of

    if earlier is not None:
        first = read_results(earlier)
        made_by = next((result.model for result in first if result.model is not None), ("", ""))
        check_model([*first, *results], made_by)
        return reference_of(first, earlier), " ".join(made_by)
    from acne_edge.manifest import Manifest
    from acne_edge.models import load_model
    from acne_edge.onnx_file import manifest_text

    not_stdin(model, "--model")
    source = load_model(model)
    manifest = Manifest.from_json(manifest_text(source.data) or "")
    if manifest.reference is None:
        raise UsageError(f"{source.name}: has no reference; adapt writes one, or name earlier results with --reference RECORD")
    check_model(results, (manifest.name, manifest.version))
    return manifest.reference, f"{manifest.name} {manifest.version}"


def _print(found: Drift) -> None:
    console.table(
        ("look", "new", "compared", "failed", "verdict", "drifted: median, reference, distance"),
        [
            (console.printable(look.name), str(look.new), str(look.photographs), str(look.failed), look.verdict, _shifts(look))
            for look in found.looks
        ],
    )
    print(f"\n{found.verdict}: {found.advice}")
    print(f"reference: {console.printable(found.reference.fitted_on)}")


def _shifts(look: Look) -> str:
    return (
        "; ".join(f"{s.measure} {s.median:g}, {s.reference_median:g}, {s.distance:.2f}" for s in look.shifts if s.drifted) or "-"
    )
