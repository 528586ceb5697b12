"""`acne-edge predict --executor ray`: a batch on a cluster, its results as Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import typer

from acne_edge import console
from acne_edge.cli.options import OnUnfamiliar, Policy, Scale, not_stdin
from acne_edge.cli.output import Tally
from acne_edge.errors import UsageError


def predict_on_ray(
    paths: list[str],
    folder: Path | None,
    resume: bool,
    grader: tuple[str | None, str, Scale | None, Policy, OnUnfamiliar | None],
    workers: int,
    has_others: bool = False,
) -> None:
    """Predict what is not done yet, and say how it went; exits as `predict` does.

    Args:
        paths: files, folders, globs and lists.
        folder: for the results.
        resume: whether it may hold some already.
        grader: model, runtime, scale, and what to do with a poor photograph and an unfamiliar one.
        workers: see `scale.ray_data.predict`.
        has_others: whether other options are set, none of which this can heed.

    Raises UsageError for options, paths or a folder that cannot be used, and what `scale.ray_data.predict` does.
    """
    if folder is None or has_others:
        raise UsageError("--executor ray wants --save DIR, and takes no option that prints, records, or sets threads")
    from acne_edge.grader import AcneGrader
    from acne_edge.grading import UNFAMILIAR
    from acne_edge.scale import lists, ray_data
    from acne_edge.scale.parts import Parts

    model, backend, scale, on_poor_quality, on_unfamiliar = grader
    not_stdin(model, "--model")
    found = lists.photographs(paths)
    with AcneGrader.load(  # raises what is wrong
        model, backend=backend, scale=scale, on_poor_quality=on_poor_quality, on_unfamiliar=on_unfamiliar
    ) as loaded:
        policy = str(loaded.settings["on_unfamiliar"])  # of this machine's environment, also where the workers' is another
        settings = ray_data.Settings(model, loaded.model.sha256, backend, loaded.scale.name, on_poor_quality, policy)
    kept = Parts(folder, settings.made_by(), resume)
    missing = sum(path not in kept.done for path, _ in found)
    if kept.done:
        console.complain(f"{folder}: {len(found) - missing} photographs are done, {missing} are not")
    tally = Tally()

    def rows() -> Iterator[None]:
        for table in ray_data.predict(found, settings, kept, workers):
            for row in table.select(["path", "error", "abstained", "result"]).to_pylist():
                tally.images += 1
                tally.failed += row["error"] is not None
                tally.abstained += row["abstained"] not in (None, UNFAMILIAR)
                if row["error"] is not None:
                    console.complain(f"{row['path']}: {json.loads(row['result'])['error']['message']}")
                yield

    for _ in console.progress(rows(), "predicting", missing):
        pass
    print(f"{folder}: {tally.images - tally.failed} predicted, {tally.failed} failed")
    if tally.exit_code:
        raise typer.Exit(tally.exit_code)
