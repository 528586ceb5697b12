"""Going on from a run with the photographs that it held out, so that a model of all photographs still has honest figures.

What was held out is divided into parts, known duplicates kept together. For each part one run goes on without it, and is measured
on it by its last epoch; the last run, by the same settings, goes on with all. So no figure is of photographs that its run, or the
one before it, had seen; and the runs that measure have nearly as many photographs as the last one.
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from acne_edge.errors import UsageError
from acne_edge.training.config import TrainConfig, read_yaml
from acne_edge.training.data import Sample, group_ids, grouped_folds, read_pairs, read_samples
from acne_edge.training.loop import Trainer
from acne_edge.training.studies.crossval import finished, load_outputs
from acne_edge.training.uncertainty import FOLD_SETTINGS, LabelledOutputs, OutOfFold

logger = logging.getLogger(__name__)


def refit(
    earlier: Path,
    data: Path,
    out: Path,
    config: Path | None,
    parts: int,
    device: str = "auto",
) -> None:
    """Train `out/part-1` and so on, then `out/all`; what is finished is kept, one that was stopped goes on.

    Settings are those of `earlier`, with those of the YAML file `config` over them. `out/out_of_fold.npz` is what the parts' runs
    predict for their parts. Raises UsageError if `earlier` is no finished run or held nothing out.
    """
    for name in ("run.json", "model.safetensors", "train.txt", "val.txt"):
        if not (earlier / name).is_file():
            raise UsageError(f"{earlier}: no finished run that held photographs out, as there is no {name}")
    settings = json.loads((earlier / "run.json").read_text())["config"]
    trained, held = (read_samples(data, (earlier / f"{name}.txt").resolve()) for name in ("train", "val"))
    base = TrainConfig.from_dict({**settings, **(read_yaml(config) if config else {}), "val_folds": parts})

    def train(run: Path, settled: TrainConfig, lists: dict[str, list[Sample]]) -> None:
        if not finished(run, settled):
            logger.info("%s: on %d photographs", run, len(lists["train"]))
            Trainer(settled, data, run, earlier / "model.safetensors", device, lists).fit(resume=True)

    groups = group_ids([s.name for s in held], read_pairs(data / "duplicates.csv"))
    runs: list[tuple[Path, list[Sample]]] = []
    for number, (learned, judged) in enumerate(grouped_folds(held, groups, parts, base.seed), 1):
        run, left_out = out / f"part-{number}", [held[i] for i in judged]
        train(run, base, {"train": trained + [held[i] for i in learned], "val": left_out, "test": []})
        (run / "last.safetensors").unlink(missing_ok=True)  # 70 MB a run, and the run is over
        runs.append((run, left_out))
    _write_out_of_fold(base, runs, out / "out_of_fold.npz")
    train(out / "all", replace(base, val_folds=0), {"train": trained + held, "val": [], "test": []})


def _write_out_of_fold(config: TrainConfig, runs: list[tuple[Path, list[Sample]]], path: Path) -> None:
    parts = np.repeat(np.arange(1, len(runs) + 1), [len(left_out) for _, left_out in runs])
    predicted = LabelledOutputs.join([load_outputs(run, "val") for run, _ in runs])
    settings = {k: v for k, v in config.to_dict().items() if k not in FOLD_SETTINGS}
    OutOfFold(predicted, [s.name for _, left_out in runs for s in left_out], parts, settings).save(path)
