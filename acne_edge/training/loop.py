"""The training loop: one run, resumable at any moment, evaluated with averaged weights, last epoch kept."""

from __future__ import annotations

import csv
import ctypes
import hashlib
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from acne_edge.errors import UsageError
from acne_edge.evaluation.labels import list_hash
from acne_edge.evaluation.metrics import count_metrics, grade_metrics
from acne_edge.evaluation.tables import to_json
from acne_edge.grading import HAYASHI, median
from acne_edge.training import checkpoint
from acne_edge.training.augment import Augmentation, paste, paste_points, rasterize, warp, warp_points
from acne_edge.training.config import TrainConfig
from acne_edge.training.data import (
    Sample,
    group_ids,
    grouped_folds,
    grouped_split,
    load_images,
    read_groups,
    read_pairs,
    read_samples,
    write_list,
)
from acne_edge.training.losses import band_matrix, density_loss, distribution_loss
from acne_edge.training.model import FusionModel, ModelConfig, Normalize, load_imagenet, resize_input
from acne_edge.training.run import Run

Report = Callable[[str], None]


class Dataset:
    """Photographs in memory, at the training resolution, with their lesions' centres (float32 [n, 2], x and y in 0..1)."""

    def __init__(self, samples: list[Sample], size: int, workers: int, device: torch.device, denoise: str = "none") -> None:
        self.samples = samples
        self.images = torch.from_numpy(load_images(samples, size, workers, denoise)).to(device)
        self.counts = torch.tensor([s.count for s in samples])
        self.grades = torch.tensor([s.grade for s in samples])
        self.centres = [
            None if s.boxes is None else torch.from_numpy((s.boxes[:, :2] + s.boxes[:, 2:]) / 2).float() for s in samples
        ]

    def __len__(self) -> int:
        return len(self.samples)

    def view(
        self,
        index: Tensor,
        augmentation: Augmentation,
        size: int,
        generator: torch.Generator,
        rank: int = 0,
        processes: int = 1,
    ) -> tuple[Tensor, Tensor, list[Tensor | None]]:
        """Random views of the samples `index`: float32 [n, 3, size, size], their counts [n], and the centres in view.

        A sample without boxes cannot be recounted, so it is only flipped and recoloured. Of several `processes`, each gets
        every so manyth sample; what is drawn at random is drawn for all, so that the views do not depend on their number.
        """
        part = slice(rank, None, processes)
        matrices = augmentation.matrices(len(index), generator)
        colours = augmentation.colours(len(index), generator)
        for row, i in enumerate(index.tolist()):
            if self.centres[i] is None:
                matrices[row] = torch.tensor([[math.copysign(1.0, matrices[row, 0, 0].item()), 0, 0], [0, 1, 0]])
        views, points = self.warped(index[part], matrices[part], size)
        if augmentation.mix:
            other, rectangles = (t[part] for t in augmentation.rectangles(len(index), generator))
            if processes == 1:
                others, other_points = views[other], [points[i] for i in other.tolist()]
            else:
                others, other_points = self.warped(index[other], matrices[other], size)
            for row, (ours, theirs) in enumerate(zip(points, other_points, strict=True)):
                if ours is None or theirs is None:
                    rectangles[row] = 0
                else:
                    points[row] = paste_points(ours, theirs, rectangles[row])
            views = paste(views, others, rectangles)
        pairs = zip(index[part].tolist(), points, strict=True)
        counts = torch.tensor([float(self.counts[i]) if p is None else len(p) for i, p in pairs])
        gain, offset = (c[part].to(views.device) for c in colours)
        return views * gain + offset, counts.to(views.device), points

    def warped(self, index: Tensor, matrices: Tensor, size: int) -> tuple[Tensor, list[Tensor | None]]:
        """The samples `index` seen through `matrices` [n, 2, 3]: normalised float32 [n, 3, size, size], and centres in view."""
        images = Normalize().to(self.images.device)(self.images[index.to(self.images.device)])
        centres = [self.centres[i] for i in index.tolist()]
        points = [None if c is None else warp_points(c, m) for c, m in zip(centres, matrices, strict=True)]
        return warp(images, matrices.to(images.device), size), points


