"""How far a photograph's features lie from those that a network learned, and how far they may.

The distance is Mahalanobis's of the network's features (Lee et al., NeurIPS 2018, eq. 2, for one class): of what looks like
nothing that was learned it is large. `export.familiarity` writes it into the graph; `training.familiarity` fits it.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acne_edge.errors import UsageError
from acne_edge.grading import Familiarity

LOST = 0.01  # share of photographs like those learned that may be called unfamiliar
LOST_OF_SOURCE = 0.02  # the same of the photographs of each source


@dataclass(frozen=True)
class FeatureDistance:
    """The root mean square of whitened features: about 1 for those that it was fitted on, whatever the network."""

    mean: NDArray[np.float32]  # [D]
    whitening: NDArray[np.float32]  # [D, d]

    def __call__(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Features [N, D] -> distances [N], at least 0."""
        whitened = (features.astype(np.float64) - self.mean) @ self.whitening
        return np.asarray(np.sqrt(np.square(whitened).mean(1)))


@dataclass(frozen=True)
class FittedFamiliarity:
    """A network's distance, the threshold that goes with it, and what says which network that is."""

    distance: FeatureDistance
    familiarity: Familiarity
    lists: Mapping[str, Any]  # the run's own, as its results and its model's manifest have them
    measured: Mapping[str, Any]  # what the threshold does to photographs that networks had not learned; for people
    held_out: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))  # [N], their distances

    def save(self, path: Path) -> None:
        """Write an `.npz` file."""
        about = {"familiarity": vars(self.familiarity), "lists": dict(self.lists), "measured": dict(self.measured)}
        arrays = {"mean": self.distance.mean, "whitening": self.distance.whitening, "held_out": self.held_out}
        np.savez_compressed(path, **arrays, about=np.array(json.dumps(about)))  # type: ignore[arg-type]

    @staticmethod
    def load(path: Path) -> FittedFamiliarity:
        """Read what `save` wrote. Raises UsageError for anything else."""
        try:
            with np.load(io.BytesIO(path.read_bytes())) as file:
                about = json.loads(str(file["about"]))
                distance = FeatureDistance(file["mean"], file["whitening"])
                held_out = file["held_out"] if "held_out" in file else np.zeros(0)
            return FittedFamiliarity(distance, Familiarity(**about["familiarity"]), about["lists"], about["measured"], held_out)
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise UsageError(f"{path}: not what python -m export familiarity writes ({error})") from error


def fit_threshold(distances: NDArray[np.floating], sources: NDArray[np.str_]) -> float:
    """The least threshold, of four digits, with at most `LOST` of the distances [N] and `LOST_OF_SOURCE` of each source beyond.

    The distances are of photographs that the networks had not learned; `sources` [N] names where each came from.
    """
    parts = [(distances, LOST), *((distances[sources == source], LOST_OF_SOURCE) for source in np.unique(sources))]
    highest = max(float(np.sort(part)[-1 - int(share * len(part))]) for part, share in parts)
    return float(np.ceil(highest * 1e4) / 1e4)
