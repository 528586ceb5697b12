"""Options that several commands have, and the grader that they describe."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from acne_edge import console, startup
from acne_edge.backends import Runtime

if TYPE_CHECKING:
    from acne_edge.grader import AcneGrader
    from acne_edge.records.record import Record

ModelOption = Annotated[
    str | None, typer.Option("--model", "-m", help="Shipped model's name, or an ONNX file [the default model].")
]
BackendOption = Annotated[Runtime, typer.Option(help="Runtime; auto: the fastest that runs the model here.")]
ThreadsOption = Annotated[int, typer.Option(min=0, help="Threads inside an operator; 0 lets the runtime choose.")]
StrictOption = Annotated[bool, typer.Option("--strict", help="Refuse a runtime, or a device, other than the one that fits best.")]
Scale: TypeAlias = Literal["hayashi", "banded", "report"]  # those of `acne_edge.grading`, which is slow to import
ScaleOption = Annotated[Scale | None, typer.Option(help="Severity scale; report is an old name of banded [the model's own].")]
Policy: TypeAlias = Literal["warn", "abstain", "fail"]  # those of `acne_edge.grader`
QualityOption = Annotated[
    Policy, typer.Option(help="Of a poor capture: warn by reason codes, abstain from a grade too, or fail before inference.")
]
Document: TypeAlias = Literal["table", "json"]
DocumentOption = Annotated[Document, typer.Option("--format", "-f", help="How to print.")]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write to a file [stdout]; one of that name is replaced when all is done.",
    ),
]
RecordOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Append a line a photograph to a record that shows later changes; see check-record."),
]


def open_record(path: Path | None) -> AbstractContextManager[Record | None]:
    """The record that a command keeps, if any; a last line that was cut short is told of."""
    if path is None:
        return nullcontext()
    from acne_edge.records.record import Record

    record = Record(path)
    if record.cut:
        console.complain(f"{path}: its last line was cut short ({record.cut} bytes) and is removed; the record says so")
    return record


def open_grader(
    model: str | None, backend: Runtime, threads: int, strict: bool, scale: Scale | None = None, on_poor_quality: Policy = "warn"
) -> AcneGrader:
    """The grader that the options describe; it loads while the rest is imported and the first photograph decoded."""
    with startup.no_garbage_collection():
        from acne_edge.loader import ModelLoader

        loader = ModelLoader(model, backend, threads, strict)
        from acne_edge.grader import AcneGrader

    return AcneGrader(loader, scale, on_poor_quality)