def split(data: Path, config: TrainConfig) -> dict[str, list[Sample]]:
    """The run's lists: `train`, `val` (groups kept together; empty if nothing is held out) and, for folds 1..4, `test`.

    `official`: ACNE04's own test list; groups are the known duplicates. `grouped`: the folds too are made of groups, which
    are those of `subject_groups`, so that nobody is trained and tested on.
    """
    fold = config.cross_validation
    if config.protocol == "official":
        samples = read_samples(data, f"NNEW_trainval_{fold}.txt")
        test = read_samples(data, f"NNEW_test_{fold}.txt") if fold else []
        groups = group_ids([s.name for s in samples], read_pairs(data / "duplicates.csv"))
    else:
        samples, test = read_samples(data, "NNEW_trainval_0.txt"), []
        groups = read_groups([s.name for s in samples])
        if fold:
            rest, held = grouped_folds(samples, groups, 4, seed=0)[fold - 1]
            test, samples, groups = [samples[i] for i in held], [samples[i] for i in rest], groups[rest]
    if not config.val_folds:
        return {"train": samples, "val": [], "test": test}
    train, val = grouped_split(samples, groups, config.val_folds, config.seed)
    return {"train": train, "val": val, "test": test}


def predict(
    model: FusionModel, images: NDArray[np.uint8], batch_size: int, device: torch.device
) -> dict[str, NDArray[np.float32]]:
    """Run uint8 images [N, S, S, 3] through the network: grade_probs [N, G], count_probs [N, K], lesion_map [N, h, w]."""
    normalize = Normalize().to(device)
    model.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(images), batch_size):
            x = normalize(torch.from_numpy(images[start : start + batch_size]).to(device))
            grade, count, lesions = model(x)
            parts.append([t.float().cpu().numpy() for t in (grade.softmax(1), count.softmax(1), lesions)])
    names = ("grade_probs", "count_probs", "lesion_map")
    return {name: np.concatenate(arrays) for name, arrays in zip(names, zip(*parts, strict=True), strict=True)}


def evaluate(outputs: dict[str, NDArray[np.float32]], samples: list[Sample]) -> dict[str, Any]:
    """Grade metrics from the grade head, from the count and combined; count metrics by median, mean and lesion map."""
    grades, counts = [s.grade for s in samples], [s.count for s in samples]
    from_count = outputs["count_probs"] @ HAYASHI.bands(outputs["count_probs"].shape[1])
    by_source = {"head": outputs["grade_probs"], "count": from_count, "combined": (outputs["grade_probs"] + from_count) / 2}
    decoded = {
        "median": np.array([median(p) for p in outputs["count_probs"]]),
        "mean": outputs["count_probs"] @ np.arange(outputs["count_probs"].shape[1]),
        "map": outputs["lesion_map"].sum((1, 2)),
    }
    return {
        "grade": {name: grade_metrics(grades, probs.argmax(1), probs.shape[1]) for name, probs in by_source.items()},
        "count": {name: count_metrics(counts, values) for name, values in decoded.items()},
    }


def epoch_order(grades: Tensor, balance: float, generator: torch.Generator) -> Tensor:
    """Indices of one epoch, int64 [N]: a permutation, or with `balance` draws that give grade g a share ~ n_g^(1 - balance)."""
    if not balance:
        return torch.randperm(len(grades), generator=generator)
    frequency = torch.bincount(grades).double()[grades]
    return torch.multinomial(frequency**-balance, len(grades), replacement=True, generator=generator)


