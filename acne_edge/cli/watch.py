"""`acne-edge watch`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from acne_edge import console
from acne_edge.cli import output
from acne_edge.cli.options import (
    BackendOption,
    ModelOption,
    QualityOption,
    RecordOption,
    ScaleOption,
    StrictOption,
    ThreadsOption,
    UnfamiliarOption,
    open_grader,
    open_record,
)
from acne_edge.errors import ImageNotFoundError, MissingExtraError, UsageError

if TYPE_CHECKING:
    from acne_edge.grader import AcneGrader
    from acne_edge.records.record import Record
    from acne_edge.sources.folder import WatchedFolder


def watch(
    directory: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="Directory to watch for new photographs.")] = None,
    camera: Annotated[
        str | None, typer.Option(help="Instead: a camera's number, a stream's URL, or a video file (extra `camera`).")
    ] = None,
    smoothing: Annotated[float, typer.Option(min=0.0, help="With --camera: time constant of the smoothing, in seconds.")] = 2.0,
    settle: Annotated[float, typer.Option(min=0.0, help="Seconds without a change after which a file counts as complete.")] = 1.0,
    model: ModelOption = None,
    scale: ScaleOption = None,
    backend: BackendOption = "auto",
    threads: ThreadsOption = 0,
    strict: StrictOption = False,
    on_poor_quality: QualityOption = "warn",
    on_unfamiliar: UnfamiliarOption = None,
    record: RecordOption = None,
) -> None:
    """Predict new photographs in a directory, or a camera's frames, as JSONL, until SIGINT or SIGTERM."""
    if (directory is None) == (camera is None):
        raise UsageError("watch needs a directory or --camera SOURCE")
    if camera is not None and record is not None:
        raise UsageError("--record needs a directory: a camera's frame leaves no file that could be checked later")
    stop = console.stop_on_signals()
    console.log_to_stderr()
    if camera is not None:
        from acne_edge.sources.camera import Camera

        source = Camera(camera)
        with open_grader(model, backend, threads, strict, scale, on_poor_quality, on_unfamiliar) as grader:
            grader.warmup()
            for seen in grader.stream(source, smoothing=smoothing, stop=stop):
                print(json.dumps(seen.to_dict()), flush=True)
        return
    assert directory is not None
    from acne_edge.sources.folder import WatchedFolder

    folder = WatchedFolder(directory, settle)
    try:
        with (
            open_record(record) as kept,
            open_grader(model, backend, threads, strict, scale, on_poor_quality, on_unfamiliar) as grader,
        ):
            grader.warmup()
            for path in folder.files(stop):
                _predict(grader, folder, path, kept)
    finally:
        folder.close()


def _predict(grader: AcneGrader, folder: WatchedFolder, path: Path, record: Record | None) -> None:
    from acne_edge.image import NotedFile

    source = NotedFile(path)
    result = grader.try_predict(source)
    error = None if result.ok else result.error
    if isinstance(error, ImageNotFoundError):
        folder.again(path, error.message)
        return
    if record is not None:
        record.add(grader, result, source)
    output.write(output.Tally().count([result]), "jsonl")
    if isinstance(error, MissingExtraError):
        folder.passed_over(path)  # it can be predicted when the extra is installed
    else:
        folder.done(path)
