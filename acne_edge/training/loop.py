"""The training loop: one run, resumable at any moment, evaluated with averaged weights, last epoch kept."""

from __future__ import annotations

import csv
import io
import logging
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from acne_edge import console, files
from acne_edge.errors import UsageError
from acne_edge.training import checkpoint
from acne_edge.training.augment import Augmentation, rasterize
from acne_edge.training.config import TrainConfig
from acne_edge.training.data import Sample, is_own, split
from acne_edge.training.dataset import Dataset, epoch_order
from acne_edge.training.inference import evaluate, flatten, predict
from acne_edge.training.losses import Teaching, band_matrix, density_loss, distribution_loss
from acne_edge.training.machine import choose_device, has_bfloat16, join_processes, keep_freed_memory
from acne_edge.training.model import FusionModel, ModelConfig
from acne_edge.training.optimisation import WeightAverage, lr_factor, make_optimizer
from acne_edge.training.results import HeldOut, conclude, describe, load_held_out
from acne_edge.training.run import ACNE04, OWN, Run
from acne_edge.training.state import State, clear, data_hashes, goes_on
from acne_edge.training.weights import identity, learned_by, load_weights, refuse_leak

logger = logging.getLogger(__name__)


class Trainer:
    """One run in one directory. All randomness in an epoch follows from (seed, epoch), so a resumed run repeats it.

    `weights` is a folder of ImageNet weights, the `model.safetensors` of an earlier run to continue from, or None. `lists` gives
    the photographs of `train`, `val` and `test`; None: the settings decide (`split`). `teacher` is the `model.safetensors` of a
    run whose network gives the share `distill` of the targets, and may see more pixels; None: `weights`. Nothing is written
    before `fit`.

    Under `torchrun` the processes share every batch, each taking a part of the images; only the first evaluates and writes. Batch
    normalisation then uses the statistics of a process's own part.

    Raises UsageError for settings, weights, photographs or a device that cannot be used.
    """

    def __init__(
        self,
        config: TrainConfig,
        data: Path,
        run: Path,
        weights: Path | None,
        device: str = "auto",
        lists: dict[str, list[Sample]] | None = None,
        teacher: Path | None = None,
    ) -> None:
        self.config, self.run = config, Run(run)
        chosen = choose_device(device)
        self.processes = join_processes(chosen)
        self.device = self.processes.device(chosen)
        self.lists = lists or split(data, config)
        earlier = weights if weights is not None and weights.is_file() else None
        refuse_small(self.lists["train"], config, self.processes.number, earlier is not None)
        if teacher is not None and not config.distill:
            raise UsageError(f"{teacher}: a teacher without --distill teaches nothing; say what share of the targets it gives")
        teacher = (teacher or earlier) if config.distill else None
        for known in (earlier, teacher):
            if known is not None:
                refuse_leak(known, self.lists)
        self.model = self._network(weights)
        self.teacher = self._teacher(teacher)
        self.parallel: nn.Module = self.model
        if self.processes.number > 1:
            self.parallel = nn.parallel.DistributedDataParallel(self.model)
        self.average = WeightAverage(self.model, config)
        self.optimizer = make_optimizer(self.model, config)
        bands = band_matrix(config.scale.lower, self.model.config.count_bins).to(self.device)
        self.loss = distribution_loss(config.loss, config.lam, config.sigma, bands)
        self.augmentation = Augmentation(
            rotation=config.image_rotation, zoom=config.zoom, mix=config.mix, turn=config.turn, degrade=config.degrade
        )
        self.bfloat16 = has_bfloat16(self.device)
        before = [source for known in (earlier, teacher) if known is not None for source in learned_by(known)]
        self.learned = list(dict.fromkeys([*before, OWN if is_own(data) else ACNE04]))
        began, taught = (None if known is None else identity(known) for known in (earlier, teacher))
        self.state = State(config, {}, weights is not None, began, taught)

    def _network(self, weights: Path | None) -> FusionModel:
        config = self.config
        torch.manual_seed(config.seed)
        model = FusionModel(ModelConfig(config.method, config.train_size, len(config.scale.labels), dropout=config.dropout))
        if weights is not None:
            load_weights(model, weights)
        if config.freeze_trunk:
            if weights is None:
                raise UsageError("--freeze-trunk keeps the trunk of given weights; name them with --weights")
            model.freeze_trunk()
        if config.freeze_stem and weights is not None and model.resnet is not None:
            model.resnet.freeze_stem()
        return model.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def _teacher(self, teacher: Path | None) -> FusionModel | None:
        """The network that gives a share of the targets; None where none does."""
        if not self.config.distill:
            return None
        if teacher is None:
            raise UsageError(
                "--distill learns from another run's network; name its model.safetensors with --teacher or --weights"
            )
        network = checkpoint.load_network(teacher)
        if network.config.num_grades != len(self.config.scale.labels):
            raise UsageError(f"{teacher}: knows {network.config.num_grades} grades, not those of the network that learns from it")
        return network.requires_grad_(False).to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def fit(self, resume: bool = False, overwrite: bool = False) -> dict[str, Any]:
        """Train to the last epoch and evaluate. Returns the results with the settings, and writes them to `run.json`.

        A folder that holds a run is refused unless `resume` continues it or `overwrite` replaces it. A resumed run reaches the
        weights that it would have had without a stop. It is refused if its settings or data have changed; only `epochs` may
        be larger. The learning rate then follows the longer run's plan: it rises again to that plan's value at this epoch. With
        `swa`, the average starts again in the last part of the new plan.

        With several processes, only the first returns figures. Raises UsageError for a refused run, for processes that do not
        resume from the same files, and for a loss that is not finite.
        """
        going_on = goes_on(self.run, resume, overwrite)
        self.state.data = data_hashes(self.lists, self.config.num_workers)
        if going_on:
            self.state.restore(self.run.last, self.model, self.average, self.optimizer)
            prolonged = "".join(f", prolonged from {epochs}" for epochs in self.state.planned[:-1])
            self._say(f"resuming {self.run.path} after epoch {self.state.epoch} of {self.config.epochs}{prolonged}")
        if not self.processes.agree(self.state.epoch, self.device):
            raise UsageError(f"{self.run.path}: processes resume after different epochs; all machines must share this folder")
        if self.processes.first:
            self.run.path.mkdir(parents=True, exist_ok=True)
        if self.device.type == "cpu":
            keep_freed_memory()
        train, held_out = self._load()
        if self.processes.first:
            self._begin(going_on)
        sizes = f"{len(train)} training, {len(self.lists['val'])} validation photographs"
        if ACNE04 in self.learned and self.learned != [ACNE04]:
            self._say("the weights have learned ACNE04 before: academic use only, and so is what is made of them")
        self._say(f"{self.config.method}: {sizes}, {self.device}, {'bfloat16' if self.bfloat16 else 'float32'}")
        while self.state.epoch < self.config.epochs:
            self._epoch(train, held_out)
        return self._end(held_out) if self.processes.first else {"metrics": {}}

    def _say(self, line: str) -> None:
        if self.processes.first:
            logger.info("%s", line)

    def _load(self) -> tuple[Dataset, HeldOut]:
        config = self.config
        train = Dataset(
            self.lists["train"], config.image_resize, config.num_workers, self.device, config.denoise, config.train_size
        )
        return train, load_held_out(config, self.lists)

    def _begin(self, going_on: bool) -> None:
        """Write the run's description, once all checks have passed."""
        if not going_on:
            clear(self.run)
        describe(self.run, self.config, self.lists)

    def _epoch(self, train: Dataset, held_out: HeldOut) -> None:
        """Train for one epoch, evaluate if it is due, and save the run's state."""
        config, state = self.config, self.state
        started = time.perf_counter()
        losses = self.train_epoch(train)
        row: dict[str, Any] = {"epoch": state.epoch, "lr": self.lr(), **losses, "seconds": time.perf_counter() - started}
        if self.processes.first:
            if "val" in held_out and (state.epoch % config.frequency == 0 or state.epoch == config.epochs):
                row |= flatten(self.evaluate(*held_out["val"]))
            self._log(row)
            state.save(self.run.last, self.model, self.average, self.optimizer)
        else:
            state.history.append(row)
        left = (config.epochs - state.epoch) * sum(r["seconds"] for r in state.history) / len(state.history)
        self._say("  ".join(f"{k} {v:.4g}" for k, v in row.items()) + (f"  ({duration(left)} left)" if left else ""))

    def train_epoch(self, data: Dataset) -> dict[str, float]:
        """One pass over the data in random order; a last short batch is dropped. Returns the mean losses."""
        config, state = self.config, self.state
        generator = torch.Generator().manual_seed(config.seed * 100_003 + state.epoch)
        torch.manual_seed(config.seed * 100_003 + state.epoch)  # dropout
        order = epoch_order(data.grades, config.balance, generator)
        batches = [b for b in order.split(config.batch_size) if len(b) == config.batch_size]
        steps = len(batches) * config.epochs
        self.model.train()
        totals = {"loss": 0.0, "density": 0.0}
        shown = iter(batches)
        if self.processes.first:
            shown = console.progress(shown, f"epoch {state.epoch + 1}/{config.epochs}", len(batches))
        for index in shown:
            for group in self.optimizer.param_groups:
                group["lr"] = config.lr * lr_factor(state.step, steps, config)
            for name, value in self._step(data, index, generator).items():
                totals[name] += value / len(batches)
            state.step += 1
            self.average.update(self.model, state.step, steps)
        state.epoch += 1
        if not math.isfinite(sum(totals.values())):
            raise UsageError(f"the loss is {sum(totals.values())} after epoch {state.epoch}: lower --lr")
        return totals

    def _step(self, data: Dataset, index: Tensor, generator: torch.Generator) -> dict[str, float]:
        """One step on the samples `index`. Returns the losses."""
        config, processes = self.config, self.processes
        known = None if self.teacher is None else self.teacher.config.image_size
        images, clean, counts, points = data.view(
            index, self.augmentation, config.train_size, generator, processes.rank, processes.number, known
        )
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            grade, count, lesions = self.parallel(images.contiguous(memory_format=torch.channels_last))
        loss = self.loss(grade.float(), count.float(), counts, self._teaching(clean))
        counted = [i for i, p in enumerate(points) if p is not None]
        density = loss.new_zeros(())
        if counted:
            target = rasterize([p for p in points if p is not None], *lesions.shape[1:]).to(lesions.device)
            density = density_loss(lesions[counted].float(), target)
        self.optimizer.zero_grad(set_to_none=True)
        (loss + config.density_weight * density).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        return {"loss": loss.item(), "density": density.item()}

    @torch.no_grad()
    def _teaching(self, clean: Tensor) -> Teaching | None:
        """What the teacher says of views that are not spoilt."""
        if self.teacher is None:
            return None
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            grade, count, _ = self.teacher(clean.contiguous(memory_format=torch.channels_last))
        return Teaching(grade.float().softmax(1), count.float().softmax(1), self.config.distill)

    def lr(self) -> float:
        """The learning rate of the next step."""
        batches = len(self.lists["train"]) // self.config.batch_size
        return self.config.lr * lr_factor(self.state.step, self.config.epochs * batches, self.config)

    def evaluate(self, samples: list[Sample], images: NDArray[np.uint8]) -> dict[str, Any]:
        """The metrics of the network with averaged weights."""
        outputs = predict(self.average.network(self.device), images, self.config.batch_size_test, self.device)
        return evaluate(outputs, samples, self.config.scale)

    def _log(self, row: dict[str, Any]) -> None:
        """Append to the history, rewrite `log.csv` and add to the TensorBoard events."""
        from torch.utils.tensorboard import SummaryWriter

        self.state.history.append(row)
        table = io.StringIO(newline="")
        writer = csv.DictWriter(table, list(dict.fromkeys(name for r in self.state.history for name in r)))
        writer.writeheader()
        writer.writerows(self.state.history)
        files.write(self.run.log, table.getvalue().encode())
        with SummaryWriter(str(self.run.tensorboard), purge_step=self.state.epoch) as board:
            for name, value in row.items():
                board.add_scalar(name, value, self.state.epoch)

    def _end(self, held_out: HeldOut) -> dict[str, Any]:
        """Evaluate the averaged weights, and write what the run leaves."""
        state = self.state
        about = {
            "initial": state.initial,
            "teacher": state.teacher,
            "learned": self.learned,
            "planned_epochs": state.planned,
            "seconds": sum(r["seconds"] for r in state.history),
        }
        return conclude(self.run, self.average.network(self.device), self.config, self.lists, held_out, self.device, about)


def refuse_small(train: list[Sample], config: TrainConfig, processes: int, learned: bool) -> None:
    """Raise UsageError if the photographs do not fill a batch, lack a grade, or the processes cannot share a batch.

    A network that has `learned` from other photographs keeps what it knows of a grade that these lack, and the log says so.
    """
    if config.batch_size % processes or config.batch_size < 2 * processes:
        raise UsageError(f"batch-size {config.batch_size} does not give {processes} processes two images or more each")
    if len(train) < config.batch_size:
        raise UsageError(
            f"{len(train)} training photographs do not fill a batch of {config.batch_size}; lower --batch-size, or give more "
            "photographs"
        )
    missing = [label for grade, label in enumerate(config.scale.labels) if grade not in {s.grade for s in train}]
    if missing and not learned:
        raise UsageError(
            f"none of the {len(train)} training photographs is {' or '.join(missing)}, so the network cannot learn that; add some"
        )
    if missing:
        logger.warning(
            "none of the %d training photographs is %s: nothing new is learned of that", len(train), " or ".join(missing)
        )


def duration(seconds: float) -> str:
    """A time in words: `40 s`, `12 min`, `3 h 20 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
