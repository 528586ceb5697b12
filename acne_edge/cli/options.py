"""Options that several commands share, and the grader that they describe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from acne_edge import startup
from acne_edge.backends import Runtime

if TYPE_CHECKING:
    from acne_edge.grader import AcneGrader

ModelOption = Annotated[
    str | None, typer.Option("--model", "-m", help="Shipped model's name, or an ONNX file [the default model].")
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
Document: TypeAlias = Literal["table", "json"]
DocumentOption = Annotated[Document, typer.Option("--format", "-f", help="How to print.")]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write to a file, replacing it when all is done [stdout].",
    ),
]


def open_grader(
    model: str | None, backend: Runtime, threads: int, strict: bool, scale: Scale | None = None, on_poor_quality: Policy = "warn"
) -> AcneGrader:
    """The grader that the options describe; its model loads while the first photograph is decoded."""
    with startup.no_garbage_collection():
        from acne_edge.loader import ModelLoader

        loader = ModelLoader(model, backend, threads, strict)
        from acne_edge.grader import AcneGrader
    return AcneGrader(loader, scale, on_poor_quality)
