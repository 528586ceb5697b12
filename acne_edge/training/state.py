"""The state of a stopped run: what it resumes from, and what makes it refuse to resume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from acne_edge.errors import UsageError
from acne_edge.evaluation.labels import list_hash
from acne_edge.training import checkpoint
from acne_edge.training.config import TrainConfig
from acne_edge.training.data import Sample, content_hash
from acne_edge.training.optimisation import WeightAverage
from acne_edge.training.run import PARTS, Run


@dataclass
class State:
    """What the next epoch depends on besides the weights, and what must be unchanged when a run resumes."""

    config: TrainConfig
    data: dict[str, dict[str, str]]  # for each part, hashes of its list and of its photographs with their boxes
    pretrained: bool  # decides whether the stem is frozen
    initial: dict[str, str] | None = None  # the earlier run that this one continued from
    teacher: dict[str, str] | None = None  # the run that gives a share of the targets
    planned: list[int] = field(default_factory=list)  # epochs; more than one number for a run that was prolonged
    epoch: int = 0
    step: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)  # a row an epoch

    def __post_init__(self) -> None:
        self.planned = self.planned or [self.config.epochs]

    def save(self, path: Path, model: nn.Module, average: WeightAverage, optimizer: torch.optim.Optimizer) -> None:
        """Write everything that the next epoch depends on."""
        tensors = checkpoint.prefixed("model", model.state_dict()) | checkpoint.prefixed("ema", average.weights)
        for index, entry in optimizer.state_dict()["state"].items():
            tensors |= checkpoint.prefixed(f"optimizer.{index}", {k: torch.as_tensor(v) for k, v in entry.items()})
        checkpoint.save(path, tensors, {**vars(self), "config": self.config.to_dict()})

    def restore(self, path: Path, model: nn.Module, average: WeightAverage, optimizer: torch.optim.Optimizer) -> None:
        """Continue from a state that `save` wrote.

        A larger number of epochs prolongs the run. Raises UsageError if anything else about the run has changed.
        """
        tensors, info = checkpoint.load(path)
        try:
            self._check(path, info)
            model.load_state_dict(checkpoint.unprefixed("model", tensors))
            average.restore(checkpoint.unprefixed("ema", tensors))
            state = optimizer.state_dict()
            for name, value in checkpoint.unprefixed("optimizer", tensors).items():
                index, key = name.split(".", 1)
                state["state"].setdefault(int(index), {})[key] = value
            optimizer.load_state_dict(state)
            self.epoch, self.step, self.history = info["epoch"], info["step"], info["history"]
            planned = info.get("planned", [info["config"]["epochs"]])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split()[:24])
            raise UsageError(f"{path}: not the state of a run of this version of acne-edge ({reason})") from error
        self.initial = info.get("initial", self.initial)
        self.planned = planned if planned[-1] == self.config.epochs else [*planned, self.config.epochs]

    def _check(self, path: Path, info: dict[str, Any]) -> None:
        saved = TrainConfig.from_dict(info["config"]).to_dict()  # settings that are newer than the run get their defaults
        differs = [k for k, v in self.config.to_dict().items() if saved[k] != v and k != "epochs"]
        if differs:
            raise UsageError(f"{path}: the run has other settings ({', '.join(differs)}); use another --model-path")
        if self.config.epochs < saved["epochs"]:
            raise UsageError(
                f"{path}: the run has {saved['epochs']} epochs, not {self.config.epochs}; --resume only prolongs a run"
            )
        if info.get("pretrained", self.pretrained) != self.pretrained:
            given = "began without --weights; leave them out" if self.pretrained else "began with --weights; give them again"
            raise UsageError(f"{path}: the run {given} to resume")
        if info.get("teacher") != self.teacher:
            raise UsageError(f"{path}: the run learns from another network; give the same --teacher or --weights to resume")
        for part, hashes in info.get("data", self.data).items():
            if hashes != self.data.get(part):
                listed = hashes["list"] == self.data.get(part, {}).get("list")
                what = "photographs, or their boxes," if listed else "list"
                raise UsageError(
                    f"{path}: the {what} of the {part} part changed since the run began, so it cannot resume; "
                    "restore the data, or use another --model-path"
                )


def data_hashes(lists: dict[str, list[Sample]], workers: int) -> dict[str, dict[str, str]]:
    """For each part that has photographs, the hashes by which a resumed run recognises its data."""
    return {
        part: {"list": list_hash(samples), "photographs": content_hash(samples, workers)}
        for part, samples in lists.items()
        if samples
    }


def goes_on(run: Run, resume: bool, overwrite: bool) -> bool:
    """Whether a run resumes (True) or begins (False). Raises UsageError instead of overwriting a run without being asked."""
    if resume and overwrite:
        raise UsageError("--resume continues a run and --overwrite replaces it: choose one")
    if run.path.exists() and not run.path.is_dir():
        raise UsageError(f"{run.path}: not a folder")
    begun, ended = run.last.is_file(), run.finished or run.model.is_file()
    if overwrite or not (begun or ended):
        return False
    if resume and begun:
        return True
    if resume:
        raise UsageError(
            f"{run.path}: the run is finished, and {run.last.name}, from which it could resume, is gone; "
            f"--weights {run.model} begins another run where this one ended"
        )
    stands, on = "finished" if ended else "stopped", "--resume continues it, " if begun else ""
    raise UsageError(f"{run.path}: holds a {stands} run; {on}--overwrite replaces it; or use another --model-path")


def clear(run: Run) -> None:
    """Remove the files of a run in the folder, the one that marks its end first."""
    if not run.settings_file.is_file() and not run.finished:
        return  # not a run's folder: files with these names are somebody else's
    files: Sequence[Path] = [run.results_file, run.last, run.model, run.log, run.analysis, run.int8]
    for path in [*files, *map(run.list_file, PARTS), *map(run.outputs_file, PARTS), *run.tensorboard.glob("events.*")]:
        path.unlink(missing_ok=True)
