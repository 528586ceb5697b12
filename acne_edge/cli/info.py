"""`acne-edge info`."""

from __future__ import annotations

import json

from acne_edge.cli.options import BackendOption, ModelOption, StrictOption, ThreadsOption, open_grader


def info(
    model: ModelOption = None, backend: BackendOption = "auto", threads: ThreadsOption = 0, strict: StrictOption = False
) -> None:
    """Show a model's manifest and sha256, the backend that runs it and why, as JSON."""
    with open_grader(model, backend, threads, strict) as grader:
        shown = {
            "model": vars(grader.model),
            "backend_reason": grader.backend_reason,
            "manifest": json.loads(grader.manifest.to_json()),
        }
        print(json.dumps(shown, indent=2))
