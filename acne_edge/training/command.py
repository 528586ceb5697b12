"""The commands of `acne-edge` that train. Needs the extra `train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from acne_edge import console
from acne_edge.errors import UsageError
from acne_edge.evaluation.tables import to_json
from acne_edge.files import write
from acne_edge.training import data as acne04
from acne_edge.training.config import TrainConfig
from acne_edge.training.loop import Trainer
from acne_edge.training.run import Run
from acne_edge.training.studies import crossval as cv
from acne_edge.training.studies import subject_groups as found
from acne_edge.training.studies.analysis import analyse as measure
from acne_edge.training.studies.compare import compare_files, markdown
from acne_edge.training.studies.refit import refit as go_on

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
    protocol: Annotated[str | None, typer.Option(help="official: ACNE04's lists; grouped: look-alikes kept together.")] = None,
    denoise: Annotated[str | None, typer.Option(help="none, median or bilateral.")] = None,
    image_rotation: Annotated[float | None, typer.Option(help="Random rotation, degrees either way.")] = None,
    image_resize: Annotated[int | None, typer.Option(help="Pixels a side before augmentation.")] = None,
    train_size: Annotated[int | None, typer.Option(help="Pixels a side of the network's input.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs.")] = None,
    lr_steps: Annotated[list[int] | None, typer.Option(help="Epoch at which the rate halves (repeatable) [one cycle].")] = None,
    sigma: Annotated[float | None, typer.Option(help="Width of the label distribution, lesions.")] = None,
    lam: Annotated[float | None, typer.Option(help="Weight of the grade losses in the LDL loss.")] = None,
    loss: Annotated[str | None, typer.Option(help="ldl, report, lds, l2 or ce.")] = None,
    density_weight: Annotated[float | None, typer.Option(help="Weight of the lesion map's loss.")] = None,
    zoom: Annotated[float | None, typer.Option(help="Share of recounted crops.")] = None,
    mix: Annotated[float | None, typer.Option(help="Share of views mixed of two photographs, recounted.")] = None,
    balance: Annotated[float | None, typer.Option(help="0 draws photographs as they are, 1 every grade equally often.")] = None,
    frequency: Annotated[int | None, typer.Option(help="Epochs between evaluations.")] = None,
    swa: Annotated[float | None, typer.Option(help="Share of the run, at its end, whose weights are averaged alike [0].")] = None,
    optimizer: Annotated[str | None, typer.Option(help="adam or sgd.")] = None,
    dropout: Annotated[float | None, typer.Option(help="Dropout before the heads.")] = None,
    freeze_stem: Annotated[bool | None, typer.Option(help="Keep the ResNet's first stages as pretrained.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    val_folds: Annotated[int | None, typer.Option(help="1/N of the photographs is held out; 0: none, for the last run.")] = None,
) -> None:
    """Train the network on ACNE04. Needs the extra `train`."""
    given = {
        name: value
        for name, value in locals().items()
        if name in TrainConfig.__dataclass_fields__ and value is not None and value != []
    }
    resolved = TrainConfig.resolve(config, **given)
    trainer = Trainer(resolved, data, model_path, weights, device)
    results = trainer.fit(resume, say=lambda line: typer.echo(line, err=True), progress=console.progress)
    typer.echo(to_json({"run": str(model_path), "metrics": results["metrics"]}, indent=2))


@app.command()
def crossval(
    data: Annotated[Path, typer.Option("--data", help="ACNE04 in the layout of its distribution.")],
    weights: Annotated[
        Path | None,
        typer.Option(help="Directory of the ImageNet weights, or of an earlier crossval to go on from; none: from scratch."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Directory of the runs and the tables.")] = Path("runs/crossval"),
    study: Annotated[list[str] | None, typer.Option(help="Rows to compare (repeatable) [methods].")] = None,
    row: Annotated[list[str] | None, typer.Option(help="Train these rows of the studies only (repeatable) [all].")] = None,
    fold: Annotated[list[int] | None, typer.Option(min=1, max=4, help="Fold to train and table (repeatable) [1 2 3 4].")] = None,
    protocol: Annotated[str, typer.Option(help="official: ACNE04's folds; grouped: look-alikes kept in one fold.")] = "official",
    config: Annotated[Path | None, typer.Option(help="YAML of settings that all rows share.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    tables_only: Annotated[bool, typer.Option("--tables-only", help="Train nothing; tables of what is finished.")] = False,
) -> None:
    """Train rows of settings on the folds, resumably, and write their tables as Markdown and JSON. Needs the extra `train`."""
    unknown = [name for name in study or [] if name not in cv.STUDIES]
    if unknown:
        raise UsageError(f"unknown study {unknown[0]!r}; known: {', '.join(cv.STUDIES)}")
    studies = {name: cv.STUDIES[name] for name in study or ["methods"]}
    for label in row or []:
        if not any(label in rows for rows in studies.values()):
            raise UsageError(
                f"no row {label!r} in {', '.join(studies)}; rows: {', '.join(r for s in studies.values() for r in s)}"
            )
    base = TrainConfig.resolve(config, protocol=protocol)
    folds = fold or list(cv.FOLDS)
    for name, rows in studies.items():
        chosen = {label: changes for label, changes in rows.items() if not row or label in row}
        if not tables_only:
            cv.train_rows(base, chosen, folds, data, weights, out, device, say=lambda line: typer.echo(line, err=True))
        results = cv.summarize(base, rows, folds, out)
        cv.write_out_of_fold(base, rows, out)
        table = cv.markdown(results, name)
        stem = cv.table_name(name, base, folds)
        (out / f"{stem}.json").write_text(to_json(results) + "\n")
        (out / f"{stem}.md").write_text(table)
        typer.echo(table)


@app.command()
def refit(
    earlier: Annotated[Path, typer.Argument(help="Directory of a finished run that held photographs out.")],
    data: Annotated[Path, typer.Option("--data", help="ACNE04 in the layout of its distribution.")],
    out: Annotated[Path, typer.Option(help="Directory of the runs.")] = Path("runs/refit"),
    config: Annotated[Path | None, typer.Option(help="YAML of settings, over those of the earlier run.")] = None,
    parts: Annotated[int, typer.Option(min=2, help="Runs that measure, each without a part of what was held out.")] = 2,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Go on from a run with what it held out: once without each part, to measure, and last with all. Needs the extra `train`."""
    go_on(earlier, data, out, config, parts, device, say=lambda line: typer.echo(line, err=True))
    typer.echo(f"{out / 'all'}: the run on all photographs; {Run(out).out_of_fold}: what the others predict")


