"""Options that several commands share, and the grader that they describe."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from acne_edge import console, startup
from acne_edge.backends import Runtime
from acne_edge.errors import UsageError

if TYPE_CHECKING:
    from acne_edge.grader import AcneGrader
    from acne_edge.records.record import Record

ModelOption = Annotated[
    str | None, typer.Option("--model", "-m", help="Shipped model's name, or an ONNX or engine file [the default model].")
]
BackendOption = Annotated[Runtime, typer.Option(help="Runtime; auto takes the fastest that can run the model here.")]
ThreadsOption = Annotated[int, typer.Option(min=0, help="Threads per operator; 0 lets the runtime choose.")]
StrictOption = Annotated[bool, typer.Option("--strict", help="Fail instead of falling back to another runtime or device.")]
Scale: TypeAlias = Literal["hayashi", "banded", "report"]  # those of `acne_edge.grading`, which is slow to import
ScaleOption = Annotated[Scale | None, typer.Option(help="Severity scale; report is an old name of banded [the model's own].")]
Policy: TypeAlias = Literal["warn", "abstain", "fail"]  # those of `acne_edge.grader`
QualityOption = Annotated[
    Policy, typer.Option(help="For a poor photograph: warn (reason codes), abstain (no grade too), or fail before inference.")
]
OnUnfamiliar: TypeAlias = Literal["abstain", "warn"]  # those of `acne_edge.grader`
UnfamiliarOption = Annotated[
    OnUnfamiliar | None,
    typer.Option(
        help="For what looks like nothing that was learned, such as a drawing: abstain (no grade), or warn [by "
        "ACNE_EDGE_ON_UNFAMILIAR, else abstain]."
    ),
]
Document: TypeAlias = Literal["table", "json"]
DocumentOption = Annotated[Document, typer.Option("--format", "-f", help="How to print.")]
Language: TypeAlias = Literal["en", "zh"]  # those of `acne_edge.catalogue`
LanguageOption = Annotated[Language, typer.Option(help="Language of the page.")]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write to a file, replacing it when all is done [stdout].",
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


def not_stdin(value: object, name: str) -> None:
    """Refuse `-` for what is read more than once, or by others. Raises UsageError."""
    if str(value) == "-":
        raise UsageError(f"{name} -: is not read from stdin; name a file (predict PATH and evaluate LIST take -)")


def open_grader(
    model: str | None,
    backend: Runtime,
    threads: int,
    strict: bool,
    scale: Scale | None = None,
    on_poor_quality: Policy = "warn",
    on_unfamiliar: OnUnfamiliar | None = None,
) -> AcneGrader:
    """The grader that the options describe; its model loads while the first photograph is decoded."""
    not_stdin(model, "--model")
    with startup.no_garbage_collection():
        from acne_edge.loader import ModelLoader

        loader = ModelLoader(model, backend, threads, strict)
        from acne_edge.grader import AcneGrader

    return AcneGrader(loader, scale, on_poor_quality, on_unfamiliar)
