"""Holds a network's outputs for labelled photographs, and stores those of a cross-validation in files."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acne_edge.errors import UsageError
from acne_edge.evaluation.labels import Labelled
from acne_edge.evaluation.rows import Rows
from acne_edge.grading import HAYASHI, CountDecoding, Interpretation, SeverityScale, Uncertainty, interpret

OUTPUTS = ("grade_probs", "count_probs", "lesions")


@dataclass(frozen=True)
class LabelledOutputs(Rows):
    """Outputs of a network for N photographs that it was not trained on, and their labels."""

    grade_probs: NDArray[np.float64]  # [N, G], each row sums to 1
    count_probs: NDArray[np.float64]  # [N, K] over 0..K-1 lesions, each row sums to 1
    lesions: NDArray[np.float64]  # [N], sums of the lesion maps
    grades: NDArray[np.int64]  # [N], true
    counts: NDArray[np.int64]  # [N], true
    scale: SeverityScale = HAYASHI  # of the grades

    @staticmethod
    def of(
        outputs: Mapping[str, NDArray[np.float32]], labels: Sequence[Labelled], scale: SeverityScale = HAYASHI
    ) -> LabelledOutputs:
        """From the network's `grade_probs`, `count_probs` and `lesion_map` [N, h, w] for the photographs, and their labels."""
        return LabelledOutputs(
            outputs["grade_probs"].astype(np.float64),
            outputs["count_probs"].astype(np.float64),
            outputs["lesion_map"].sum((1, 2), dtype=np.float64),
            np.array([label.grade for label in labels]),
            np.array([label.count for label in labels]),
            scale,
        )

    def interpret(self, decoding: CountDecoding, uncertainty: Uncertainty) -> list[Interpretation]:
        """Each photograph's result, as a device would compute it from the outputs."""
        return [
            interpret(grade, count, lesions, native=self.scale, scale=self.scale, decoding=decoding, uncertainty=uncertainty)
            for grade, count, lesions in zip(self.grade_probs, self.count_probs, self.lesions, strict=True)
        ]


@dataclass(frozen=True)
class OutOfFold:
    """Predictions of runs with the same settings, each for the photographs that it held out."""

    data: LabelledOutputs
    names: list[str]  # [N], the photographs' file names
    folds: NDArray[np.int64]  # [N]
    settings: dict[str, Any]  # that all runs share

    @staticmethod
    def join(runs: Mapping[int, tuple[LabelledOutputs, Sequence[str]]], settings: dict[str, Any]) -> OutOfFold:
        """From each fold's outputs and photograph names; a photograph in several folds is taken from the first."""
        names = [name for _, of_fold in runs.values() for name in of_fold]
        folds = np.repeat(list(runs), [len(of_fold) for _, of_fold in runs.values()])
        once = first_of_each(names)
        data = LabelledOutputs.join([outputs for outputs, _ in runs.values()]).take(once)
        return OutOfFold(data, [names[i] for i in once], folds[once], settings)

    def save(self, path: Path) -> None:
        """Write an `.npz` file with float32 outputs."""
        d = self.data
        arrays = {name: getattr(d, name).astype(np.float32) for name in OUTPUTS}
        labels = {"grades": d.grades, "counts": d.counts, "folds": self.folds, "names": np.array(self.names)}
        np.savez_compressed(path, **arrays, **labels, settings=np.array(json.dumps(self.settings)))  # type: ignore[arg-type]

    @staticmethod
    def load(path: Path) -> OutOfFold:
        """Read a file that `save` wrote. Raises UsageError for any other file."""
        try:
            with np.load(io.BytesIO(path.read_bytes())) as file:
                grade_probs, count_probs, lesions = (file[name].astype(np.float64) for name in OUTPUTS)
                data = LabelledOutputs(grade_probs, count_probs, lesions, file["grades"], file["counts"])
                return OutOfFold(data, file["names"].tolist(), file["folds"], json.loads(str(file["settings"])))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise UsageError(f"{path}: not out-of-fold predictions of acne-edge crossval ({error})") from error

    @property
    def grouped(self) -> bool:
        """Whether no run had learned a look-alike of a photograph that it predicted (folds `grouped`)."""
        return self.settings.get("protocol") == "grouped"

    def check(self, settings: Mapping[str, Any]) -> None:
        """Raise UsageError, naming the differences, unless a run has these settings, apart from what it held out and how."""
        held_out = ("protocol",)
        differs = [
            f"{k} is {settings.get(k)!r}, not {v!r}"
            for k, v in self.settings.items()
            if k not in held_out and settings.get(k) != v
        ]
        if differs:
            raise UsageError(f"the out-of-fold predictions come from other settings than the run's: its {'; '.join(differs)}")


def first_of_each(names: Sequence[str]) -> NDArray[np.int64]:
    """Index of each name's first occurrence, in order; some photographs of ACNE04 are on two test lists."""
    return np.sort(np.unique(names, return_index=True)[1])
