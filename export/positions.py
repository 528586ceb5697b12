"""Fits the threshold of positions on runs' predictions for photographs that they held out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acne_edge.errors import UsageError
from acne_edge.evaluation.tables import to_json
from acne_edge.files import write
from acne_edge.fit.positions import fit_positions
from acne_edge.training.data import Sample, read_samples
from acne_edge.training.run import Run


def positions(runs: Sequence[Path], data: Path, part: str, out: Path) -> dict[str, Any]:
    """Fit the threshold of positions on held-out photographs, and write it as a patch for manifests.

    Args:
        runs: folders of finished runs; a photograph held out by several counts once.
        data: ACNE04, for the boxes.
        part: which held-out photographs: `test` for runs on folds, or `val`.
        out: file for the patch, which `export.restamp` reads.

    Returns the patch. Raises UsageError for runs that held nothing out, or data without boxes.
    """
    samples, maps = held_out(runs, data, part)
    boxes = [s.boxes for s in samples]
    drawn = [b for b in boxes if b is not None]
    if not drawn:
        raise UsageError(
            f"{data}: no boxes for the {len(samples)} photographs that the runs held out; expected Detection/boxes.csv"
        )
    fitted_on = (
        f"{len(drawn)} photographs of ACNE04 with {sum(map(len, drawn))} boxes, which the networks that predicted them had not "
        f"learned: {'; '.join(lists(runs, part))}"
    )
    decoding, measured = fit_positions(maps, boxes, fitted_on)
    patch = {"positions": vars(decoding), "metrics": {"positions": {"split": fitted_on, **measured}}}
    write(out, (to_json(patch, indent=2) + "\n").encode())
    return patch


def held_out(runs: Sequence[Path], data: Path, part: str) -> tuple[list[Sample], list[NDArray[np.float32]]]:
    """The photographs that runs held out, each once, and each one's lesion map [h, w] by the first run that held it out."""
    samples: list[Sample] = []
    maps: list[NDArray[np.float32]] = []
    for run in map(Run, runs):
        if not run.outputs_file(part).is_file():
            raise UsageError(f"{run.path}: not a finished run that held out a {part} list")
        predicted = run.raw_outputs(part)["lesion_map"]
        taken = {s.name for s in samples}
        for sample, lesion_map in zip(read_samples(data, run.list_file(part)), predicted, strict=True):
            if sample.name not in taken:
                samples.append(sample)
                maps.append(lesion_map)
    return samples, maps


def lists(runs: Sequence[Path], part: str) -> list[str]:
    """A description of the list that each run held out."""
    return [_list_in_words(run, part) for run in runs]


def _list_in_words(run: Path, part: str) -> str:
    config = Run(run).results()["config"]
    try:
        fold = f" of {config['protocol']} fold {config['cross_validation']}" if config["cross_validation"] else ""
        return f"{part} list{fold}, {config['epochs']} epochs"
    except KeyError as error:
        raise UsageError(f"{Run(run).results_file}: a run without the setting {error}") from error
