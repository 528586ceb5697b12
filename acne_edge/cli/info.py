"""`acne-edge info`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from acne_edge.backends.base import ENGINE_MAGIC
from acne_edge.cli.options import (
    BackendOption,
    DocumentOption,
    ModelOption,
    OutputOption,
    StrictOption,
    ThreadsOption,
    not_stdin,
    open_grader,
)
from acne_edge.cli.output import destination
from acne_edge.errors import AcneEdgeError

if TYPE_CHECKING:
    from acne_edge.grader import AcneGrader
    from acne_edge.models import ModelFile

LONGEST = 500  # characters of a value in the table; fingerprints are longer


def info(
    model: ModelOption = None,
    backend: BackendOption = "auto",
    threads: ThreadsOption = 0,
    strict: StrictOption = False,
    output: DocumentOption = "json",
    file: OutputOption = None,
) -> None:
    """Show a model's manifest and sha256, the backend that runs it and why, and what an engine was built for."""
    from acne_edge.models import load_model

    not_stdin(model, "--model")
    content = load_model(model)
    with destination(file), open_grader(model, backend, threads, strict) as grader:
        if content.data.startswith(ENGINE_MAGIC):
            shown = _engine(content, grader, strict)
        else:
            shown = {**_running(grader), "manifest": json.loads(grader.manifest.to_json())}
        print(json.dumps(shown, indent=2) if output == "json" else "\n".join(_lines(shown)))


def _running(grader: AcneGrader) -> dict[str, Any]:
    """The model and what runs it."""
    return {"model": vars(grader.model), "backend_reason": grader.backend_reason}


def _engine(file: ModelFile, grader: AcneGrader, strict: bool) -> dict[str, Any]:
    """An engine's header, which is readable where the engine cannot run: on the machine that built it for another."""
    from acne_edge.backends.tensorrt.engine_file import unpack

    engine = unpack(file.data)
    manifest = engine.manifest
    try:
        running = _running(grader)
    except AcneEdgeError as error:
        if strict:
            raise
        model = {"name": manifest.name, "version": manifest.version, "sha256": file.sha256, "backend": None}
        running = {"model": model, "backend_reason": f"it cannot run here: {error}"}
    return {**running, "build": asdict(engine.key), "manifest": json.loads(manifest.to_json())}


def _lines(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """One line per value: its path of names, then the value."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _lines(value, f"{prefix}{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            shown = text if len(text) <= LONGEST else f"({len(text)} characters: --format json has them)"
            yield f"{prefix + name:<40}  {shown}"
