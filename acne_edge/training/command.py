"""The commands of `acne-edge` that train. Needs the extra `train`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from acne_edge.cli import progress
from acne_edge.training.config import TrainConfig
from acne_edge.training.loop import Trainer

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback()
def _root() -> None:
    """Commands keep their names, however few there are."""


@app.command()
def train(
    data: Annotated[Path, typer.Option("--data", help="ACNE04 in the layout of its distribution.")],
    model_path: Annotated[Path, typer.Option(help="Directory of the run: settings, logs, checkpoints.")] = Path("runs/acne-edge"),
    weights: Annotated[
        Path | None,
        typer.Option(help="Directory of the ImageNet weights, or the model.safetensors of an earlier run; none: from scratch."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML of any of these settings; the command line wins.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint of the run, if there is one.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    method: Annotated[str | None, typer.Option(help="fusion, resnet or vit.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a training step.")] = None,
    batch_size_test: Annotated[int | None, typer.Option(help="Images a batch in evaluation.")] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Weight decay.")] = None,
    num_workers: Annotated[int | None, typer.Option(help="Threads that decode photographs.")] = None,
    num_classes: Annotated[int | None, typer.Option(help="Grades (4).")] = None,
    cross_validation: Annotated[int | None, typer.Option(help="Official fold 1..4; 0: all data, no test list.")] = None,
    image_rotation: Annotated[float | None, typer.Option(help="Random rotation, degrees either way.")] = None,
    image_resize: Annotated[int | None, typer.Option(help="Pixels a side before augmentation.")] = None,
    train_size: Annotated[int | None, typer.Option(help="Pixels a side of the network's input.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs.")] = None,
    lr_steps: Annotated[list[int] | None, typer.Option(help="Epoch at which the rate halves (repeatable) [one cycle].")] = None,
    sigma: Annotated[float | None, typer.Option(help="Width of the label distribution, lesions.")] = None,
    lam: Annotated[float | None, typer.Option(help="Weight of the grade losses in the LDL loss.")] = None,
    loss: Annotated[str | None, typer.Option(help="ldl or report.")] = None,
    density_weight: Annotated[float | None, typer.Option(help="Weight of the lesion map's loss.")] = None,
    zoom: Annotated[float | None, typer.Option(help="Share of recounted crops.")] = None,
    balance: Annotated[float | None, typer.Option(help="0 draws photographs as they are, 1 every grade equally often.")] = None,
    frequency: Annotated[int | None, typer.Option(help="Epochs between evaluations.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="adam or sgd.")] = None,
    dropout: Annotated[float | None, typer.Option(help="Dropout before the heads.")] = None,
    freeze_stem: Annotated[bool | None, typer.Option(help="Keep the ResNet's first stages as pretrained.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
) -> None:
    """Train the network on ACNE04. Needs the extra `train`."""
    given = {
        name: value
        for name, value in locals().items()
        if name in TrainConfig.__dataclass_fields__ and value is not None and value != []
    }
    resolved = TrainConfig.resolve(config, **given)
    trainer = Trainer(resolved, data, model_path, weights, device)
    results = trainer.fit(resume, say=lambda line: typer.echo(line, err=True), progress=progress)
    typer.echo(json.dumps({"run": str(model_path), "metrics": results["metrics"]}, indent=2))
