"""`python -m export ship`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def ship(
    run: Annotated[Path, typer.Argument(help="Finished run on all photographs.")],
    folds: Annotated[
        list[Path], typer.Argument(metavar="FOLD...", help="Finished runs of its settings, each of which held a fold out.")
    ],
    data: Annotated[Path, typer.Option(help="ACNE04 in the layout of its distribution.")],
    version: Annotated[str, typer.Option(help="Version of the models.")],
    work: Annotated[Path, typer.Option(help="Folder for what need not be kept.")],
    name: Annotated[str, typer.Option(help="Name of the model in the package; NAME-trt is its TensorRT file.")] = "acne-edge-s",
    settings: Annotated[
        list[Path] | None,
        typer.Option(help="The --config file of its training [experiments/settings/steady.yaml]; of an average, each."),
    ] = None,
    card: Annotated[Path, typer.Option(help="The model card.")] = Path("MODEL_CARD.md"),
) -> None:
    """Fit all constants, make the model files, and put them into the package with card and golden predictions.

    Nothing is trained. A file that fails its gate stops it, and the package stays as it was. Takes half an hour. The run and its
    figures are kept in export/checkpoints/NAME, the folds' INT8 networks in experiments/folds/SETTINGS (the first), or
    SETTINGS-grouped where the folds keep look-alikes together.
    """
    from export import ship as shipping
    from export.card import SETTINGS, check_settings, write_card

    grouped = "-grouped" if shipping.joined(folds).grouped else ""
    files = settings or [SETTINGS]
    check_settings(run, files)
    checkpoint, networks = Path("export/checkpoints") / name, Path("experiments/folds") / f"{files[0].stem}{grouped}"
    shipment = shipping.Shipment(run, folds, data, version, checkpoint, networks, work, name=name)
    print("\n".join(shipping.ship(shipment)))
    write_card(checkpoint, card, name, files)
    print(shipping.write_golden(Path("tests/assets"), name))
