"""A run's folder: what its files are called. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PARTS = ("train", "val", "test")  # lists of a run: learned, held out to choose by, looked at once


@dataclass(frozen=True)
class Run:
    """The folder of one training run, finished or not. The one place that knows the names of its files."""

    path: Path

    @property
    def settings_file(self) -> Path:
        """The resolved settings, JSON, written before the first epoch."""
        return self.path / "config.json"

    @property
    def last(self) -> Path:
        """Everything that the next epoch depends on, written after each."""
        return self.path / "last.safetensors"

    @property
    def log(self) -> Path:
        """A row of losses and figures an epoch, CSV."""
        return self.path / "log.csv"

    @property
    def tensorboard(self) -> Path:
        """The same as TensorBoard events, a folder."""
        return self.path / "tensorboard"

    @property
    def model(self) -> Path:
        """The network that the run ended with."""
        return self.path / "model.safetensors"

    @property
    def results_file(self) -> Path:
        """Settings, lists, metrics and environment of a finished run, JSON; where it is, the run has ended."""
        return self.path / "run.json"

    def list_file(self, part: str) -> Path:
        """The list of the photographs of a part; there is none for a part without photographs."""
        return self.path / f"{part}.txt"

    def outputs_file(self, part: str) -> Path:
        """The outputs of the network that the run ended with, for the photographs of a part that it did without."""
        return self.path / f"{part}_outputs.npz"

    @property
    def finished(self) -> bool:
        """Whether the run has ended."""
        return self.results_file.is_file()
