"""`acne-edge add-count`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from acne_edge.cli.options import open_record
from acne_edge.console import printable
from acne_edge.errors import UsageError


def add_count(
    record: Annotated[Path, typer.Argument(metavar="RECORD", help="A record that predict or watch has kept.")],
    photo: Annotated[
        str | None, typer.Argument(metavar="[PHOTO]", help="The photograph: its file, or its name or sha256 in the record.")
    ] = None,
    by: Annotated[str, typer.Option(metavar="READER", help="Who counted. A code tells less than a name.")] = "",
    count: Annotated[int | None, typer.Option(min=0, help="Lesions.")] = None,
    grade: Annotated[
        str | None, typer.Option(help="On the scale of the photograph's result: a name, or a number from 0.")
    ] = None,
    comment: Annotated[str, typer.Option(help="Anything else.")] = "",
    labels: Annotated[
        Path | None,
        typer.Option(
            "--list", metavar="LIST", help="Instead: many counts, in a list as `evaluate` reads it, by the record's names."
        ),
    ] = None,
) -> None:
    """Write what a person counted into a record, beside what the model did, chained like every other line."""
    from acne_edge.records.counts import Counted, from_list, meant

    if not by.strip():
        raise UsageError("--by READER says who counted")
    if labels is not None:
        if photo is not None or count is not None or grade is not None:
            raise UsageError("--list has photographs, counts and grades; give either it or PHOTO --count N")
        wanted = from_list(record, labels)
    elif photo is None or count is None:
        raise UsageError("add-count wants PHOTO --count N, or --list LIST")
    else:
        wanted = [Counted(photo, count, grade)]
    counts = meant(record, wanted)
    with open_record(record) as kept:
        assert kept is not None
        for count_of_one in counts:
            kept.add_count(*count_of_one, by=by, comment=comment)
    print(f"{record}: {len(counts)} {'count' if len(counts) == 1 else 'counts'} by {printable(by)} added")
