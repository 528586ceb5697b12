"""The command `acne-edge`. Modules are imported inside the commands, so that `--help` is instant and no command pays for another.

Exit codes: 0 ok, 1 an error of acne-edge itself, 2 usage, 3 some or all images failed, 4 model refused, 5 all abstained,
130 interrupted.
"""

from __future__ import annotations

import copy
import gc
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from acne_edge import __version__
from acne_edge.errors import AcneEdgeError, ImageNotFoundError, MissingExtraError, UsageError

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

ModelOption = Annotated[
    str | None, typer.Option("--model", "-m", help="Shipped model's name, or an ONNX file [the default model].")
]
BackendOption = Annotated[str, typer.Option(help="Runtime: auto, onnxruntime, openvino or tensorrt.")]
ThreadsOption = Annotated[int, typer.Option(min=0, help="Threads inside an operator; 0 lets the runtime choose.")]
StrictOption = Annotated[bool, typer.Option("--strict", help="Refuse a runtime, or a device, other than the one that fits best.")]
ScaleOption = Annotated[str | None, typer.Option(help="Severity scale: hayashi or report [the model's own].")]
QualityOption = Annotated[str, typer.Option(help="For a poor capture: warn (reason codes), abstain, or fail before inference.")]


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,  # `main` reads it
) -> None:
    if version:
        print(f"acne-edge {__version__}")
        raise typer.Exit


@app.command()
def predict(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Images, directories, globs, or - for bytes on stdin.")],
    output: Annotated[Literal["table", "json", "jsonl", "csv"], typer.Option("--format", "-f", help="How to print.")] = "table",
    model: ModelOption = None,
    scale: ScaleOption = None,
    backend: BackendOption = "auto",
    threads: ThreadsOption = 0,
    strict: StrictOption = False,
    on_poor_quality: QualityOption = "warn",
    lesion_map: Annotated[bool, typer.Option("--lesion-map", help="Include the lesion map in json and jsonl.")] = False,
) -> None:
    """Predict lesion count, interval and severity grade for each image. One bad image never stops the others."""
    tally: dict[str, int] = {}
    with _grader(model, backend, threads, strict, scale, on_poor_quality) as grader:
        results = _tallied(_predict(grader, paths), tally)
        first = list(islice(results, 1))  # a model that is refused is refused before anything is printed
        _PRINTERS[output](chain(first, results), lesion_map)
    if tally.get("failed"):
        raise typer.Exit(3)
    if tally.get("images") and tally.get("abstained") == tally["images"]:
        raise typer.Exit(5)


@app.command()
def watch(
    directory: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="Directory that photographs arrive in.")] = None,
    camera: Annotated[
        str | None, typer.Option(help="Instead: a camera's number, a stream's URL, or a video file (extra `camera`).")
    ] = None,
    smoothing: Annotated[float, typer.Option(min=0.0, help="Of --camera: time constant in seconds.")] = 2.0,
    settle: Annotated[float, typer.Option(min=0.0, help="Seconds without a change after which a file is whole.")] = 1.0,
    model: ModelOption = None,
    scale: ScaleOption = None,
    backend: BackendOption = "auto",
    threads: ThreadsOption = 0,
    strict: StrictOption = False,
    on_poor_quality: QualityOption = "warn",
) -> None:
    """Predict what arrives in a directory, or a camera shows, as JSONL, until SIGINT or SIGTERM."""
    import signal
    from threading import Event

    if (directory is None) == (camera is None):
        raise UsageError("watch wants a directory or --camera SOURCE")
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    if camera is not None:
        from acne_edge.camera import Camera

        source = Camera(camera, say=_complain)
        with _grader(model, backend, threads, strict, scale, on_poor_quality) as grader:
            grader.warmup()
            for seen in grader.stream(source, smoothing=smoothing, stop=stop):
                print(json.dumps(seen.to_dict()), flush=True)
        return
    assert directory is not None
    from acne_edge.watching import DirectoryWatch

    looker = DirectoryWatch(directory, settle)
    with _grader(model, backend, threads, strict, scale, on_poor_quality) as grader:
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
    strict: StrictOption = False,
) -> None:
    """Measure a model on labelled photographs, the way a device runs it; prints JSON."""
    from acne_edge.evaluation import evaluate_list

    with _grader(model, backend, threads, strict) as grader:
        print(json.dumps(evaluate_list(grader, images, labels), indent=2))


