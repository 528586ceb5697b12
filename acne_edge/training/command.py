"""The commands of `acne-edge` that train and compare.

They need the extra `train`; their help does not: what a command works with is imported when it runs.
"""

from __future__ import annotations

import inspect
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

import typer

from acne_edge import console
from acne_edge.errors import MissingExtraError, UsageError
from acne_edge.training.config import Protocol, TrainConfig

Format = Literal["table", "json"]
DataOption = Annotated[Path, typer.Option("--data", help="ACNE04 in the layout of its distribution.")]
DeviceOption = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto: a GPU where there is one.")]
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How to print what was found.")]
ConfigOption = Annotated[Path | None, typer.Option(help="YAML of any of these settings; the command line wins.")]
FIGURES = {  # where each stands in a run's metrics; grades by both heads together, by the grade head, by the count
    "accuracy": ("grade", "combined", "accuracy"),
    "head": ("grade", "head", "accuracy"),
    "count": ("grade", "count", "accuracy"),
    "balanced": ("grade", "combined", "balanced_accuracy"),
    "QWK": ("grade", "combined", "qwk"),
    "MAE": ("count", "mean", "mae"),
    "RMSE": ("count", "mean", "rmse"),
    "bias": ("count", "mean", "bias"),
}


def _with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each training setting, with the setting's meaning and default, in place of `**settings`."""
    hints = get_type_hints(TrainConfig, include_extras=True)
    options = []
    for setting in fields(TrainConfig):
        kind, meaning = get_args(hints[setting.name])
        several = setting.default == ()
        option = typer.Option(help=f"{meaning} [{'none' if several else str(setting.default).lower()}]")
        annotation: Any = Annotated[(list[int] if several else kind) | None, option]
        options.append(inspect.Parameter(setting.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation))
    given = inspect.signature(command, eval_str=True).parameters.values()
    own = [p for p in given if p.kind is not inspect.Parameter.VAR_KEYWORD]
    command.__signature__ = inspect.Signature([*own, *options])  # type: ignore[attr-defined]
    return command


@contextmanager
def _research(command: str) -> Iterator[None]:
    """Around a command: the log on stderr, and one line for a package that is missing."""
    console.log_to_stderr()
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "train", f"acne-edge {command}") from error


@contextmanager
def _resumable(*flags: str) -> Iterator[None]:
    """Around work that goes on where it was stopped, by the same command with `flags`: one that is interrupted says so."""
    given = [a for a in sys.argv[1:] if a != "--overwrite"]
    again = shlex.join(["acne-edge", *given, *(flag for flag in flags if flag not in given)])
    with console.resumable(f"what is done is kept; to go on: {again}"):
        yield


@_with_settings
def train(
    data: DataOption,
    model_path: Annotated[Path, typer.Option(help="Directory of the run: settings, logs, checkpoints.")] = Path("runs/acne-edge"),
    weights: Annotated[
        Path | None,
        typer.Option(help="Directory of the ImageNet weights, or the model.safetensors of an earlier run [none: from scratch]."),
    ] = None,
    config: ConfigOption = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run that was stopped, or prolong it by a larger --epochs.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Train anew where there is a run already; it is lost.")] = False,
    device: DeviceOption = "auto",
    output_format: FormatOption = "table",
    **settings: Any,
) -> None:
    """Train the network on ACNE04 (extra `train`).

    It ends with figures of what was held out. An epoch of 1082 to 1165 photographs took 100 to 145 seconds on two Zen 3 cores
    (256 pixels, float32, 2026-11): the default run takes about an hour there. A run may be stopped at any time; with --resume
    it goes on to the same weights. A larger --epochs then prolongs it: the rate rises again to where a run of so many epochs
    has it at that point, and falls from there.
    """
    with _research("train"):
        from acne_edge.evaluation.tables import to_json
        from acne_edge.training.loop import Trainer, duration

        given = {name: value for name, value in settings.items() if value not in (None, [])}
        trainer = Trainer(TrainConfig.resolve(config, **given), data, model_path, weights, device)
        with _resumable("--resume"):
            results = trainer.fit(resume, overwrite)
        if not trainer.processes.first:
            return
        if output_format == "json":
            typer.echo(to_json({"run": str(model_path), "metrics": results["metrics"]}, indent=2))
            return
        _print_figures("part", results["metrics"])
        took = duration(results["seconds"])
        typer.echo(f"{trainer.run.model}: the network after epoch {trainer.state.epoch}, trained in {took}")


