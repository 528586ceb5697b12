"""`python -m export model`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from acne_edge import console
from calibration import Method

if TYPE_CHECKING:
    from export.model import Exported

CHANGES = {  # by the gate's losses: column, factor, digits
    "accuracy_drop": ("accuracy %", -100, 2),
    "mae_increase": ("MAE", 1, 3),
    "grade_flips": ("flips %", 100, 2),
    "qwk_drop": ("kappa", -1, 4),
}


def model(
    run: Annotated[Path, typer.Argument(help="Directory of a training run.")],
    data: Annotated[Path, typer.Option(help="ACNE04 in the layout of its distribution, or a list of one's own photographs.")],
    crops: Annotated[
        Path,
        typer.Option("--crops", help="INT8 calibration crops, .npz, made by python -m calibration crops."),
    ],
    out: Annotated[Path, typer.Option(help="Directory for the model files and the cached ranges.")],
    name: Annotated[str, typer.Option(help="Model name.")] = "acne-edge-s",
    version: Annotated[str, typer.Option(help="Model version.")] = "0.1.0",
    method: Annotated[Literal["auto", Method], typer.Option(help="How to choose activation ranges; auto tries all.")] = "auto",
    reduce_range: Annotated[bool, typer.Option(help="7-bit weights, for processors without VNNI.")] = True,
    out_of_fold: Annotated[
        Path | None,
        typer.Option(
            help="For a run without validation images: out_of_fold.npz of acne-edge crossval or refit, to fit constants on."
        ),
    ] = None,
    patch: Annotated[
        Path | None, typer.Option(help="JSON merge patch for the manifest, for example from python -m export positions.")
    ] = None,
    familiarity: Annotated[Path | None, typer.Option(help="What python -m export familiarity wrote of the run.")] = None,
    view: Annotated[Path | None, typer.Option(help="What python -m export view wrote of the run.")] = None,
) -> None:
    """Export a run's model to float ONNX, to INT8 for CPUs and to INT8 for TensorRT; a file that fails its gate is not written.

    Writes NAME-fp32.onnx, NAME-int8.onnx, NAME-int8-trt.onnx, ranges.json and ranges.png. Takes minutes. After an interruption,
    the same command reuses the measured ranges.
    """
    from export.gate import GateError
    from export.model import Options, export_model

    with console.resumable(f"to resume, run the same command: it reuses the ranges in {out / 'ranges.json'}"):
        options = Options(run, data, crops, out, name, version, method, reduce_range, out_of_fold, patch, familiarity, view)
        made = export_model(options)
    console.table(*_table(made))
    if made.failures:
        raise GateError("; ".join(made.failures))


def _table(made: Exported) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and rows of a table: the gate's budget, then the changes by INT8 against float32 in each file."""
    from export.gate import BUDGET

    def changes(losses: Mapping[str, float]) -> list[str]:
        return [f"{CHANGES[name][1] * loss + 0.0:+.{CHANGES[name][2]}f}" for name, loss in losses.items()]

    rows = [("may change by", "", "", "", *changes(BUDGET))]
    for file in made.files:
        changed = changes({name: loss["value"] for name, loss in file.losses.items()}) if file.losses else ["-"] * len(BUDGET)
        megabytes = f"{file.path.stat().st_size / 1e6:.1f}"
        rows.append((file.path.name, megabytes, file.method or "-", str(len(file.excluded)) if file.losses else "-", *changed))
    return ("file", "MB", "ranges", "layers in float", *(CHANGES[name][0] for name in BUDGET)), rows
