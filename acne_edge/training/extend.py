"""Going on from a run with the photographs that it held out, so that a model of all photographs still has honest figures.

What was held out is divided into parts, known duplicates kept together. For each part one run goes on without it, and is measured
on it by its last epoch; the last run, by the same settings, goes on with all. So no figure is of photographs that its run, or the
one before it, had seen; and the runs that measure have nearly as many photographs as the last one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from acne_edge.errors import UsageError
from acne_edge.training.config import TrainConfig, read_yaml
from acne_edge.training.crossval import finished, held_out
from acne_edge.training.data import Sample, group_ids, grouped_folds, read_pairs, read_samples
from acne_edge.training.loop import Trainer
from acne_edge.training.uncertainty import OF_A_FOLD, HeldOut, OutOfFold


def extend(
    earlier: Path,
    data: Path,
    out: Path,
    config: Path | None,
    parts: int,
    device: str = "auto",
    say: Callable[[str], None] = print,
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
    groups = group_ids([s.name for s in held], read_pairs(data / "duplicates.csv"))
    runs: list[tuple[Path, TrainConfig, dict[str, list[Sample]]]] = []
    for number, (learned, judged) in enumerate(grouped_folds(held, groups, parts, base.seed), 1):
        lists = {"train": trained + [held[i] for i in learned], "val": [held[i] for i in judged], "test": []}
        runs.append((out / f"part-{number}", base, lists))
    runs.append((out / "all", replace(base, val_folds=0), {"train": trained + held, "val": [], "test": []}))
    for run, settled, lists in runs:
        if not finished(run, settled):
            say(f"{run}: on {len(lists['train'])} photographs")
            trainer = Trainer(settled, data, run, earlier / "model.safetensors", device, lists)
            trainer.fit(resume=True, say=say)
        if run.name != "all":
            (run / "last.safetensors").unlink(missing_ok=True)  # 70 MB a run, and the run is over
        if run == runs[-2][0]:
            _write_out_of_fold(runs[:-1], out / "out_of_fold.npz")


def _write_out_of_fold(runs: list[tuple[Path, TrainConfig, dict[str, list[Sample]]]], path: Path) -> None:
    names = [[s.name for s in lists["val"]] for _, _, lists in runs]
    settings = {k: v for k, v in runs[0][1].to_dict().items() if k not in OF_A_FOLD}
    parts = np.repeat(np.arange(1, len(names) + 1), [len(part) for part in names])
    predicted = HeldOut.join([held_out(run, "val") for run, _, _ in runs])
    OutOfFold(predicted, [name for part in names for name in part], parts, settings).save(path)
