"""`acne-edge adapt`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from acne_edge import console
from acne_edge.cli.options import BackendOption, ModelOption, StrictOption, ThreadsOption, open_grader
from acne_edge.errors import UsageError


def adapt(
    labels: Annotated[Path, typer.Argument(metavar="LIST", help="CSV with columns file, count and perhaps grade.")],
    images: Annotated[Path, typer.Option(metavar="DIR", help="Directory of the photographs.")],
    file: Annotated[Path, typer.Option("--output", "-o", metavar="ONNX", help="Model file to write.")],
    note: Annotated[str, typer.Option(help="Where the photographs are from; it is kept in the file.")] = "own photographs",
    model: ModelOption = None,
    backend: BackendOption = "auto",
    threads: ThreadsOption = 0,
    strict: StrictOption = False,
) -> None:
    """Fit a model to another camera from 30 to 300 counted photographs, without training, and write it as a new file.

    The count gets a correction of two parameters; probabilities and intervals are fitted again. Printed are the errors before and
    after, on photographs left out. If they do not become smaller by more than chance, nothing is written, and the exit code is 2.
    """
    from acne_edge.adapt import camera
    from acne_edge.evaluation.run import list_report, read_set
    from acne_edge.evaluation.tables import to_json
    from acne_edge.files import write
    from acne_edge.models import load_model
    from acne_edge.onnx_file import with_manifest

    console.log_to_stderr()
    if file.suffix.lower() != ".onnx":
        raise UsageError(f"{file}: a model is a .onnx file")
    if not file.parent.is_dir():
        raise UsageError(f"{file}: no such folder: {file.parent}")
    source = load_model(model)
    if model is not None and file.exists() and os.path.exists(model) and file.samefile(model):
        raise UsageError(f"{file}: is the model itself; name another file")
    with open_grader(model, backend, threads, strict) as grader:
        rows, _ = read_set(grader, images, labels, None)
        about = list_report(grader, images, labels, rows)  # a warning is logged if the model has learned some of them
        seen = camera.outputs_of(grader, images, rows, lambda items, n: console.progress(items, "counting", n))
        for error in seen.errors:
            console.complain(str(error))
        day, n = date.today().isoformat(), len(seen.outputs.counts)
        manifest = grader.manifest
        found = camera.adapt(seen.outputs, manifest, f"{n} photographs, {note}, {day}")
    print(to_json(found.to_dict(), indent=2))
    if not found.is_better:
        raise UsageError(f"not written: {why_not(found.gain)}; keep the model, or count more photographs")
    origin = {"from": {"name": manifest.name, "version": manifest.version, "sha256": source.sha256}}
    of = {"photographs": n, "date": day, "note": note, "list_sha256": about["sha256"]}
    new = camera.adapted_manifest(manifest, found, {**origin, **of}, seen)
    write(file, with_manifest(source.data, new.to_json()))
    if seen.errors:
        raise typer.Exit(3)


def why_not(gain: Mapping[str, float | None]) -> str:
    """Why a gain is none: the error's fall on photographs left out, with its interval, in lesions."""
    value, low, high = (gain[name] or 0.0 for name in ("value", "low", "high"))
    change, ends = ("smaller", (low, high)) if value > 0 else ("larger", (-high, -low))
    low, high = (0.0 + round(end, 2) for end in ends)  # no -0.00
    chance = ", which may be chance" if low <= 0 else ""
    return f"on photographs left out the error becomes {change} by {abs(value):.2f} lesions [{low:.2f}, {high:.2f}]{chance}"