@app.command()
def analyse(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Finished runs; what several held out is taken together.")],
    data: Annotated[Path, typer.Option("--data", help="ACNE04 in the layout of its distribution.")],
    part: Annotated[str, typer.Option(help="val, or test for a run on a fold.")] = "val",
) -> None:
    """Localisation, clear skin, calibration and shortcuts of runs, as JSON. Needs the extra `train`."""
    typer.echo(to_json(measure(runs, data, part)))


@app.command()
def compare(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="out_of_fold.npz of crossvals, the baseline first.")],
    out: Annotated[Path | None, typer.Option(help="JSON results, too.")] = None,
) -> None:
    """What settings are worth against others, on the photographs that both predicted unseen. Needs the extra `train`."""
    if len(files) < 2:
        raise UsageError("give two files or more: what to compare with, and what to compare")
    results = compare_files(files)
    if out is not None:
        write(out, (to_json(results) + "\n").encode())
    typer.echo(f"{results['images']} photographs\n\n{markdown(results)}")


@app.command("subject-groups")
def subject_groups(
    data: Annotated[Path, typer.Option("--data", help="ACNE04 in the layout of its distribution.")],
    weights: Annotated[Path, typer.Option(help="Directory of the ImageNet weights.")],
    out: Annotated[Path, typer.Option(help="CSV of file and group.")] = Path("subject_groups.csv"),
) -> None:
    """Group the photographs of one person or session, for the grouped protocol. Needs the extra `train`."""
    samples = acne04.read_samples(data, "NNEW_trainval_0.txt")
    names = [s.name for s in samples]
    features = found.imagenet_features(acne04.load_images(samples, 224), weights)
    groups = found.find_groups(names, found.similarity(features), acne04.read_pairs(data / "duplicates.csv"))
    acne04.write_groups(out, names, groups)
    typer.echo(f"{out}: {len(names)} photographs in {len(set(groups.tolist()))} groups")
