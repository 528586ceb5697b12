"""The command `acne-edge`. Heavy modules are imported inside the commands, so that `--help` is instant.

Exit codes: 0 ok, 1 an error of acne-edge itself, 2 usage, 3 some or all images failed, 4 model refused, 5 all abstained,
130 interrupted.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from acne_edge.errors import AcneEdgeError, ImageNotFoundError, UsageError

if TYPE_CHECKING:
    from acne_edge.grader import AcneGrader
    from acne_edge.image import ImageSource
    from acne_edge.prediction import Failure, Prediction

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Count acne lesions and grade severity from photographs, on this device, offline. Not a medical device.",
)


class Format(str, Enum):
    """How predictions are printed."""

    table = "table"
    json = "json"
    jsonl = "jsonl"
    csv = "csv"


ModelOption = Annotated[
    str | None, typer.Option("--model", "-m", help="Shipped model's name, or an ONNX file [the default model].")
]
BackendOption = Annotated[str, typer.Option(help="Runtime: auto, onnxruntime, openvino or tensorrt.")]
ThreadsOption = Annotated[int, typer.Option(min=0, help="Threads inside an operator; 0 lets the runtime choose.")]
ScaleOption = Annotated[str | None, typer.Option(help="Severity scale: hayashi or report [the model's own].")]
QualityOption = Annotated[str, typer.Option(help="For a poor capture: warn (reason codes), abstain, or fail before inference.")]


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    context.obj = debug
    if version:
        from acne_edge import __version__

        typer.echo(f"acne-edge {__version__}")
        raise typer.Exit


@app.command()
def predict(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Images, directories, globs, or - for bytes on stdin.")],
    output: Annotated[Format, typer.Option("--format", "-f", help="How to print.")] = Format.table,
    model: ModelOption = None,
    scale: ScaleOption = None,
    backend: BackendOption = "auto",
    threads: ThreadsOption = 0,
    on_poor_quality: QualityOption = "warn",
    lesion_map: Annotated[bool, typer.Option("--lesion-map", help="Include the lesion map in json and jsonl.")] = False,
) -> None:
    """Predict lesion count, interval and severity grade for each image. One bad image never stops the others."""
    from acne_edge.grader import AcneGrader

    tally: dict[str, int] = {}
    with AcneGrader.load(model, backend=backend, threads=threads, scale=scale, on_poor_quality=on_poor_quality) as grader:
        printer = _PRINTERS[output]
        printer(_tallied(_predict(grader, paths), tally), lesion_map)
    if tally.get("failed"):
        raise typer.Exit(3)
    if tally.get("images") and tally.get("abstained") == tally["images"]:
        raise typer.Exit(5)


@app.command()
def watch(
    directory: Annotated[Path, typer.Argument(help="Directory that photographs arrive in.")],
    settle: Annotated[float, typer.Option(min=0.0, help="Seconds without a change after which a file is whole.")] = 1.0,
    model: ModelOption = None,
    scale: ScaleOption = None,
    backend: BackendOption = "auto",
    threads: ThreadsOption = 0,
    on_poor_quality: QualityOption = "warn",
) -> None:
    """Predict each photograph that arrives in a directory, once, as JSONL, until SIGINT or SIGTERM."""
    import signal
    from threading import Event

    from acne_edge.grader import AcneGrader
    from acne_edge.watching import DirectoryWatch

    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    looker = DirectoryWatch(directory, settle)
    with AcneGrader.load(model, backend=backend, threads=threads, scale=scale, on_poor_quality=on_poor_quality) as grader:
        grader.warmup()
        for path in looker.files(stop):
            _print_jsonl(_tallied([grader.attempt(path)], {}), lesion_map=False)
            sys.stdout.flush()
            looker.done(path)


@app.command()
def evaluate(
    images: Annotated[Path, typer.Argument(help="Directory of the photographs.")],
    labels: Annotated[Path, typer.Argument(metavar="LIST", help="List file: 'name grade count' a line.")],
    model: ModelOption = None,
    backend: BackendOption = "auto",
    threads: ThreadsOption = 0,
) -> None:
    """Measure a model on labelled photographs, the way a device runs it; prints JSON."""
    from acne_edge.evaluation import evaluate_list
    from acne_edge.grader import AcneGrader

    with AcneGrader.load(model, backend=backend, threads=threads) as grader:
        typer.echo(json.dumps(evaluate_list(grader, images, labels), indent=2))


@app.command()
def info(model: ModelOption = None, backend: BackendOption = "auto") -> None:
    """Show the model's manifest, its sha256 and the backend that runs it, as JSON."""
    from acne_edge.grader import AcneGrader

    with AcneGrader.load(model, backend=backend) as grader:
        shown = {
            "model": vars(grader.model),
            "backend_reason": grader.backend_reason,
            "manifest": json.loads(grader.manifest.to_json()),
        }
        typer.echo(json.dumps(shown, indent=2))


