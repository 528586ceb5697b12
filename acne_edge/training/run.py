"""A run's folder: what its files are called, and what is read from them. No torch."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acne_edge.errors import UsageError
from acne_edge.evaluation.labels import Label, read_labels
from acne_edge.fit.outputs import LabelledOutputs

PARTS = ("train", "val", "test")  # lists of a run: learned, held out to choose by, looked at once
# Settings in which a run on all photographs may differ from one on a fold.
FOLD_SETTINGS = ("cross_validation", "val_folds", "frequency", "num_workers", "batch_size_test")


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

    @property
    def out_of_fold(self) -> Path:
        """What the runs of the folds, or of the parts, predict for what each did without (`fit.outputs.OutOfFold`)."""
        return self.path / "out_of_fold.npz"

    @property
    def analysis(self) -> Path:
        """What `acne-edge analyse` printed, JSON."""
        return self.path / "analysis.json"

    @property
    def int8(self) -> Path:
        """What `python -m export evaluate` wrote of the run, JSON."""
        return self.path / "int8.json"

    def list_file(self, part: str) -> Path:
        """The list of the photographs of a part; there is none for a part without photographs."""
        return self.path / f"{part}.txt"

    def outputs_file(self, part: str) -> Path:
        """The outputs of the network that the run ended with, for the photographs of a part that it did without."""
        return self.path / f"{part}_outputs.npz"

    def has(self, part: str) -> bool:
        """Whether the run has photographs of that part."""
        return self.list_file(part).is_file()

    def labels(self, part: str) -> list[Label]:
        """The photographs of a part. Raises UsageError if it has none."""
        return read_labels(self.list_file(part))

    def raw_outputs(self, part: str) -> dict[str, NDArray[np.float32]]:
        """`grade_probs` [N, G], `count_probs` [N, K] and `lesion_map` [N, h, w] of the `val` or `test` photographs.

        Raises UsageError if the run has not ended with any, or they are not of its list.
        """
        path, number = self.outputs_file(part), len(self.labels(part))
        try:
            with np.load(io.BytesIO(path.read_bytes())) as file:
                outputs = {name: np.asarray(array) for name, array in file.items()}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise UsageError(f"{path}: not the outputs of a finished run ({error})") from error
        for name, array in outputs.items():
            if len(array) != number:
                raise UsageError(f"{path}: {name} of {len(array)} photographs; the list has {number}")
        return outputs

    def outputs(self, part: str) -> LabelledOutputs:
        """The same with the labels, lesion maps summed. Raises UsageError as `raw_outputs`."""
        outputs = self.raw_outputs(part)
        try:
            return LabelledOutputs.of(outputs, self.labels(part))
        except KeyError as error:
            raise UsageError(f"{self.outputs_file(part)}: not the outputs of a finished run (no {error})") from error

    @property
    def finished(self) -> bool:
        """Whether the run has ended."""
        return self.results_file.is_file()

    def results(self) -> dict[str, Any]:
        """What a finished run wrote of itself, its settings under `config`. Raises UsageError if it has not ended."""
        results = read_json(self.results_file, "a run's results")
        if not isinstance(results.get("config"), dict):
            raise UsageError(f"{self.results_file}: cannot be read as a run's results (no settings under config)")
        return results

    def forget_last(self) -> None:
        """Remove what only the next epoch would need, 70 MB, once the run is over."""
        self.last.unlink(missing_ok=True)


def read_json(path: Path, what: str) -> dict[str, Any]:
    """The JSON object in a file. Raises UsageError, naming the file and `what` it should be, if it cannot be read."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"{path}: cannot be read as {what} ({getattr(error, 'strerror', None) or error})") from error


def shared_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that runs on the folds of one cross-validation share, with each other and with a run on all photographs."""
    return {name: value for name, value in config.items() if name not in FOLD_SETTINGS}
