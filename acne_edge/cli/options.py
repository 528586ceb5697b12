"""Options that several commands have, and the grader that they describe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from acne_edge import startup

if TYPE_CHECKING:
    from acne_edge.grader import AcneGrader

ModelOption = Annotated[
    str | None, typer.Option("--model", "-m", help="Shipped model's name, or an ONNX file [the default model].")
]
BackendOption = Annotated[str, typer.Option(help="Runtime: auto, onnxruntime, openvino or tensorrt.")]
ThreadsOption = Annotated[int, typer.Option(min=0, help="Threads inside an operator; 0 lets the runtime choose.")]
StrictOption = Annotated[bool, typer.Option("--strict", help="Refuse a runtime, or a device, other than the one that fits best.")]
ScaleOption = Annotated[str | None, typer.Option(help="Severity scale: hayashi or banded [the model's own].")]
QualityOption = Annotated[str, typer.Option(help="For a poor capture: warn (reason codes), abstain, or fail before inference.")]


def open_grader(
    model: str | None, backend: str, threads: int, strict: bool, scale: str | None = None, on_poor_quality: str = "warn"
) -> AcneGrader:
    """The grader that the options describe; it loads while the rest is imported and the first photograph decoded."""
    with startup.no_garbage_collection():
        from acne_edge.loader import ModelLoader

        loader = ModelLoader(model, backend, threads, strict)
        from acne_edge.grader import AcneGrader
    return AcneGrader(loader, scale, on_poor_quality)
