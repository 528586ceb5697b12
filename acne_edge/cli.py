"""The command `acne-edge`. Modules are imported inside the commands, so that `--help` is instant and no command pays for another.

Exit codes: 0 ok, 1 an error of acne-edge itself, 2 usage, 3 some or all images failed, 4 model refused, 5 all abstained,
130 interrupted.
"""

from __future__ import annotations

import gc
import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from contextlib import contextmanager
from itertools import chain, islice

from acne_edge import __version__
from acne_edge.errors import AcneEdgeError, ImageNotFoundError, MissingExtraError, UsageError

TYPE_CHECKING = False  # as typing's, without the import of typing
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import Any

    from acne_edge.grader import AcneGrader
    from acne_edge.image import ImageSource
    from acne_edge.prediction import Failure, Prediction

TRAINING = {"train": "train the network on ACNE04 (extra `train`)"}  # commands of acne_edge/training/command.py


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        "acne-edge",
        description="Count acne lesions and grade severity from photographs, on this device, offline. Not a medical device.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"acne-edge {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(run: Callable[[Namespace], None], name: str) -> ArgumentParser:
        text = str(run.__doc__)
        added = commands.add_parser(name, help=text.splitlines()[0], description=text, allow_abbrev=False)
        added.set_defaults(run=run)
        return added

    c = command(predict, "predict")
    c.add_argument("paths", nargs="+", metavar="PATH", help="images, directories, globs, or - for bytes on stdin")
    c.add_argument("-f", "--format", choices=_PRINTERS, default="table", help="how to print [%(default)s]")
    c.add_argument("--lesion-map", action="store_true", help="include the lesion map in json and jsonl")
    _add_grader(c)

    c = command(watch, "watch")
    c.add_argument("directory", nargs="?", type=_path, metavar="DIR", help="directory that photographs arrive in")
    c.add_argument(
        "--camera", metavar="SOURCE", help="instead: a camera's number, a stream's URL, or a video file (extra `camera`)"
    )
    c.add_argument("--smoothing", type=_seconds, default=2.0, help="of --camera: time constant in seconds [%(default)s]")
    c.add_argument(
        "--settle", type=_seconds, default=1.0, help="seconds without a change after which a file is whole [%(default)s]"
    )
    _add_grader(c)

    c = command(evaluate, "evaluate")
    c.add_argument("images", type=_path, metavar="IMAGES", help="directory of the photographs")
    c.add_argument("labels", type=_path, metavar="LIST", help="list file: 'name grade count' a line")
    _add_model(c)

    c = command(info, "info")
    _add_model(c)

    command(doctor, "doctor")

    c = command(bench, "bench")
    c.add_argument("--image", type=_path, help="photograph [a drawn 3112x3456 JPEG]")
    c.add_argument("--samples", type=_at_least(1), default=200, help="measured predictions; p99 needs 100 [%(default)s]")
    c.add_argument("--warmup", type=_at_least(0), default=20, help="predictions before them [%(default)s]")
    c.add_argument("-m", "--model", help=MODEL_HELP)
    c.add_argument("--backend", nargs="+", action="extend", help="runtimes, compared [auto]")
    c.add_argument(
        "--threads",
        nargs="+",
        action="extend",
        type=_at_least(0),
        help="threads inside an operator, compared [0: as the runtime]",
    )
    c.add_argument("--baseline", choices=["torch"], help="add full decode + PyTorch eager of --checkpoint")
    c.add_argument("--checkpoint", type=_path, help="checkpoint for --baseline torch")
    c.add_argument("--baseline-model", type=_path, help="add full decode + ONNX Runtime of this ONNX file")
    c.add_argument("--cpp", type=_path, help="add the C++ library, by the path of acne_edge_bench")
    c.add_argument("--json", action="store_true", help="print the report as JSON")

    for name, text in TRAINING.items():  # `main` hands these over whole; here they are for --help
        commands.add_parser(name, help=text, add_help=False)
    return parser


MODEL_HELP = "shipped model's name, or an ONNX file [the default model]"


def _add_model(parser: ArgumentParser) -> None:
    parser.add_argument("-m", "--model", help=MODEL_HELP)
    parser.add_argument("--backend", default="auto", help="runtime: auto, onnxruntime, openvino or tensorrt [%(default)s]")
    parser.add_argument("--threads", type=_at_least(0), default=0, help="threads inside an operator; 0: the runtime chooses")
    parser.add_argument("--strict", action="store_true", help="refuse a runtime, or a device, other than the one that fits best")


def _add_grader(parser: ArgumentParser) -> None:
    _add_model(parser)
    parser.add_argument("--scale", help="severity scale: hayashi or report [the model's own]")
    parser.add_argument(
        "--on-poor-quality",
        default="warn",
        metavar="POLICY",
        help="for a poor capture: warn (reason codes), abstain, or fail before inference [%(default)s]",
    )


def _path(text: str) -> Path:
    from pathlib import Path

    return Path(text)


def _at_least(low: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < low:
            raise ArgumentTypeError(f"{value} is under {low}")
        return value

    number.__name__ = "integer"
    return number


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ArgumentTypeError(f"{text} is no time to wait")
    return value


def _grader(options: Namespace) -> AcneGrader:
    """The grader that the options describe; it loads while the rest is imported and the first photograph decoded."""
    gc.disable()  # there is no garbage to find in what is only being imported
    try:
        from acne_edge.loading import Loading

        loading = Loading(options.model, options.backend, options.threads, options.strict)
        from acne_edge.grader import AcneGrader
    finally:
        gc.freeze()
        gc.enable()
    return AcneGrader(loading, getattr(options, "scale", None), getattr(options, "on_poor_quality", "warn"))


def predict(options: Namespace) -> None:
    """Predict lesion count, interval and severity grade for each image. One bad image never stops the others."""
    tally: dict[str, int] = {}
    with _grader(options) as grader:
        results = _tallied(_predict(grader, options.paths), tally)
        first = list(islice(results, 1))  # a model that is refused is refused before anything is printed
        _PRINTERS[options.format](chain(first, results), options.lesion_map)
    if tally.get("failed"):
        sys.exit(3)
    if tally.get("images") and tally.get("abstained") == tally["images"]:
        sys.exit(5)


def watch(options: Namespace) -> None:
    """Predict what arrives in a directory, or a camera shows, as JSONL, until SIGINT or SIGTERM."""
    import signal
    from threading import Event

    if (options.directory is None) == (options.camera is None):
        raise UsageError("watch wants a directory or --camera SOURCE")
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    if options.camera is not None:
        from acne_edge.camera import Camera

        camera = Camera(options.camera, say=_complain)
        with _grader(options) as grader:
            grader.warmup()
            for seen in grader.stream(camera, smoothing=options.smoothing, stop=stop):
                print(_json(seen.to_dict()), flush=True)
        return
    from acne_edge.watching import DirectoryWatch

    looker = DirectoryWatch(options.directory, options.settle)
    with _grader(options) as grader:
        grader.warmup()
        for path in looker.files(stop):
            _print_jsonl(_tallied([grader.attempt(path)], {}), lesion_map=False)
            sys.stdout.flush()
            looker.done(path)


def evaluate(options: Namespace) -> None:
    """Measure a model on labelled photographs, the way a device runs it; prints JSON."""
    from acne_edge.evaluation import evaluate_list

    with _grader(options) as grader:
        print(_json(evaluate_list(grader, options.images, options.labels), indent=2))


def info(options: Namespace) -> None:
    """Show a model's manifest and sha256, the backend that runs it and why, as JSON."""
    import json

    with _grader(options) as grader:
        shown = {
            "model": vars(grader.model),
            "backend_reason": grader.backend_reason,
            "manifest": json.loads(grader.manifest.to_json()),
        }
        print(_json(shown, indent=2))


def doctor(options: Namespace) -> None:
    """Say what this machine can do, by trying, and what to install for the rest."""
    from acne_edge.doctor import diagnose

    healthy = True
    for check in diagnose():
        healthy = healthy and check.ok is not False
        mark = {True: "ok", False: "FAIL", None: "-"}[check.ok]
        print(f"{mark:<6}{check.name:<20} {check.detail}", flush=True)
    if not healthy:
        sys.exit(4)


def bench(options: Namespace) -> None:
    """Measure latency by stage, cold start, throughput and memory; contenders take turns in one run."""
    import tempfile

    from acne_edge import benchmark
    from acne_edge.grader import AcneGrader

    if (options.baseline is None) != (options.checkpoint is None):
        raise UsageError("--baseline torch and --checkpoint FILE go together")
    with tempfile.TemporaryDirectory() as folder:
        image = options.image
        if image is None:
            image = _path(folder) / "drawn.jpg"
            image.write_bytes(benchmark.drawn_photograph())
        photograph = _read_image(image)
        choices = [(b, t) for b in options.backend or ["auto"] for t in options.threads or [0]]
        graders = [AcneGrader.load(options.model, backend=b, threads=t) for b, t in choices]
        contenders = [
            benchmark.sdk(g, f"{g.model.backend}, {t or 'automatic'} threads") for g, (_, t) in zip(graders, choices, strict=True)
        ]
        if options.checkpoint is not None:
            contenders.append(benchmark.torch_baseline(options.checkpoint, choices[0][1]))
        if options.baseline_model is not None:
            contenders.append(benchmark.onnx_baseline(options.baseline_model, choices[0][1]))
        reports = benchmark.measure(contenders, photograph, options.samples, options.warmup)
        if options.cpp is not None:
            reports.append(benchmark.cpp_report(options.cpp, image, options.samples, options.warmup))
        report = {
            "schema": benchmark.SCHEMA,
            "tool": "acne-edge bench",
            "model": vars(graders[0].model),
            "environment": benchmark.environment(),
            "samples": options.samples,
            "contenders": reports,
            "throughput": benchmark.throughput(graders[0], photograph, max(16, options.samples // 4)),
            "cold_start": benchmark.cold_start(image, options.model),
        }
        for grader in graders:
            grader.close()
    print(_json(report, indent=2) if options.json else benchmark.table(report))


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
            inside = sorted(str(p) for p in _path(path).rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
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
        print(_json(_record(result, lesion_map)))


def _print_json(results: Iterable[Prediction | Failure], lesion_map: bool) -> None:
    separator = "["
    for result in results:
        print(separator + "\n" + _json(_record(result, lesion_map), indent=2), end="")
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
    for number, item in enumerate(items, 1):
        sys.stderr.write(f"\r{label} {number}/{total}")
        sys.stderr.flush()
        yield item
    sys.stderr.write("\r\033[K")


def _json(value: Any, indent: int | None = None) -> str:
    import json

    return json.dumps(value, indent=indent)


def _read_image(path: Path) -> bytes:
    from acne_edge.image import decode

    decode(path)  # refuses what cannot be benchmarked, with its usual words
    return path.read_bytes()


def _complain(message: str) -> None:
    print("acne-edge: " + " ".join(message.split()), file=sys.stderr)


def _train(arguments: list[str]) -> None:
    try:
        from acne_edge.training.command import app
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "train", f"acne-edge {arguments[0]}") from error
    app(arguments)


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
            if arguments[:1] and arguments[0] in TRAINING:
                _train(arguments)
            else:
                options = _parser().parse_args(arguments)
                options.run(options)
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
    if (sys.argv[1:2] and sys.argv[1] in TRAINING) or not isinstance(code, int | None):
        sys.exit(code)  # type: ignore[arg-type]
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)
