"""Going on from a run with the photographs that it held out, so that a model of all photographs still has honest figures.

What was held out is divided into parts, known duplicates kept together. For each part one run goes on without it, and is measured
on it by its last epoch; the last run, by the same settings, goes on with all. So no figure is of photographs that its run, or the
one before it, had seen; and the runs that measure have nearly as many photographs as the last one.
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
    """Train `out/part-1` and so on, then `out/all`; what is finished is kept, one that was stopped goes on.

    Settings are those of `earlier`, with those of the YAML file `config` over them. `out/out_of_fold.npz` is what the parts' runs
    predict for their parts. Raises UsageError if `earlier` is no finished run or held nothing out.
    """
    begun = Run(earlier)
    for file in (begun.results_file, begun.model, begun.list_file("train"), begun.list_file("val")):
        if not file.is_file():
            raise UsageError(f"{earlier}: no finished run that held photographs out, as there is no {file.name}")
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
