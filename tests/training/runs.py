"""Runs that take seconds, on drawn faces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from acne_edge.training.config import TrainConfig
from acne_edge.training.loop import Trainer

QUICK: dict[str, Any] = {
    "train_size": 32, "image_resize": 36, "epochs": 3, "batch_size": 8, "frequency": 1, "num_workers": 1, "val_folds": 5,
    "mix": 0.5, "balance": 0.0,
}  # fmt: skip


def trainer(data: Path, run: Path, weights: Path | None = None, **changes: Any) -> Trainer:
    """A run on CPUs by the quick settings and `changes`."""
    return Trainer(TrainConfig(**{**QUICK, **changes}), data, run, weights, "cpu")
