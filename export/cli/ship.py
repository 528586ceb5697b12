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
    checkpoint: Annotated[Path, typer.Option(help="Folder for the run and its figures, with the code.")] = Path(
        "export/checkpoints/acne-edge-s"
    ),
    networks: Annotated[Path, typer.Option(help="Folder for the folds' INT8 networks, with the code.")] = Path(
        "experiments/folds/steady"
    ),
) -> None:
    """Fit all constants, make the model files, and put them into the package with card and golden predictions.

    Nothing is trained. A file that fails its gate stops it, and the package stays as it was. Takes half an hour.
    """
    from export import ship as shipping
    from export.card import write_card

    print("\n".join(shipping.ship(shipping.Shipment(run, folds, data, version, checkpoint, networks, work))))
    write_card(checkpoint, Path("MODEL_CARD.md"))
    print(shipping.write_golden(Path("tests/assets")))