def crossval(
    data: DataOption,
    weights: Annotated[
        Path | None,
        typer.Option(help="Directory of the ImageNet weights, or of an earlier crossval to go on from [none: from scratch]."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Directory of the runs and the tables.")] = Path("runs/crossval"),
    study: Annotated[list[str] | None, typer.Option(help="Rows to compare (repeatable) [methods].")] = None,
    row: Annotated[list[str] | None, typer.Option(help="Train these rows of the studies only (repeatable) [all].")] = None,
    fold: Annotated[list[int] | None, typer.Option(min=1, max=4, help="Fold to train and table (repeatable) [1 2 3 4].")] = None,
    protocol: Annotated[
        Protocol | None, typer.Option(help="official: ACNE04's folds; grouped: photographs of one person in one fold [official].")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML of settings that all rows share.")] = None,
    device: DeviceOption = "auto",
    tables_only: Annotated[bool, typer.Option("--tables-only", help="Train nothing; tables of what is finished.")] = False,
    output_format: FormatOption = "table",
) -> None:
    """Compare settings on the folds, resumably (extra `train`).

    Tables are printed, and written as Markdown and JSON. A run of 18 epochs of 873 photographs took about half an hour on two
    Zen 3 cores (256 pixels, float32, 2026-11), and there is one a row and fold. The same command goes on where it was
    stopped.
    """
    with _research("crossval"):
        from acne_edge.evaluation.tables import to_json
        from acne_edge.files import write
        from acne_edge.training.studies import crossval as cv

        unknown = [name for name in study or [] if name not in cv.STUDIES]
        if unknown:
            raise UsageError(f"unknown study {unknown[0]!r}; known: {', '.join(cv.STUDIES)}")
        studies = {name: cv.STUDIES[name] for name in study or ["methods"]}
        for label in row or []:
            if not any(label in rows for rows in studies.values()):
                known = ", ".join(r for s in studies.values() for r in s)
                raise UsageError(f"no row {label!r} in {', '.join(studies)}; rows: {known}")
        base = TrainConfig.resolve(config, protocol=protocol)
        folds = fold or list(cv.FOLDS)
        found = {}
        for name, rows in studies.items():
            chosen = {label: changes for label, changes in rows.items() if not row or label in row}
            if not tables_only:
                with _resumable():
                    cv.train_rows(base, chosen, folds, data, weights, out, device)
            found[name] = cv.summarize(base, rows, folds, out)
            cv.write_out_of_fold(base, rows, out)
            stem = cv.table_name(name, base, folds)
            out.mkdir(parents=True, exist_ok=True)
            write(out / f"{stem}.json", (to_json(found[name]) + "\n").encode())
            write(out / f"{stem}.md", cv.markdown(found[name], name).encode())
            if output_format == "table":
                typer.echo(cv.markdown(found[name], name))
        if output_format == "json":
            typer.echo(to_json(found))


def refit(
    earlier: Annotated[Path, typer.Argument(help="Directory of a finished run that held photographs out.")],
    data: DataOption,
    out: Annotated[Path, typer.Option(help="Directory of the runs.")] = Path("runs/refit"),
    config: Annotated[Path | None, typer.Option(help="YAML of settings, over those of the earlier run.")] = None,
    parts: Annotated[int, typer.Option(min=2, help="Runs that measure, each without a part of what was held out.")] = 2,
    device: DeviceOption = "auto",
    output_format: FormatOption = "table",
) -> None:
    """Go on from a run with what it held out (extra `train`).

    Once without each part of it, to measure, and last with all. Three runs of 14 epochs of 1082 to 1165 photographs took 85
    minutes on two Zen 3 cores (256 pixels, float32, 2026-11). The same command goes on where it was stopped.
    """
    with _research("refit"):
        from acne_edge.evaluation.tables import to_json
        from acne_edge.training.run import Run
        from acne_edge.training.studies.refit import refit as go_on

        with _resumable():
            go_on(earlier, data, out, config, parts, device)
        names = [f"part-{number}" for number in range(1, parts + 1)]
        metrics = {name: Run(out / name).results()["metrics"]["val"] for name in names}
        if output_format == "json":
            typer.echo(to_json({"run": str(out / "all"), "metrics": metrics}, indent=2))
            return
        _print_figures("run", metrics)
        typer.echo(f"{out / 'all'}: the run on all photographs; {Run(out).out_of_fold}: what the others predict")


def analyse(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Finished runs; what several held out is taken together.")],
    data: DataOption,
    part: Annotated[Literal["val", "test"], typer.Option(help="Which photographs; test for runs on folds.")] = "val",
    output_format: FormatOption = "table",
) -> None:
    """Where runs see lesions, and what they rely on (extra `train`).

    Also what they make of clear skin, how far their probabilities hold, and whether they read the source of a photograph; minutes
    on two cores. `--format json` is what `python -m export card` reads.
    """
    with _research("analyse"):
        from acne_edge.evaluation.tables import to_json
        from acne_edge.training.studies.analysis import analyse as measure

        results = measure(runs, data, part)
        if output_format == "json":
            typer.echo(to_json(results))
            return
        console.table(["figure", "value"], [(name, _cell(value)) for name, value in _flat(results)])


def compare(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="out_of_fold.npz of crossvals, the baseline first.")],
    out: Annotated[Path | None, typer.Option(help="JSON results, too.")] = None,
    output_format: FormatOption = "table",
) -> None:
    """What settings are worth, photographs paired (extra `train`).

    On the photographs that both predicted without having learned them, with 95 % bootstrap intervals.
    """
    if len(files) < 2:
        raise UsageError("give two files or more: what to compare with, and what to compare")
    with _research("compare"):
        from acne_edge.evaluation.tables import to_json
        from acne_edge.files import write
        from acne_edge.training.studies.compare import compare_files, markdown

        results = compare_files(files)
        content = to_json(results)
        if out is not None:
            write(out, (content + "\n").encode())
        typer.echo(content if output_format == "json" else f"{results['images']} photographs\n\n{markdown(results)}")


def subject_groups(
    data: DataOption,
    weights: Annotated[Path, typer.Option(help="Directory of the ImageNet weights.")],
    out: Annotated[Path, typer.Option(help="CSV of file and group.")] = Path("subject_groups.csv"),
) -> None:
    """Group photographs of one person or session (extra `train`).

    By the similarity of ImageNet features and by neighbouring numbers, for the grouped protocol; minutes on two cores.
    """
    with _research("subject-groups"):
        from acne_edge.training import data as acne04
        from acne_edge.training.studies import subject_groups as found

        samples = acne04.read_samples(data, "NNEW_trainval_0.txt")
        names = [s.name for s in samples]
        features = found.imagenet_features(acne04.load_images(samples, 224), weights)
        groups = found.find_groups(names, found.similarity(features), acne04.read_pairs(data / "duplicates.csv"))
        acne04.write_groups(out, names, groups)
        typer.echo(f"{out}: {len(names)} photographs in {len(set(groups.tolist()))} groups")


def _print_figures(what: str, metrics: Mapping[str, Any]) -> None:
    """A row of figures for each part or run that was measured; accuracies in percent."""
    if not metrics:
        typer.echo("nothing was held out, so there are no figures")
        return
    rows: list[Sequence[str]] = []
    for name, found in metrics.items():
        row = [name, str(found["grade"]["combined"]["n"])]
        for column, path in FIGURES.items():
            value = found[path[0]][path[1]][path[2]]
            row.append(f"{100 * value:.1f} %" if path[2].endswith("accuracy") else _cell(value, 3 if column == "QWK" else 2))
        rows.append(row)
    console.table([what, "n", *FIGURES], rows)


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested results with their names; curves, which are lists, are left to JSON."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}: ")
        elif not isinstance(value, list):
            yield above + name, value


def _cell(value: Any, digits: int = 3) -> str:
    if value is None or value != value:
        return "-"
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)
