"""INT8 calibration: crops and activation ranges; see `python -m calibration --help`.

Exit codes: 0 ok, 1 a file cannot be written, 2 usage, 3 a photograph that cannot be used, 4 a model that is refused,
130 interrupted.
"""

from __future__ import annotations

from acne_edge import interrupt

if __name__ == "__main__":
    interrupt.end_at_once("calibration")

from pathlib import Path
from typing import Annotated

import typer

from acne_edge import console
from acne_edge.errors import MissingExtraError
from calibration import MAX_CROPS, MIN_CROPS

app = console.application("Draw INT8 calibration crops from ACNE04 and measure activation ranges on them.")


@app.command()
def crops(
    data: Annotated[Path, typer.Option(help="ACNE04 in the layout of its distribution, or a list of one's own photographs.")],
    out: Annotated[Path, typer.Option(help="Output .npz; its list is written beside it as .json.")],
    train_list: Annotated[Path, typer.Option("--list", help="List of the training photographs; no others are drawn.")],
    exclude: Annotated[list[Path] | None, typer.Option(help="Lists that score the model; drawing from them fails.")] = None,
    number: Annotated[int, typer.Option(min=MIN_CROPS, max=MAX_CROPS, help="Crops.")] = 400,
    each: Annotated[int, typer.Option(min=1, max=100, help="Crops of one photograph; more than 1 for a set of few.")] = 1,
    size: Annotated[int, typer.Option(min=32, help="Pixels a side.")] = 224,
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
) -> None:
    """Draw crops from training photographs, stratified by grade and by source (hospital or web)."""
    from acne_edge.training.data import read_samples
    from calibration import crops as crop_sets

    samples = read_samples(data, train_list)
    scored = [s.name for path in exclude or [] for s in read_samples(data, path)]
    crop_sets.refuse_scored([s.name for s in samples], scored, str(train_list))
    drawn = crop_sets.draw(samples, number, size, seed, sources=crop_sets.image_sources(data), each=each)
    crop_sets.save(out, drawn, seed)
    print(f"{out}: {len(drawn)} crops of {size}x{size}")


@app.command()
def ranges(
    model: Annotated[Path, typer.Argument(help="Float ONNX file made by python -m export model.")],
    crops_file: Annotated[Path, typer.Argument(metavar="CROPS", help="INT8 calibration crops, .npz.")],
    out: Annotated[Path, typer.Option(help="Cache file for the ranges, .json.")],
    report: Annotated[Path | None, typer.Option(help="Also draw a picture of the ranges, .png.")] = None,
) -> None:
    """Measure a model's activation ranges (min-max, percentile, entropy) in one pass; name tensors with outliers."""
    import onnx

    from acne_edge.backends.onnxruntime import OnnxRuntimeBackend
    from acne_edge.errors import UsageError
    from acne_edge.models import load_model
    from calibration import crops as crop_sets
    from calibration import ranges as activation_ranges
    from calibration import report as reports

    data = load_model(model).data
    spec = OnnxRuntimeBackend(data).manifest.input
    graph = onnx.load_from_string(data)
    if any(node.op_type == "DequantizeLinear" for node in graph.graph.node):
        raise UsageError(f"{model}: already quantised; ranges are measured on the float model")
    found = activation_ranges.load_or_collect(out, graph, crop_sets.load(crops_file, spec.height), spec)
    titles = reports.titles(graph)
    console.table(
        ("tensors with outliers", "min-max / percentile"),
        [(titles[tensor], f"{ratio:.1f}") for tensor, ratio in reports.outliers(found).items()],
    )
    if report:
        reports.draw(report, graph, found)


def main() -> None:
    """Run the command line; progress is logged to stderr, and an error becomes one line and an exit code."""
    console.run(_call, "calibration")


def _call(arguments: list[str], **how: object) -> object:
    console.log_to_stderr("calibration", ("acne_edge", "calibration"))
    try:
        return app(arguments, prog_name="python -m calibration", **how)
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "a package", "export", "python -m calibration") from error


if __name__ == "__main__":
    main()
