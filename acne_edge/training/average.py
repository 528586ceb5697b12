"""Averages the weights of finished runs: one network that costs what one costs (model soups, Wortsman et al., ICML 2022).

It helps where the runs continued one and the same network, or one another, with other settings, seeds or numbers of pixels.
Networks that were trained apart cannot be averaged so: their weights mean different things.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from acne_edge.errors import UsageError
from acne_edge.training import checkpoint
from acne_edge.training.config import TrainConfig
from acne_edge.training.data import Sample, read_samples
from acne_edge.training.machine import choose_device
from acne_edge.training.model import FusionModel
from acne_edge.training.results import conclude, describe, load_held_out
from acne_edge.training.run import PARTS, Run
from acne_edge.training.weights import identity, learned_by, load_checkpoint


def average(runs: Sequence[Path], data: Path, out: Path, device: str = "auto") -> dict[str, Any]:
    """Make the folder `out` a finished run whose network is the mean of the networks of `runs`, weight by weight.

    Settings and pixels a side are those of the first run; the others are adapted to them as initial weights are. The runs must
    have learned and held out the same photographs, so that what the new run holds out is new to each of them.

    Returns the results as they are written to `run.json`; `averaged` there holds each network's hash, that of its initial
    weights, and its settings where they are others than those of the first run. Raises UsageError for runs that are not finished
    or do not belong together, for data that lacks a photograph, and for an `out` that holds files.
    """
    if len(runs) < 2:
        raise UsageError("give two finished runs or more; there is nothing to average")
    if out.is_dir() and any(out.iterdir()):
        raise UsageError(f"{out}: holds files already; choose another --out")
    found, run = [Run(path) for path in runs], Run(out)
    results = [each.results() for each in found]
    config = TrainConfig.from_dict(results[0]["config"])
    lists = _lists(found, data)
    chosen = choose_device(device)
    network = _mean(found).to(chosen)
    held_out = load_held_out(config, lists)
    about = {
        "initial": results[0].get("initial"),
        "teacher": results[0].get("teacher"),
        "averaged": [_ingredient(each, config) for each in found],
        "learned": list(dict.fromkeys(source for each in found for source in learned_by(each.model))),
        "planned_epochs": results[0].get("planned_epochs"),
        "seconds": sum(each["seconds"] for each in results),
    }
    out.mkdir(parents=True, exist_ok=True)
    describe(run, config, lists)
    return conclude(run, network, config, lists, held_out, chosen, about)


def _ingredient(run: Run, config: TrainConfig) -> dict[str, Any]:
    """What the results say of a run: its network, what it began with, and the settings that are not those of the average."""
    results, common = run.results(), config.to_dict()
    settings = TrainConfig.from_dict(results["config"]).to_dict()
    others = {name: value for name, value in settings.items() if value != common[name]}
    return {**identity(run.model), "initial": results.get("initial"), "settings": others}


def _lists(runs: Sequence[Run], data: Path) -> dict[str, list[Sample]]:
    """The photographs of each part. Raises UsageError if the runs do not agree on them."""
    for part in PARTS:
        names = [{label.name for label in run.labels(part)} if run.has(part) else set() for run in runs]
        for run, those in zip(runs, names, strict=True):
            if those != names[0]:
                raise UsageError(f"{run.path}: its {part} list holds other photographs than that of {runs[0].path}")
    return {part: read_samples(data, runs[0].list_file(part)) if runs[0].has(part) else [] for part in PARTS}


def _mean(runs: Sequence[Run]) -> FusionModel:
    """The network of the first run with the mean of all weights."""
    mean = checkpoint.load_network(runs[0].model)
    total = {name: value.double() for name, value in mean.state_dict().items() if value.is_floating_point()}
    for run in runs[1:]:
        other = FusionModel(mean.config)
        if checkpoint.load_network(run.model).config.num_grades != mean.config.num_grades:
            raise UsageError(f"{run.path}: knows other grades than {runs[0].path}")
        load_checkpoint(other, run.model)
        for name, value in total.items():
            value += other.state_dict()[name]
    mean.load_state_dict({**mean.state_dict(), **{name: (value / len(runs)).float() for name, value in total.items()}})
    return mean
