"""The commands of `acne-edge` that train and compare.

They need the extra `train`; their help does not, because a command imports its dependencies only when it runs.
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
OwnDataOption = Annotated[
    Path,
    typer.Option(
        "--data",
        help="ACNE04 in the layout of its distribution; or a list of one's own photographs, which lie below its folder: a table "
        "(file, count, perhaps grade and group) or an annotated set (.json).",
    ),
]
DeviceOption = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto takes a GPU if there is one.")]
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="Output format.")]
ConfigOption = Annotated[Path | None, typer.Option(help="YAML file with any of these settings; the command line wins.")]
FIGURES = {  # path of each figure in a run's metrics; grades by both heads together, by the grade head, by the count
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
        option = typer.Option(help=f"{meaning} [{str(setting.default).lower() if setting.default not in ((), '') else 'none'}]")
        annotation: Any = Annotated[(list[int] if several else kind) | None, option]
        options.append(inspect.Parameter(setting.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation))
    given = inspect.signature(command, eval_str=True).parameters.values()
    own = [p for p in given if p.kind is not inspect.Parameter.VAR_KEYWORD]
    command.__signature__ = inspect.Signature([*own, *options])  # type: ignore[attr-defined]
    return command


@contextmanager
def _research(command: str) -> Iterator[None]:
    """Around a command: logs to stderr, and reports a missing package on one line."""
    console.log_to_stderr()
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "train", f"acne-edge {command}") from error


@contextmanager
def _resumable(*flags: str) -> Iterator[None]:
    """Around work that the same command with `flags` can resume: if it is interrupted, the error says so."""
    given = [a for a in sys.argv[1:] if a != "--overwrite"]
    again = shlex.join(["acne-edge", *given, *(flag for flag in flags if flag not in given)])
    with console.resumable(f"finished work is kept; to resume: {again}"):
        yield


@_with_settings
def train(
    data: OwnDataOption,
    model_path: Annotated[Path, typer.Option(help="Directory of the run: settings, logs, checkpoints.")] = Path("runs/acne-edge"),
    weights: Annotated[
        Path | None,
        typer.Option(help="Directory of the ImageNet weights, or the model.safetensors of an earlier run [none: from scratch]."),
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(help="The model.safetensors of a run that gives the share --distill of the targets [that of --weights]."),
    ] = None,
    config: ConfigOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume a stopped run, or prolong it with a larger --epochs.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run that is there already; it is lost.")] = False,
    device: DeviceOption = "auto",
    output_format: FormatOption = "table",
    **settings: Any,
) -> None:
    """Train the network on ACNE04, or on photographs of one's own (extra `train`).

    It ends with figures for the photographs that were held out. The default run takes about an hour: an epoch of 1082 to 1165
    photographs took 100 to 145 seconds (two Zen 3 cores, 256 pixels, float32, 2026-11). You may stop a run at any time;
    --resume continues it to the same weights. A larger --epochs then prolongs it: the learning rate rises again to its value
    at that point of the longer run, and falls from there.
    """
    with _research("train"):
        from acne_edge.evaluation.tables import to_json
        from acne_edge.training.loop import Trainer, duration

        given = {name: value for name, value in settings.items() if value not in (None, [])}
        trainer = Trainer(TrainConfig.resolve(config, **given), data, model_path, weights, device, teacher=teacher)
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
        typer.Option(help="Directory of the ImageNet weights, or of an earlier crossval to continue [none: from scratch]."),
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(help="Directory of an earlier crossval; its run of the same fold gives the share `distill` of the targets."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Directory of the runs and the tables.")] = Path("runs/crossval"),
    study: Annotated[list[str] | None, typer.Option(help="Rows to compare (repeatable) [methods].")] = None,
    row: Annotated[list[str] | None, typer.Option(help="Train only these rows of the studies (repeatable) [all].")] = None,
    fold: Annotated[list[int] | None, typer.Option(min=1, max=4, help="Fold to train and table (repeatable) [1 2 3 4].")] = None,
    protocol: Annotated[
        Protocol | None, typer.Option(help="official: ACNE04's folds; grouped: each person in one fold [official].")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with settings that all rows share.")] = None,
    device: DeviceOption = "auto",
    tables_only: Annotated[bool, typer.Option("--tables-only", help="Train nothing; print tables of finished runs.")] = False,
    output_format: FormatOption = "table",
) -> None:
    """Compare settings by cross-validation (extra `train`).

    Tables are printed, and written as Markdown and JSON. Each row and fold is one run, which takes about half an hour (18 epochs
    of 873 photographs, two Zen 3 cores, 256 pixels, float32, 2026-11). The same command resumes where it was stopped.
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
                    cv.train_rows(base, chosen, folds, data, weights, out, device, teacher)
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
    earlier: Annotated[Path, typer.Argument(metavar="RUN", help="Directory of a finished run that held photographs out.")],
    data: DataOption,
    out: Annotated[Path, typer.Option(help="Directory of the runs.")] = Path("runs/refit"),
    config: Annotated[Path | None, typer.Option(help="YAML file with settings that replace the earlier run's.")] = None,
    parts: Annotated[int, typer.Option(min=2, help="Measuring runs, each without one part of the held-out photographs.")] = 2,
    device: DeviceOption = "auto",
    output_format: FormatOption = "table",
) -> None:
    """Continue a run with the photographs that it held out (extra `train`).

    One run leaves out each part of them, to measure; the last run takes all. Three runs took 85 minutes (14 epochs of 1082 to
    1165 photographs, two Zen 3 cores, 256 pixels, float32, 2026-11). The same command resumes where it was stopped.
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
        typer.echo(f"{out / 'all'}: the run on all photographs; {Run(out).out_of_fold}: what the other runs predict")


def average(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Directories of finished runs; the first gives settings.")],
    data: OwnDataOption,
    out: Annotated[Path, typer.Option(help="Directory of the new run.")] = Path("runs/average"),
    device: DeviceOption = "auto",
    output_format: FormatOption = "table",
) -> None:
    """Average the weights of finished runs into one network (extra `train`).

    The runs continued one and the same network, and learned and held out the same photographs. Their average is often better than
    each, and costs a device no more. It is a finished run: `analyse` and `python -m export` take it.
    """
    with _research("average"):
        from acne_edge.evaluation.tables import to_json
        from acne_edge.training.average import average as mean

        results = mean(runs, data, out, device)
        if output_format == "json":
            typer.echo(to_json({"run": str(out), "metrics": results["metrics"]}, indent=2))
            return
        _print_figures("part", results["metrics"])
        typer.echo(f"{out}: the average of {len(runs)} runs")


def analyse(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Finished runs, measured together.")],
    data: DataOption,
    part: Annotated[Literal["val", "test"], typer.Option(help="Which held-out photographs; test for runs on folds.")] = "val",
    output_format: FormatOption = "table",
) -> None:
    """Analyse where runs see lesions and what they rely on (extra `train`).

    Also: what they count on clear skin, how well calibrated they are, and whether they detect the source of a photograph. Takes
    minutes on two cores. `python -m export card` reads the output of `--format json`.
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
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files out_of_fold.npz, the baseline first.")],
    out: Annotated[Path | None, typer.Option(help="Also write JSON results here.")] = None,
    output_format: FormatOption = "table",
) -> None:
    """Compare finished runs photograph by photograph (extra `train`).

    Uses the photographs that all of them predicted without training on them; with 95 % bootstrap intervals.
    """
    if len(files) < 2:
        raise UsageError("give two files or more: the baseline, then those to compare with it")
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
    out: Annotated[Path, typer.Option(help="CSV with the columns file and group.")] = Path("subject_groups.csv"),
) -> None:
    """Group photographs that show one person or session (extra `train`).

    Groups follow from similar ImageNet features and neighbouring numbers, for the grouped protocol. Takes minutes on two cores.
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
    """Print a row of figures for each measured part or run; accuracies in percent."""
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
    """The leaves of nested results with their names; lists (curves) are only in the JSON."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}: ")
        elif not isinstance(value, list):
            yield above + name, value


def _cell(value: Any, digits: int = 3) -> str:
    if value is None or value != value:
        return "-"
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)