class Trainer:
    """One run in one directory. Everything random in an epoch follows from (seed, epoch), so a resumed run repeats it.

    `weights` is a folder of ImageNet weights, the `model.safetensors` of an earlier run to go on from, or None. `lists` are the
    photographs under `train`, `val` and `test`, where the settings do not say which (`split`).

    Under `torchrun` the processes share every batch, each taking its part of the images; only the first evaluates and writes.
    Batch normalisation then uses the statistics of a process's own part.
    """

    def __init__(
        self,
        config: TrainConfig,
        data: Path,
        run: Path,
        weights: Path | None,
        device: str = "auto",
        lists: dict[str, list[Sample]] | None = None,
    ) -> None:
        self.config, self.run = config, Run(run)
        earlier = weights if weights is not None and weights.is_file() else None
        self.initial = {"weights": earlier.name, "sha256": _sha256(earlier)} if earlier else None
        self.device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
        self.rank, self.processes = join_processes(self.device)
        if config.batch_size % self.processes or config.batch_size < 2 * self.processes:
            raise UsageError(f"batch-size {config.batch_size} does not give {self.processes} processes two images or more each")
        if self.device.type == "cuda" and self.processes > 1:
            self.device = torch.device("cuda", self.rank % torch.cuda.device_count())
        self.lists = lists or split(data, config)
        if earlier is not None:
            refuse_leak(earlier, self.lists)
        if self.rank == 0:
            run.mkdir(parents=True, exist_ok=True)
            for name, samples in self.lists.items():
                if samples:
                    write_list(self.run.list_file(name), samples)
        torch.manual_seed(config.seed)
        self.model = FusionModel(ModelConfig(method=config.method, image_size=config.train_size, dropout=config.dropout))
        if weights is not None:
            (load_checkpoint if weights.is_file() else load_imagenet)(self.model, weights)
        if config.freeze_stem and weights is not None and self.model.resnet is not None:
            self.model.resnet.freeze_stem()
        self.model = self.model.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.ema = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.parallel: nn.Module = self.model
        if self.processes > 1:
            self.parallel = nn.parallel.DistributedDataParallel(self.model)
        self.optimizer = make_optimizer(self.model, config)
        self.loss = distribution_loss(
            config.loss, config.lam, config.sigma, band_matrix(HAYASHI.lower, self.model.config.count_bins).to(self.device)
        )
        self.augmentation = Augmentation(rotation=config.image_rotation, zoom=config.zoom, mix=config.mix)
        self.epoch, self.step = 0, 0
        self.history: list[dict[str, Any]] = []

    @property
    def bfloat16(self) -> bool:
        """Whether products are taken in bfloat16. Where the hardware does not, emulation is 20 times slower than float32."""
        return self.device.type == "cuda" or (torch.backends.mkldnn.is_available() and cpu_has_bfloat16())

    def fit(
        self,
        resume: bool = False,
        say: Report = print,
        progress: Callable[[Iterator[Any], str, int], Iterator[Any]] | None = None,
    ) -> dict[str, Any]:
        """Train to the last epoch and evaluate. Returns, and writes to `run.json`, the results with the settings."""
        if self.device.type == "cpu":
            keep_freed_memory()
        last = self.run.last
        if resume and last.exists():
            self.restore(last)
            say(f"resuming {self.run.path} after epoch {self.epoch} of {self.config.epochs}")
        config = self.config
        if self.rank == 0:
            self.run.settings_file.write_text(to_json(config.to_dict(), indent=2) + "\n")
        train = Dataset(self.lists["train"], config.image_resize, config.num_workers, self.device, config.denoise)
        if len(train) < config.batch_size:
            raise UsageError(f"{len(train)} training images do not fill a batch of {config.batch_size}")
        held_out = {
            name: (self.lists[name], load_images(self.lists[name], config.train_size, config.num_workers, config.denoise))
            for name in ("val", "test")
            if self.lists[name]
        }
        say(f"{config.method}: {len(train)} training, {len(self.lists['val'])} validation images on {self.device}")
        while self.epoch < config.epochs:
            started = time.perf_counter()
            losses = self.train_epoch(train, progress)
            row: dict[str, Any] = {
                "epoch": self.epoch,
                "lr": self.lr(self.step),
                **losses,
                "seconds": time.perf_counter() - started,
            }
            if self.rank:
                self.history.append(row)
                continue
            if "val" in held_out and (self.epoch % config.frequency == 0 or self.epoch == config.epochs):
                row |= flatten(self.evaluate(*held_out["val"]))
            self.log(row)
            self.save(last)
            say("  ".join(f"{k} {v:.4g}" for k, v in row.items()))
        if self.rank:
            return {"metrics": {}}
        self.ema = {k: half(v).to(v.dtype) for k, v in self.ema.items()}  # so that what is measured is what is stored
        results = {
            "config": config.to_dict(),
            "model": self.model.config.to_dict(),
            "initial": self.initial,  # the earlier run that this one went on from
            "lists": {name: {"n": len(s), "sha256": list_hash(s)} for name, s in self.lists.items() if s},
            "metrics": {name: self.evaluate(*part) for name, part in held_out.items()},
            "environment": {**environment(self.device), "precision": "bfloat16" if self.bfloat16 else "float32"},
            "seconds": sum(r["seconds"] for r in self.history),
        }
        for name, (_, images) in held_out.items():
            outputs = predict(self.averaged(), images, config.batch_size_test, self.device)
            np.savez_compressed(self.run.outputs_file(name), **outputs)  # type: ignore[arg-type]
        self.run.results_file.write_text(to_json(results, indent=2) + "\n")
        checkpoint.save(
            self.run.model,
            {k: half(v) for k, v in self.ema.items()},
            {"model": self.model.config.to_dict(), "training": config.to_dict()},
        )
        return results

    def train_epoch(self, data: Dataset, progress: Callable[[Iterator[Any], str, int], Iterator[Any]] | None) -> dict[str, float]:
        """One pass over the data in random order; a last short batch is dropped. Returns the mean losses."""
        generator = torch.Generator().manual_seed(self.config.seed * 100_003 + self.epoch)
        torch.manual_seed(self.config.seed * 100_003 + self.epoch)  # dropout
        order = epoch_order(data.grades, self.config.balance, generator)
        batches = list(order.split(self.config.batch_size))
        batches = [b for b in batches if len(b) == self.config.batch_size]
        self.model.train()
        totals = {"loss": 0.0, "density": 0.0}
        iterator: Iterator[Tensor] = iter(batches)
        if progress is not None:
            iterator = progress(iterator, f"epoch {self.epoch + 1}/{self.config.epochs}", len(batches))
        steps = len(batches) * self.config.epochs
        for index in iterator:
            for group in self.optimizer.param_groups:
                group["lr"] = self.config.lr * lr_factor(self.step, steps, self.config)
            images, counts, points = data.view(
                index, self.augmentation, self.config.train_size, generator, self.rank, self.processes
            )
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
                grade, count, lesions = self.parallel(images.contiguous(memory_format=torch.channels_last))
            loss = self.loss(grade.float(), count.float(), counts)
            known = [i for i, p in enumerate(points) if p is not None]
            density = loss.new_zeros(())
            if known:
                target = rasterize([p for p in points if p is not None], *lesions.shape[1:]).to(lesions.device)
                density = density_loss(lesions[known].float(), target)
            self.optimizer.zero_grad(set_to_none=True)
            (loss + self.config.density_weight * density).backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
            self.optimizer.step()
            self.step += 1
            self.average(steps)
            totals["loss"] += loss.item() / len(batches)
            totals["density"] += density.item() / len(batches)
        self.epoch += 1
        if not math.isfinite(totals["loss"]):
            raise UsageError(f"the loss is {totals['loss']} after epoch {self.epoch}: lower --lr")
        return totals

    def lr(self, step: int) -> float:
        """The learning rate after `step` steps."""
        return self.config.lr * lr_factor(
            step, max(1, self.config.epochs * (len(self.lists["train"]) // self.config.batch_size)), self.config
        )

    @torch.no_grad()
    def average(self, steps: int) -> None:
        """Move the averaged weights towards the current ones; faster at first, so that the start is forgotten.

        With `swa`, they are the mean of the weights after each of the last of `steps` steps (Izmailov et al., UAI 2018).
        """
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        if self.config.swa:
            averaged = self.step - round((1 - self.config.swa) * steps)
            decay = 1 - 1 / averaged if averaged > 0 else 0.0
        for key, value in self.model.state_dict().items():
            if value.is_floating_point():
                self.ema[key].lerp_(value, 1 - decay)
            else:
                self.ema[key].copy_(value)

    def averaged(self) -> FusionModel:
        """A copy of the network with the averaged weights."""
        model = FusionModel(self.model.config).to(self.device)
        model.load_state_dict(self.ema)
        return model

    def evaluate(self, samples: list[Sample], images: NDArray[np.uint8]) -> dict[str, Any]:
        """Metrics of the averaged weights."""
        return evaluate(predict(self.averaged(), images, self.config.batch_size_test, self.device), samples)

    def log(self, row: dict[str, Any]) -> None:
        """Append to the history, rewrite `log.csv` and add to the TensorBoard events."""
        from torch.utils.tensorboard import SummaryWriter

        self.history.append(row)
        names = list(dict.fromkeys(name for r in self.history for name in r))
        with self.run.log.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, names)
            writer.writeheader()
            writer.writerows(self.history)
        with SummaryWriter(str(self.run.tensorboard), purge_step=self.epoch) as board:
            for name, value in row.items():
                board.add_scalar(name, value, self.epoch)

    def save(self, path: Path) -> None:
        """Write everything that the next epoch depends on."""
        state = self.optimizer.state_dict()
        tensors = checkpoint.prefixed("model", self.model.state_dict()) | checkpoint.prefixed("ema", self.ema)
        for index, entry in state["state"].items():
            tensors |= checkpoint.prefixed(f"optimizer.{index}", {k: torch.as_tensor(v) for k, v in entry.items()})
        info = {"config": self.config.to_dict(), "epoch": self.epoch, "step": self.step, "history": self.history}
        checkpoint.save(path, tensors, info)

    def restore(self, path: Path) -> None:
        """Continue from what `save` wrote. Raises UsageError if its settings are not this run's."""
        tensors, info = checkpoint.load(path)
        saved = TrainConfig.from_dict(info["config"]).to_dict()  # settings that are newer than the run have their defaults
        if saved != self.config.to_dict():
            differs = [k for k, v in self.config.to_dict().items() if saved[k] != v]
            raise UsageError(f"{path}: the run has other settings ({', '.join(differs)}); use another --model-path")
        self.model.load_state_dict(checkpoint.unprefixed("model", tensors))
        for key, value in checkpoint.unprefixed("ema", tensors).items():
            self.ema[key].copy_(value)
        state = self.optimizer.state_dict()
        for name, value in checkpoint.unprefixed("optimizer", tensors).items():
            index, key = name.split(".", 1)
            state["state"].setdefault(int(index), {})[key] = value
        self.optimizer.load_state_dict(state)
        self.epoch, self.step, self.history = info["epoch"], info["step"], info["history"]


def keep_freed_memory() -> None:
    """Have glibc, for the rest of the process, keep what a step frees for the next one.

    Given back to the kernel, every page of it would be cleared anew at each step. Does nothing on other systems.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:  # musl has none
        for parameter in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
            mallopt(parameter, 2**31 - 1)


def join_processes(device: torch.device) -> tuple[int, int]:
    """This process's rank and the number of processes, as `torchrun` says in the environment; (0, 1) without it."""
    from torch import distributed

    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes > 1 and not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return (int(os.environ["RANK"]), processes) if processes > 1 else (0, 1)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def refuse_leak(earlier: Path, lists: dict[str, list[Sample]]) -> None:
    """Raise UsageError if the run that `earlier` ended was trained on photographs that `lists` hold out."""
    trained = Run(earlier.parent)
    if trained.has("train"):
        known = {label.name for label in trained.labels("train")}
        for part in ("val", "test"):
            seen = [s.name for s in lists[part] if s.name in known]
            if seen:
                raise UsageError(f"{earlier}: was trained on {len(seen)} of the {part} photographs, {seen[0]} for one")


def load_checkpoint(model: FusionModel, path: Path) -> None:
    """Load the weights that an earlier run ended with; its input size may differ, and its ViT may have had more blocks.

    Raises UsageError if they do not fit.
    """
    tensors, info = checkpoint.load(path)
    if info.get("model", {}).get("method") != model.config.method:
        raise UsageError(f"{path}: not a checkpoint of the method {model.config.method}")
    state = {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
    known = model.state_dict()
    state = {k: v for k, v in state.items() if k in known or not k.startswith("vit.blocks.")}
    try:
        model.load_state_dict(resize_input(state, info["model"]["image_size"], model.config.image_size))
    except RuntimeError as error:
        raise UsageError(f"{path}: the weights do not fit the network ({str(error).splitlines()[-1].strip()})") from error


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW or SGD with momentum; norms, biases and embeddings do not decay."""
    decay: list[nn.Parameter] = []
    keep: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        (keep if parameter.ndim < 2 or name.endswith(("pos_embed", "cls_token")) else decay).append(parameter)
    groups = [{"params": decay, "weight_decay": config.weight_decay}, {"params": keep, "weight_decay": 0.0}]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=0.9)
    return torch.optim.AdamW(groups, lr=config.lr)


def lr_factor(step: int, steps: int, config: TrainConfig) -> float:
    """Share of the peak rate: halved at each of `lr_steps`, or one cycle (10 % linear warm-up, cosine decay to 1 %).

    With `swa`, it stays at the peak after the warm-up.
    """
    done = step / steps
    if config.lr_steps:
        return 0.5 ** sum(done * config.epochs >= epoch for epoch in config.lr_steps)
    if done < 0.1:
        return max(done / 0.1, 0.01)
    if config.swa:
        return 1.0
    return 0.01 + 0.99 * (1 + math.cos(math.pi * (done - 0.1) / 0.9)) / 2


def cpu_has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 natively (AVX512-BF16 or AMX)."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def environment(device: torch.device) -> dict[str, str]:
    """What the run ran on."""
    name = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{platform.machine()} CPU, {torch.get_num_threads()} threads"
    )
    return {"device": name, "torch": torch.__version__, "python": platform.python_version()}


def flatten(metrics: dict[str, Any]) -> dict[str, float]:
    """The few figures of `evaluate` that a log line shows."""
    grade, count = metrics["grade"], metrics["count"]
    row = {f"accuracy_{name}": part["accuracy"] for name, part in grade.items()}
    row |= {"qwk": grade["combined"]["qwk"], "balanced_accuracy": grade["combined"]["balanced_accuracy"]}
    return row | {f"mae_{name}": part["mae"] for name, part in count.items()} | {"rmse_mean": count["mean"]["rmse"]}


def half(tensor: Tensor) -> Tensor:
    """Float16 for storage; integers as they are."""
    return tensor.half() if tensor.is_floating_point() else tensor
