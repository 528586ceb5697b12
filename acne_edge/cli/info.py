"""`acne-edge info`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from acne_edge.cli.options import (
    BackendOption,
    DocumentOption,
    ModelOption,
    OutputOption,
    StrictOption,
    ThreadsOption,
    open_grader,
)
from acne_edge.cli.output import destination

LONGEST = 500  # characters of a value in the table; fingerprints are longer


def info(
    model: ModelOption = None,
    backend: BackendOption = "auto",
    threads: ThreadsOption = 0,
    strict: StrictOption = False,
    output: DocumentOption = "json",
    file: OutputOption = None,
) -> None:
    """Show a model's manifest and sha256, the backend that runs it and why."""
    with destination(file), open_grader(model, backend, threads, strict) as grader:
        shown = {
            "model": vars(grader.model),
            "backend_reason": grader.backend_reason,
            "manifest": json.loads(grader.manifest.to_json()),
        }
        print(json.dumps(shown, indent=2) if output == "json" else "\n".join(_lines(shown)))


def _lines(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """One line per value: its path of names, then the value."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _lines(value, f"{prefix}{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            shown = text if len(text) <= LONGEST else f"({len(text)} characters: --format json has them)"
            yield f"{prefix + name:<40}  {shown}"
