"""`python -m calibration --data DIR --list FILE --out crops.npz`: draw a calibration set and list what is in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from acne_edge.errors import AcneEdgeError, UsageError
from acne_edge.training.data import read_samples
from calibration.crops import draw


def main(
    data: Annotated[Path, typer.Option(help="ACNE04 in the layout of its distribution.")],
    out: Annotated[Path, typer.Option(help="The set, .npz; its list is written beside it as .json.")],
    train_list: Annotated[Path, typer.Option("--list", help="List of the training photographs, and only those.")],
    exclude: Annotated[list[Path] | None, typer.Option(help="Lists that score the model; none of theirs may be drawn.")] = None,
    number: Annotated[int, typer.Option(min=100, max=1000, help="Crops.")] = 400,
    size: Annotated[int, typer.Option(min=32, help="Pixels a side.")] = 224,
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
) -> None:
    """Draw calibration crops from training photographs, stratified by grade."""
    samples = read_samples(data, train_list)
    scored = {s.name for path in exclude or [] for s in read_samples(data, path)}
    both = [s.name for s in samples if s.name in scored]
    if both:
        raise UsageError(f"{train_list}: {len(both)} photographs also score the model, the first is {both[0]}")
    crops = draw(samples, number, size, seed)
    np.savez(out, images=np.stack([crop.image for crop in crops]))
    listing = {"seed": seed, "size": size, "crops": [crop.record() for crop in crops]}
    out.with_suffix(".json").write_text(json.dumps(listing, indent=1) + "\n")
    typer.echo(f"{out}: {len(crops)} crops of {size}x{size}")


if __name__ == "__main__":
    try:
        typer.run(main)
    except AcneEdgeError as error:
        typer.echo(f"calibration: {error}", err=True)
        raise SystemExit(error.exit_code) from None