@app.command()
def doctor() -> None:
    """Say what this machine can do, by trying, and what to install for the rest."""
    from acne_edge.doctor import diagnose

    healthy = True
    for check in diagnose():
        healthy = healthy and check.ok is not False
        mark = {True: "ok", False: "FAIL", None: "-"}[check.ok]
        typer.echo(f"{mark:<6}{check.name:<20} {check.detail}")
    if not healthy:
        raise typer.Exit(4)


@app.command()
def bench(
    image: Annotated[Path | None, typer.Option(help="Photograph [a drawn 3112x3456 JPEG].")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Measured predictions; p99 needs 100.")] = 200,
    warmup: Annotated[int, typer.Option(min=0, help="Predictions before them.")] = 20,
    model: ModelOption = None,
    backend: Annotated[list[str] | None, typer.Option(help="Runtime (repeatable) [auto].")] = None,
    threads: Annotated[list[int] | None, typer.Option(min=0, help="Threads (repeatable) [0: the runtime chooses].")] = None,
    baseline: Annotated[str | None, typer.Option(help="torch: add full decode + PyTorch eager of --checkpoint.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Checkpoint for --baseline torch.")] = None,
    baseline_model: Annotated[Path | None, typer.Option(help="Add full decode + ONNX Runtime of this ONNX file.")] = None,
    cpp: Annotated[Path | None, typer.Option(help="Add the C++ library, by the path of acne_edge_bench.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Measure latency by stage, cold start, throughput and memory; contenders take turns in one run."""
    import tempfile

    from acne_edge import benchmark
    from acne_edge.grader import AcneGrader

    if baseline not in (None, "torch") or (baseline is None) != (checkpoint is None):
        raise UsageError("--baseline torch and --checkpoint FILE go together")
    with tempfile.TemporaryDirectory() as folder:
        if image is None:
            image = Path(folder) / "drawn.jpg"
            image.write_bytes(benchmark.drawn_photograph())
        photograph = _read_image(image)
        choices = [(b, t) for b in backend or ["auto"] for t in threads or [0]]
        graders = [AcneGrader.load(model, backend=b, threads=t) for b, t in choices]
        contenders = [
            benchmark.sdk(g, f"{g.model.backend}, {t or 'automatic'} threads") for g, (_, t) in zip(graders, choices, strict=True)
        ]
        if checkpoint is not None:
            contenders.append(benchmark.torch_baseline(checkpoint, choices[0][1]))
        if baseline_model is not None:
            contenders.append(benchmark.onnx_baseline(baseline_model, choices[0][1]))
        reports = benchmark.measure(contenders, photograph, samples, warmup)
        if cpp is not None:
            reports.append(benchmark.cpp_report(cpp, image, samples, warmup))
        report = {
            "schema": benchmark.SCHEMA,
            "tool": "acne-edge bench",
            "model": vars(graders[0].model),
            "environment": benchmark.environment(),
            "samples": samples,
            "contenders": reports,
            "throughput": benchmark.throughput(graders[0], photograph, max(16, samples // 4)),
            "peak_rss_mb": benchmark.peak_rss_mb(),
            "cold_start": benchmark.cold_start(image, model),
        }
        for grader in graders:
            grader.close()
    typer.echo(json.dumps(report, indent=2) if as_json else benchmark.table(report))


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
    balance: Annotated[float | None, typer.Option(help="0 draws photographs as they are, 1 every grade equally often.")] = None,
    frequency: Annotated[int | None, typer.Option(help="Epochs between evaluations.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="adam or sgd.")] = None,
    dropout: Annotated[float | None, typer.Option(help="Dropout before the heads.")] = None,
    freeze_stem: Annotated[bool | None, typer.Option(help="Keep the ResNet's first stages as pretrained.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
) -> None:
    """Train the network on ACNE04. Needs the extra `train`."""
    with _training("acne-edge train"):
        from acne_edge.training.config import TrainConfig
        from acne_edge.training.loop import Trainer
    given = {
        name: value
        for name, value in locals().items()
        if name in TrainConfig.__dataclass_fields__ and value is not None and value != []
    }
    resolved = TrainConfig.resolve(config, **given)
    trainer = Trainer(resolved, data, model_path, weights, device)
    results = trainer.fit(resume, say=lambda line: typer.echo(line, err=True), progress=_progress)
    typer.echo(json.dumps({"run": str(model_path), "metrics": results["metrics"]}, indent=2))


@app.command()
def crossval(
    data: Annotated[Path, typer.Option("--data", help="ACNE04 in the layout of its distribution.")],
    weights: Annotated[Path | None, typer.Option(help="Directory of the ImageNet weights; none: from scratch.")] = None,
    out: Annotated[Path, typer.Option(help="Directory of the runs and the tables.")] = Path("runs/crossval"),
    study: Annotated[list[str] | None, typer.Option(help="Rows to compare (repeatable) [methods].")] = None,
    fold: Annotated[list[int] | None, typer.Option(min=1, max=4, help="Fold (repeatable) [1 2 3 4].")] = None,
    protocol: Annotated[str, typer.Option(help="official: ACNE04's folds; grouped: look-alikes kept in one fold.")] = "official",
    config: Annotated[Path | None, typer.Option(help="YAML of settings that all rows share.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    tables_only: Annotated[bool, typer.Option("--tables-only", help="Train nothing; tables of what is finished.")] = False,
) -> None:
    """Train rows of settings on the folds, resumably, and write their tables as Markdown and JSON. Needs the extra `train`."""
    with _training("acne-edge crossval"):
        from acne_edge.training import crossval as cv
        from acne_edge.training.config import TrainConfig
    unknown = [name for name in study or [] if name not in cv.STUDIES]
    if unknown:
        raise UsageError(f"unknown study {unknown[0]!r}; known: {', '.join(cv.STUDIES)}")
    base = TrainConfig.resolve(config, protocol=protocol)
    folds = fold or list(cv.FOLDS)
    for name in study or ["methods"]:
        rows = cv.STUDIES[name]
        if not tables_only:
            cv.train_rows(base, rows, folds, data, weights, out, device, say=lambda line: typer.echo(line, err=True))
        results = cv.summarize(base, rows, cv.FOLDS, out)
        table = cv.markdown(results, name)
        (out / f"{name}-{protocol}.json").write_text(json.dumps(results, indent=1) + "\n")
        (out / f"{name}-{protocol}.md").write_text(table)
        typer.echo(table)


@app.command()
def analyse(
    run: Annotated[Path, typer.Argument(help="Directory of a finished run.")],
    data: Annotated[Path, typer.Option("--data", help="ACNE04 in the layout of its distribution.")],
    part: Annotated[str, typer.Option(help="val, or test for a run on a fold.")] = "val",
) -> None:
    """Localisation, clear skin, calibration and shortcuts of a run, as JSON. Needs the extra `train`."""
    with _training("acne-edge analyse"):
        from acne_edge.training.analysis import analyse as measure
    typer.echo(json.dumps(measure(run, data, part), indent=1))


@app.command()
def lookalikes(
    data: Annotated[Path, typer.Option("--data", help="ACNE04 in the layout of its distribution.")],
    weights: Annotated[Path, typer.Option(help="Directory of the ImageNet weights.")],
    out: Annotated[Path, typer.Option(help="CSV of file and group.")] = Path("lookalikes.csv"),
) -> None:
    """Group the photographs that show one person or one session, for the grouped protocol. Needs the extra `train`."""
    with _training("acne-edge lookalikes"):
        from acne_edge.training import data as acne04
        from acne_edge.training import lookalikes as found
    samples = acne04.read_samples(data, "NNEW_trainval_0.txt")
    names = [s.name for s in samples]
    features = found.imagenet_features(acne04.load_images(samples, 224), weights)
    groups = found.find_groups(names, found.similarity(features), acne04.read_pairs(data / "duplicates.csv"))
    found.write_groups(out, names, groups)
    typer.echo(f"{out}: {len(names)} photographs in {len(set(groups.tolist()))} groups")


@contextmanager
def _training(what: str) -> Iterator[None]:
    """Imports inside name the extra `train` where a package is missing."""
    try:
        yield
    except ImportError as error:
        from acne_edge.errors import MissingExtraError

        raise MissingExtraError(error.name or "torch", "train", what) from error


def _predict(grader: AcneGrader, paths: list[str]) -> Iterator[Prediction | Failure]:
    sources, failures = _expand(paths)
    yield from failures
    results: Iterable[Prediction | Failure] = grader.predict_many(sources)
    if len(sources) > 8:
        results = _progress(iter(results), "predicting", len(sources))
    yield from results


def _expand(paths: list[str]) -> tuple[list[ImageSource], list[Failure]]:
    """Directories and globs to the images in them, sorted; what holds none is a failure."""
    from glob import glob

    from acne_edge.image import SUFFIXES
    from acne_edge.prediction import Failure

    sources: list[ImageSource] = []
    failures: list[Failure] = []
    for path in paths:
        if path == "-":
            sources.append(sys.stdin.buffer.read())
        elif os.path.isdir(path):
            inside = sorted(str(p) for p in Path(path).rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
            sources += inside
            if not inside:
                failures.append(Failure(path, ImageNotFoundError(f"directory without images ({' '.join(SUFFIXES)})")))
        elif any(c in path for c in "*?[") and not os.path.exists(path):
            inside = sorted(glob(path, recursive=True))
            sources += inside
            if not inside:
                failures.append(Failure(path, ImageNotFoundError("no file matches")))
        else:
            sources.append(path)
    return sources, failures


def _tallied(results: Iterable[Prediction | Failure], tally: dict[str, int]) -> Iterator[Prediction | Failure]:
    """Count what passes; name each failure on stderr."""
    for result in results:
        tally["images"] = tally.get("images", 0) + 1
        if result.ok:
            tally["abstained"] = tally.get("abstained", 0) + bool(result.abstained)  # type: ignore[union-attr]
        else:
            tally["failed"] = tally.get("failed", 0) + 1
            _complain(f"{result.path or 'input'}: {result.error}")  # type: ignore[union-attr]
        yield result


def _print_jsonl(results: Iterable[Prediction | Failure], lesion_map: bool) -> None:
    for result in results:
        typer.echo(json.dumps(_record(result, lesion_map)))


def _print_json(results: Iterable[Prediction | Failure], lesion_map: bool) -> None:
    separator = "["
    for result in results:
        typer.echo(separator + "\n" + json.dumps(_record(result, lesion_map), indent=2), nl=False)
        separator = ","
    typer.echo("\n]" if separator == "," else "[]")


def _record(result: Prediction | Failure, lesion_map: bool) -> dict[str, Any]:
    return result.to_dict(lesion_map) if result.ok and lesion_map else result.to_dict()  # type: ignore[call-arg]


CSV_COLUMNS = (
    "path", "count", "low", "high", "grade", "label", "probability", "grade_set", "scale", "abstained", "quality", "error",
)  # fmt: skip


def _print_csv(results: Iterable[Prediction | Failure], lesion_map: bool) -> None:
    writer = csv.DictWriter(sys.stdout, CSV_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for result in results:
        writer.writerow(_row(result))


def _row(result: Prediction | Failure) -> dict[str, Any]:
    r = result.to_dict()
    if "error" in r:
        return {"path": r["path"], "error": r["error"]["code"]}
    return {
        "path": r["path"],
        "count": r["count"],
        "low": r["count_interval"]["low"],
        "high": r["count_interval"]["high"],
        "grade": r["grade"]["index"],
        "label": r["grade"]["label"],
        "probability": r["grade_probs"][r["grade"]["index"]],
        "grade_set": " ".join(map(str, r["grade_set"])),
        "scale": r["scale"],
        "abstained": r["abstained"] or "",
        "quality": " ".join(r["quality"]["reasons"]),
    }


def _print_table(results: Iterable[Prediction | Failure], lesion_map: bool) -> None:
    """Aligned columns, a line as soon as its image is done; the path comes last because it has no fixed width."""
    typer.echo(f"{'lesions':>7}  {'interval':<9} {'grade':<16} {'p':<5} {'quality':<12} image")
    for result in results:
        r = _row(result)
        if r.get("error"):
            typer.echo(f"{'-':>7}  {'-':<9} {'-':<16} {'-':<5} {'-':<12} {r['path']}  [{r['error']}]")
            continue
        interval = f"{r['low']}-{r['high']}"
        label = r["label"] + (" (abstained)" if r["abstained"] else "")
        quality, path = r["quality"] or "ok", r["path"] or "-"
        typer.echo(f"{r['count']:>7.1f}  {interval:<9} {label:<16} {r['probability']:<5.2f} {quality:<12} {path}")


_PRINTERS = {Format.table: _print_table, Format.json: _print_json, Format.jsonl: _print_jsonl, Format.csv: _print_csv}


def _progress(items: Iterator[Any], label: str, total: int) -> Iterator[Any]:
    """A progress bar on stderr, only on a terminal."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(items, label, total, console=Console(stderr=True), transient=True)


def _read_image(path: Path) -> bytes:
    from acne_edge.image import decode

    decode(path)  # refuses what cannot be benchmarked, with its usual words
    return path.read_bytes()


def _complain(message: str) -> None:
    typer.echo("acne-edge: " + " ".join(message.split()), err=True)


@contextmanager
def _quiet_pipe() -> Iterator[None]:
    """`acne-edge ... | head` ends without a word when head has seen enough."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def main() -> None:
    """Run the command line; errors become one line and an exit code."""
    debug = "--debug" in sys.argv[1:]
    arguments = [a for a in sys.argv[1:] if a != "--debug"]
    try:
        with _quiet_pipe():
            app(arguments)
    except AcneEdgeError as error:
        if debug:
            raise
        _complain(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _complain("interrupted")
        sys.exit(130)
    except OSError as error:
        if debug:
            raise
        where = f"{error.filename}: " if error.filename else ""
        _complain(f"{where}{error.strerror or error}")
        sys.exit(1)
    except Exception as error:
        if debug:
            raise
        _complain(f"internal error: {type(error).__name__}: {error}; run again with --debug and report it")
        sys.exit(1)
