"""Continues a run with the photographs that it held out, so that a model of all photographs still has honest figures.

The held-out photographs are divided into parts, with known duplicates together. For each part, one run continues without it and
is measured on it after the last epoch. A last run with the same settings continues with all parts. So every figure is for
photographs that neither the run nor its predecessor had seen, and the measuring runs train on nearly as many photographs as the
last one.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from acne_edge.errors import UsageError
from acne_edge.fit.outputs import OutOfFold
from acne_edge.training.config import TrainConfig, read_yaml
from acne_edge.training.data import Sample, group_ids, grouped_folds, read_pairs, read_samples
from acne_edge.training.loop import Trainer
from acne_edge.training.run import Run, shared_settings
from acne_edge.training.studies.crossval import finished

logger = logging.getLogger(__name__)


def refit(
    earlier: Path,
    data: Path,
    out: Path,
    config: Path | None,
    parts: int,
    device: str = "auto",
) -> None:
    """Train `out/part-1` and so on, then `out/all`; finished runs are kept, and a stopped run is resumed.

    Settings are those of `earlier`, overridden by the YAML file `config`. `out/out_of_fold.npz` holds each part's predictions by
    the run without it. Raises UsageError if `earlier` is not a finished run or held nothing out.
    """
    begun = Run(earlier)
    for file in (begun.results_file, begun.model, begun.list_file("train"), begun.list_file("val")):
        if not file.is_file():
            raise UsageError(f"{earlier}: not a finished run that held photographs out: it has no {file.name}")
    trained, held = (read_samples(data, begun.list_file(part).resolve()) for part in ("train", "val"))
    base = TrainConfig.from_dict({**begun.results()["config"], **(read_yaml(config) if config else {}), "val_folds": parts})

    def train(run: Run, settled: TrainConfig, lists: dict[str, list[Sample]]) -> None:
        if not finished(run, settled):
            logger.info("%s: on %d photographs", run.path, len(lists["train"]))
            Trainer(settled, data, run.path, begun.model, device, lists).fit(resume=True)

    groups = group_ids([s.name for s in held], read_pairs(data / "duplicates.csv"))
    runs: dict[int, Run] = {}
    for number, (learned, judged) in enumerate(grouped_folds(held, groups, parts, base.seed), 1):
        runs[number] = Run(out / f"part-{number}")
        lists = {"train": trained + [held[i] for i in learned], "val": [held[i] for i in judged], "test": []}
        train(runs[number], base, lists)
        runs[number].forget_last()
    predicted = {number: (run.outputs("val"), [label.name for label in run.labels("val")]) for number, run in runs.items()}
    OutOfFold.join(predicted, shared_settings(base.to_dict())).save(Run(out).out_of_fold)
    train(Run(out / "all"), replace(base, val_folds=0), {"train": trained + held, "val": [], "test": []})
