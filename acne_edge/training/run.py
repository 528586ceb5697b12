"""A run's folder: the names of its files, and reading them. Needs no torch."""

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
from acne_edge.grading import SeverityScale
from acne_edge.training.config import scale_of

ACNE04 = "ACNE04 (Wu et al., ICCV 2019), open part"
OWN = "own photographs"
PARTS = ("train", "val", "test")  # lists of a run: trained on, held out for choices, looked at once
# Settings in which a run on all photographs may differ from one on a fold.
FOLD_SETTINGS = ("cross_validation", "val_folds", "frequency", "num_workers", "batch_size_test")


@dataclass(frozen=True)
class Run:
    """The folder of one training run, finished or not. Only this class knows the names of its files."""

    path: Path

    @property
    def settings_file(self) -> Path:
        """The resolved settings, JSON, written before the first epoch."""
        return self.path / "config.json"

    @property
    def last(self) -> Path:
        """Everything that the next epoch depends on; written after every epoch."""
        return self.path / "last.safetensors"

    @property
    def log(self) -> Path:
        """CSV with a row of losses and figures per epoch."""
        return self.path / "log.csv"

    @property
    def tensorboard(self) -> Path:
        """Folder with the same as TensorBoard events."""
        return self.path / "tensorboard"

    @property
    def model(self) -> Path:
        """The final network."""
        return self.path / "model.safetensors"

    @property
    def results_file(self) -> Path:
        """JSON with settings, lists, metrics and environment; it exists if and only if the run has ended."""
        return self.path / "run.json"

    @property
    def out_of_fold(self) -> Path:
        """The predictions of the folds' or parts' runs, each for the photographs that it held out (`fit.outputs.OutOfFold`)."""
        return self.path / "out_of_fold.npz"

    @property
    def analysis(self) -> Path:
        """The JSON output of `acne-edge analyse`."""
        return self.path / "analysis.json"

    @property
    def int8(self) -> Path:
        """The JSON output of `python -m export evaluate`."""
        return self.path / "int8.json"

    @property
    def later(self) -> Path:
        """As `int8`, of networks like this one on a fold that was judged when this one had been chosen; it may be missing."""
        return self.path / "later.json"

    def list_file(self, part: str) -> Path:
        """The list of a part's photographs; the file is missing for a part without photographs."""
        return self.path / f"{part}.txt"

    def outputs_file(self, part: str) -> Path:
        """The final network's outputs for the photographs of a held-out part."""
        return self.path / f"{part}_outputs.npz"

    def has(self, part: str) -> bool:
        """Whether the run has photographs of that part."""
        return self.list_file(part).is_file()

    def labels(self, part: str) -> list[Label]:
        """The photographs of a part. Raises UsageError if it has none."""
        return read_labels(self.list_file(part))

    def raw_outputs(self, part: str) -> dict[str, NDArray[np.float32]]:
        """`grade_probs` [N, G], `count_probs` [N, K] and `lesion_map` [N, h, w] of the `val` or `test` photographs.

        Raises UsageError if the run has none, or they do not fit its list.
        """
        path, number = self.outputs_file(part), len(self.labels(part))
        try:
            with np.load(io.BytesIO(path.read_bytes())) as file:
                outputs = {name: np.asarray(array) for name, array in file.items()}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise UsageError(f"{path}: not the outputs of a finished run ({error})") from error
        for name, array in outputs.items():
            if len(array) != number:
                raise UsageError(f"{path}: {name} of {len(array)} photographs, but the list has {number}")
        return outputs

    @property
    def scale(self) -> SeverityScale:
        """The severity scale of the grades."""
        return scale_of(read_json(self.settings_file, "a run's settings") if self.settings_file.is_file() else {})

    def outputs(self, part: str) -> LabelledOutputs:
        """The same outputs with their labels, and with lesion maps summed. Raises UsageError as `raw_outputs` does."""
        outputs = self.raw_outputs(part)
        try:
            return LabelledOutputs.of(outputs, self.labels(part), self.scale)
        except KeyError as error:
            raise UsageError(f"{self.outputs_file(part)}: not the outputs of a finished run (no {error})") from error

    @property
    def finished(self) -> bool:
        """Whether the run has ended."""
        return self.results_file.is_file()

    def results(self) -> dict[str, Any]:
        """The results of a finished run; its settings are under `config`. Raises UsageError if it has not ended."""
        results = read_json(self.results_file, "a run's results")
        if not isinstance(results.get("config"), dict):
            raise UsageError(f"{self.results_file}: cannot be read as a run's results (no settings under config)")
        return results

    def forget_last(self) -> None:
        """Remove the state for the next epoch (70 MB), once the run is finished."""
        self.last.unlink(missing_ok=True)


def read_json(path: Path, what: str) -> dict[str, Any]:
    """The JSON object in a file. Raises UsageError, naming the file and `what` it should be, if it cannot be read."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"{path}: cannot be read as {what} ({getattr(error, 'strerror', None) or error})") from error


def shared_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that must be equal in all runs of a cross-validation and in a run on all photographs."""
    return {name: value for name, value in config.items() if name not in FOLD_SETTINGS}