@app.command()
def info(
    model: ModelOption = None, backend: BackendOption = "auto", threads: ThreadsOption = 0, strict: StrictOption = False
) -> None:
    """Show a model's manifest and sha256, the backend that runs it and why, as JSON."""
    with _grader(model, backend, threads, strict) as grader:
        shown = {
            "model": vars(grader.model),
            "backend_reason": grader.backend_reason,
            "manifest": json.loads(grader.manifest.to_json()),
        }
        print(json.dumps(shown, indent=2))


@app.command()
def doctor() -> None:
    """Say what this machine can do, by trying, and what to install for the rest."""
    from acne_edge.doctor import diagnose

    healthy = True
    for check in diagnose():
        healthy = healthy and check.ok is not False
        mark = {True: "ok", False: "FAIL", None: "-"}[check.ok]
        print(f"{mark:<6}{check.name:<20} {check.detail}", flush=True)
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
    openvino_model: Annotated[Path | None, typer.Option(help="Add the SDK with this ONNX file in OpenVINO.")] = None,
    cpp: Annotated[Path | None, typer.Option(help="Add the C++ library, by the path of acne_edge_bench.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Measure latency by stage, cold start, throughput and memory; contenders take turns in one run."""
    import tempfile
    from contextlib import ExitStack

    from acne_edge import benchmark
    from acne_edge.grader import AcneGrader

    if baseline not in (None, "torch") or (baseline is None) != (checkpoint is None):
        raise UsageError("--baseline torch and --checkpoint FILE go together")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
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
        if openvino_model is not None:
            graders.append(AcneGrader.load(openvino_model, backend="openvino", threads=choices[0][1]))
            contenders.append(benchmark.sdk(graders[-1], f"OpenVINO {openvino_model.name}"))
        if cpp is not None:
            contenders.append(running.enter_context(benchmark.cpp_library(cpp, image, model, choices[0][1])))
        reports = benchmark.measure(contenders, photograph, samples, warmup)
        cold_start = benchmark.cold_start(image, model, cpp)
        report = {
            "schema": benchmark.SCHEMA,
            "tool": "acne-edge bench",
            "model": vars(graders[0].model),
            "environment": benchmark.environment(),
            "samples": samples,
            "contenders": reports,
            "throughput": benchmark.throughput(graders[0], photograph, max(16, 2 * samples)),
            "cold_start": cold_start,
        }
        for grader in graders:
            grader.close()
    print(json.dumps(report, indent=2) if as_json else benchmark.table(report))


def _hand_over(name: str) -> Callable[[typer.Context], None]:
    def command(context: typer.Context) -> None:
        try:
            from acne_edge.training import command
        except ImportError as error:
            raise MissingExtraError(error.name or "torch", "train", f"acne-edge {name}") from error
        command.app([name, *context.args], prog_name="acne-edge")

    return command


# Their many options are built only where they are used.
for _name, _help in {
    "train": "Train the network on ACNE04 (extra `train`).",
    "crossval": "Compare settings on the folds, with 95 % intervals (extra `train`).",
    "extend": "Go on from a run with the photographs that it held out (extra `train`).",
    "compare": "What settings are worth against others, photographs paired (extra `train`).",
    "analyse": "Where a run sees lesions, and whether it reads the source (extra `train`).",
    "lookalikes": "Group photographs of one person or session (extra `train`).",
}.items():
    _settings = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    app.command(_name, help=_help, context_settings=_settings)(_hand_over(_name))


def _grader(
    model: str | None, backend: str, threads: int, strict: bool, scale: str | None = None, on_poor_quality: str = "warn"
) -> AcneGrader:
    """The grader that the options describe; it loads while the rest is imported and the first photograph decoded."""
    gc.disable()  # there is no garbage to find in what is only being imported
    try:
        from acne_edge.loading import Loading

        loading = Loading(model, backend, threads, strict)
        from acne_edge.grader import AcneGrader
    finally:
        gc.freeze()
        gc.enable()
    return AcneGrader(loading, scale, on_poor_quality)


def _predict(grader: AcneGrader, paths: list[str]) -> Iterator[Prediction | Failure]:
    sources, failures = _expand(paths)
    yield from failures
    results: Iterable[Prediction | Failure] = grader.predict_many(sources)
    if len(sources) > 8:
        results = progress(iter(results), "predicting", len(sources))
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
            _complain(f"{result.path or 'input'}: {result.error.message}")  # type: ignore[union-attr]
        yield result


def _print_jsonl(results: Iterable[Prediction | Failure], lesion_map: bool) -> None:
    for result in results:
        print(json.dumps(_record(result, lesion_map)))


def _print_json(results: Iterable[Prediction | Failure], lesion_map: bool) -> None:
    separator = "["
    for result in results:
        print(separator + "\n" + json.dumps(_record(result, lesion_map), indent=2), end="")
        separator = ","
    print("\n]" if separator == "," else "[]")


def _record(result: Prediction | Failure, lesion_map: bool) -> dict[str, Any]:
    return result.to_dict(lesion_map) if result.ok and lesion_map else result.to_dict()  # type: ignore[call-arg]


CSV_COLUMNS = (
    "path", "count", "low", "high", "grade", "label", "probability", "grade_set", "scale", "abstained", "quality", "error",
)  # fmt: skip


def _print_csv(results: Iterable[Prediction | Failure], lesion_map: bool) -> None:
    import csv

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
    print(f"{'lesions':>7}  {'interval':<9} {'grade':<16} {'p':<5} {'quality':<12} image")
    for result in results:
        r = _row(result)
        if r.get("error"):
            print(f"{'-':>7}  {'-':<9} {'-':<16} {'-':<5} {'-':<12} {r['path']}  [{r['error']}]")
            continue
        interval = f"{r['low']}-{r['high']}"
        label = r["label"] + (" (abstained)" if r["abstained"] else "")
        quality, path = r["quality"] or "ok", r["path"] or "-"
        print(f"{r['count']:>7.1f}  {interval:<9} {label:<16} {r['probability']:<5.2f} {quality:<12} {path}")


_PRINTERS = {"table": _print_table, "json": _print_json, "jsonl": _print_jsonl, "csv": _print_csv}


def progress(items: Iterator[Any], label: str, total: int) -> Iterator[Any]:
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
    print("acne-edge: " + " ".join(message.split()), file=sys.stderr)


@contextmanager
def _quiet_pipe() -> Iterator[None]:
    """`acne-edge ... | head` ends without a word when head has seen enough."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _called(arguments: list[str]) -> typer.Typer:
    """The command line without the commands that `arguments` do not name: every parser that is built takes its time."""
    named = [c for c in app.registered_commands if (c.name or c.callback.__name__) in arguments]  # type: ignore[union-attr]
    some = copy.copy(app)
    some.registered_commands = named or app.registered_commands
    return some


def main() -> None:
    """Run the command line; errors become one line and an exit code."""
    debug = "--debug" in sys.argv[1:]
    arguments = [a for a in sys.argv[1:] if a != "--debug"]
    try:
        with _quiet_pipe():
            _called(arguments)(arguments)
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


def run() -> None:
    """`main` as a process: exits at once, because taking an interpreter apart in order takes a tenth of a prediction's time."""
    code: object = 0
    try:
        main()
    except SystemExit as stop:
        code = stop.code
    if "acne_edge.training" in sys.modules or not isinstance(code, int | None):
        sys.exit(code)  # type: ignore[arg-type]
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)
