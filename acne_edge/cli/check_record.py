"""`acne-edge check-record`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from acne_edge import console
from acne_edge.cli.options import DocumentOption
from acne_edge.errors import UsageError

if TYPE_CHECKING:
    from acne_edge.records.check import Checked
    from acne_edge.records.rerun import Again

CHANGED = 6  # exit code: the record, or a result, is not what it was
SHOWN = 20  # faults, or differences; JSON has all
HASH_DIGITS = 64
CANNOT = """\
A chain cannot show that the whole file was rewritten, or that lines at its
end were cut off. File the head elsewhere; --head HASH compares with it later."""


def check_record(
    record: Annotated[Path, typer.Argument(metavar="RECORD", help="A record that predict or watch has kept.")],
    head: Annotated[str | None, typer.Option(metavar="HASH", help="A head that was filed earlier: a line must have it.")] = None,
    rerun: Annotated[bool, typer.Option("--rerun", help="Predict again the photographs that lie where they lay.")] = False,
    photos: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Predict again those that lie there, found by their sha256.")
    ] = None,
    model: Annotated[Path | None, typer.Option(metavar="FILE", help="With those two: a model that is not shipped.")] = None,
    consort: Annotated[
        bool, typer.Option("--consort", help="Instead: draft the items of CONSORT-AI that a record can fill, in Markdown.")
    ] = False,
    output: DocumentOption = "table",
) -> None:
    """Say whether a record is as it was written, and whether its photographs still give the same results.

    Changed, missing and reordered lines are named. The exit code is 6 if there is one, if no line has the head, or if a
    result differs by more than processors differ: a lesion, a grade, two lesions at an end of the interval, or 0.03 in a
    probability.
    """
    from acne_edge.records.check import check

    if head is not None and not (len(head) == HASH_DIGITS and set(head.lower()) <= set("0123456789abcdef")):
        raise UsageError(f"--head: expected the {HASH_DIGITS} hexadecimal digits that check-record prints")
    again = rerun or photos is not None
    if model is not None and not again:
        raise UsageError("--model goes with --rerun or --photos")
    if consort and (again or output == "json"):
        raise UsageError("--consort prints its draft alone")
    checked = check(record, head.lower() if head else None)
    if consort:
        _consort(record, checked)
        return
    if output == "table":
        print("\n".join(_lines(record, checked, head)), flush=True)
    found = _rerun(record, photos, model) if again else None
    if output == "json":
        print(json.dumps(_document(checked, found), indent=2))
    else:
        print("\n".join(_rerun_lines(found) if found else _at_hand(record)))
    if not checked.whole or (found and found.differences):
        raise typer.Exit(CHANGED)


def _consort(record: Path, checked: Checked) -> None:
    from acne_edge.records.consort import draft

    print(draft(record), end="")
    if not checked.whole:
        console.complain(f"{record}: {checked.faults[0].what}; the draft leaves out what is not as it was written")
        raise typer.Exit(CHANGED)


def _rerun(record: Path, photos: Path | None, model: Path | None) -> Again:
    from acne_edge.records.rerun import rerun

    return rerun(record, photos, model, console.progress)


def _lines(record: Path, checked: Checked, filed: str | None) -> Iterator[str]:
    t = checked.tally
    yield console.printable(f"{record}: {_of(checked.lines, 'line')}, {_utc(t.first)} to {_utc(t.last)} UTC")
    yield f"{_of(t.photographs, 'photograph')}: {t.graded} graded, {t.abstained} abstained on, {t.failed} failed"
    if t.counts:
        yield f"{_of(t.counts, 'count')} by {_of(len(t.readers), 'reader')}, of {_of(len(t.counted), 'photograph')}"
    if t.cuts:
        yield f"{_of(t.cuts, 'line')} had been cut short by a crash, and removed"
    if checked.torn:
        yield f"the last line is cut short ({checked.torn} bytes), as by a kill; the next start removes it"
    if checked.whole:
        yield "chain: whole; every line is as it was written"
    for fault in checked.faults[:SHOWN]:
        yield f"CHANGED: {fault.what}"
    yield from _more(len(checked.faults))
    yield f"head: {checked.head}"
    if checked.filed_at is not None:
        added = checked.lines - checked.filed_at
        yield f"filed head: that of line {checked.filed_at}; {_of(added, 'line')} added since"
    elif filed is None:
        yield CANNOT


def _at_hand(record: Path) -> Iterator[str]:
    from acne_edge.records.rerun import at_hand

    here, files = at_hand(record)
    if here:
        yield f"{here} of {files} photographs lie where they lay: --rerun predicts them again"
    elif files:
        yield "no photograph lies where it lay: --photos DIR looks for them elsewhere"


def _rerun_lines(again: Again) -> Iterator[str]:
    if again.same:
        yield f"predicted again: {again.same} as recorded (counts at most {again.largest:.2f} apart)"
    for d in again.differences[:SHOWN]:
        yield console.printable(f"DIFFERENT: line {d.line}, {d.name}: {d.what}")
    yield from _more(len(again.differences))
    if again.absent:
        yield f"not at hand: {_of(again.absent, 'photograph')}"
    if again.unnamed:
        yield f"without a file: {_of(again.unnamed, 'result')}, which nothing can be compared with"
    for sha256, n in again.models.items():
        yield f"not predicted again: {_of(n, 'photograph')}, by another model; give its file by --model\n  ({sha256})"


def _utc(time: str) -> str:
    return time[:19].replace("T", " ")


def _more(number: int) -> Iterator[str]:
    if number > SHOWN:
        yield f"... and {number - SHOWN} more (--format json lists them)"


def _document(checked: Checked, again: Again | None) -> dict[str, Any]:
    tally = {**asdict(checked.tally), "readers": sorted(checked.tally.readers), "counted": len(checked.tally.counted)}
    return {
        "lines": checked.lines,
        "head": checked.head,
        "whole": checked.whole,
        "faults": [asdict(fault) for fault in checked.faults],
        "torn": checked.torn,
        "filed_at": checked.filed_at,
        "tally": tally,
        "rerun": asdict(again) if again else None,
    }


def _of(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
