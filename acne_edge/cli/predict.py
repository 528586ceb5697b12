"""`acne-edge predict`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from acne_edge import console
from acne_edge.cli import output as results_output
from acne_edge.cli.options import (
    BackendOption,
    ModelOption,
    OutputOption,
    QualityOption,
    RecordOption,
    ScaleOption,
    StrictOption,
    ThreadsOption,
    UnfamiliarOption,
    open_grader,
    open_record,
)
from acne_edge.cli.output import Format, Tally
from acne_edge.errors import UsageError

if TYPE_CHECKING:
    from acne_edge.cli.dicom_sr import DicomReports
    from acne_edge.cli.save import SavedBatch
    from acne_edge.errors import ImageError
    from acne_edge.grader import AcneGrader
    from acne_edge.image import NotedFile
    from acne_edge.prediction import Failure, Prediction

    Keeper: TypeAlias = Callable[[Prediction | Failure, NotedFile | bytes | None], object]

Executor: TypeAlias = Literal["threads", "ray"]
SHORT_BATCH = 8  # photographs; a longer batch shows its progress


def predict(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Files, directories, globs, or - for stdin.")],
    output: Annotated[Format, typer.Option("--format", "-f", help="How to print.")] = "table",
    model: ModelOption = None,
    scale: ScaleOption = None,
    backend: BackendOption = "auto",
    threads: ThreadsOption = 0,
    strict: StrictOption = False,
    on_poor_quality: QualityOption = "warn",
    on_unfamiliar: UnfamiliarOption = None,
    lesion_map: Annotated[
        bool, typer.Option("--lesion-map", help="Include the lesion map; needs --format json or jsonl.")
    ] = False,
    file: OutputOption = None,
    save: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Directory for predictions.jsonl, predictions.csv and a picture of each.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume the batch in --save DIR: predict what is missing or failed.")
    ] = False,
    record: RecordOption = None,
    dicom_sr: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write a Structured Report for each DICOM photograph there (extra `dicom`)."),
    ] = None,
    executor: Annotated[
        Executor, typer.Option(help="threads of this process; ray: a Ray cluster, with Parquet in --save DIR (extra `ray`).")
    ] = "threads",
    workers: Annotated[
        int, typer.Option(min=0, help="With --executor ray: graders, one thread each; 0 is one a processor of the cluster.")
    ] = 0,
) -> None:
    """Predict lesion count, interval and severity grade of each photograph. A bad photograph does not stop the others."""
    if lesion_map and output not in ("json", "jsonl"):
        raise UsageError(f"--lesion-map needs --format json or jsonl; {output} cannot hold the map")
    if resume and save is None:
        raise UsageError("--resume needs --save DIR, the batch to resume")
    if executor == "ray":
        from acne_edge.cli.predict_ray import predict_on_ray

        others = (lesion_map, file, record, dicom_sr, threads, strict, output != "table")
        predict_on_ray(paths, save, resume, (model, backend, scale, on_poor_quality, on_unfamiliar), workers, any(others))
        return
    if workers:
        raise UsageError("--workers needs --executor ray; elsewhere there is one thread a processor")
    tally = Tally()
    with (
        results_output.destination(file),
        open_record(record) as kept,
        open_grader(model, backend, threads, strict, scale, on_poor_quality, on_unfamiliar) as grader,
    ):
        batch, reports = _batch(save, resume), _reports(dicom_sr)
        keepers = [partial(kept.add, grader)] if kept else []
        results = _predictions(grader, paths, batch, [*keepers, *([reports.keep] if reports else [])])
        results = tally.count(batch.keep(results) if batch else results)
        first = list(islice(results, 1))  # so that a refused model is reported before anything is printed
        results_output.write(chain(first, results), output, lesion_map)
    code = tally.exit_code or (3 if (batch and batch.failed) or (reports and reports.failed) else 0)
    if code:
        raise typer.Exit(code)


def _batch(folder: Path | None, resume: bool) -> SavedBatch | None:
    if folder is None:
        return None
    from acne_edge.cli.save import SavedBatch

    return SavedBatch(folder, resume)


def _reports(folder: Path | None) -> DicomReports | None:
    if folder is None:
        return None
    from acne_edge.cli.dicom_sr import DicomReports

    return DicomReports(folder)


def _predictions(
    grader: AcneGrader, paths: list[str], batch: SavedBatch | None, keepers: list[Keeper]
) -> Iterator[Prediction | Failure]:
    """The result for each path, in order, after the keepers have stored it."""
    from acne_edge.errors import AcneEdgeError
    from acne_edge.files import STDIN
    from acne_edge.image import NotedFile
    from acne_edge.prediction import Failure
    from acne_edge.sources.paths import expand

    expanded = batch.missing(expand(paths)) if batch else expand(paths)
    found = [(path, error or (_stdin() if path == STDIN else NotedFile(path) if keepers else path)) for path, error in expanded]
    if batch:
        batch.stdin = next((source for _, source in found if isinstance(source, bytes)), b"")
    sources = [source for _, source in found if not isinstance(source, AcneEdgeError)]
    results: Iterator[Prediction | Failure] = grader.predict_many(sources)
    if len(sources) > SHORT_BATCH and not sys.stdout.isatty():  # on a terminal the lines themselves show the progress
        results = console.progress(results, "predicting", len(sources))
    for path, source in found:
        result = Failure(path, source) if isinstance(source, AcneEdgeError) else next(results)
        result = result if result.path is not None else replace(result, path=path)
        for keep in keepers:
            keep(result, source if isinstance(source, NotedFile | bytes) else None)
        yield result


def _stdin() -> bytes | ImageError:
    """The bytes on stdin, or an error; at most one byte more than the limit is read."""
    from acne_edge.errors import ImageNotFoundError, ImageSizeError
    from acne_edge.image import MAX_BYTES

    if sys.stdin is None:
        return ImageNotFoundError("stdin is closed")
    try:
        data = sys.stdin.buffer.read(MAX_BYTES + 1)
    except OSError as error:
        return ImageNotFoundError(f"stdin cannot be read: {error.strerror}")
    return data if len(data) <= MAX_BYTES else ImageSizeError(f"more than {MAX_BYTES // 1_000_000} MB on stdin")
