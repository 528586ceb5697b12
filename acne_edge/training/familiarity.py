"""What a network has learned, as a distance of features, and how far photographs that it has not learned lie by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf

from acne_edge.errors import UsageError
from acne_edge.fit.familiarity import FeatureDistance
from acne_edge.training.checkpoint import load_network
from acne_edge.training.data import Sample, load_images, read_samples
from acne_edge.training.model import FusionModel, Normalize
from acne_edge.training.run import Run
from acne_edge.training.studies.analysis import is_hospital

BATCH = 32


def fit_distance(learned: NDArray[np.floating]) -> FeatureDistance:
    """Mean and whitening of features [N, D] of photographs that the network has learned.

    Their covariance is shrunk towards a multiple of the identity (Ledoit and Wolf, J. Multivariate Anal. 2004), without which the
    directions in which N photographs hardly differ would decide alone.
    """
    estimate = LedoitWolf().fit(learned.astype(np.float64))
    values, vectors = np.linalg.eigh(estimate.covariance_)
    return FeatureDistance(estimate.location_.astype(np.float32), (vectors / np.sqrt(values)).astype(np.float32))


@dataclass(frozen=True)
class HeldOut:
    """How far photographs that networks had not learned lie from those that each had."""

    names: list[str]  # [N]
    sources: NDArray[np.str_]  # [N], hospital or web
    distances: NDArray[np.float64]  # [N]


def fine_features(model: FusionModel, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The means [N, D] of the ResNet's features at stride 8 over uint8 images [N, S, S, 3].

    Of all features that the network has they tell best what is no face; see `experiments/LOG.md`. Raises UsageError for a network
    without a ResNet.
    """
    if model.resnet is None:
        raise UsageError("the network has no ResNet, whose features tell what is familiar")
    normalize, parts = Normalize(), []
    with torch.inference_mode():
        for start in range(0, len(images), BATCH):
            fine, _ = model.resnet(normalize(torch.from_numpy(images[start : start + BATCH])))
            parts.append(fine.mean((2, 3)))
    return torch.cat(parts).numpy()


def run_features(run: Run, data: Path, part: str) -> tuple[list[Sample], NDArray[np.float32]]:
    """The photographs of a part of a run, and its network's `fine_features` [N, D] of them."""
    network = load_network(run.model)
    samples = read_samples(data, run.list_file(part))
    return samples, fine_features(network, load_images(samples, network.config.image_size))


def held_out_distances(runs: Sequence[Run], data: Path, part: str) -> HeldOut:
    """Of the photographs that runs held out, each once: by the first run that had not learned it."""
    names: list[str] = []
    sources, distances = [], []
    for run in runs:
        if not run.has(part):
            raise UsageError(f"{run.path}: a run that held out no {part} list")
        distance = fit_distance(run_features(run, data, "train")[1])
        samples, found = run_features(run, data, part)
        fresh = [i for i, sample in enumerate(samples) if sample.name not in names]
        chosen = [samples[i] for i in fresh]
        names += [sample.name for sample in chosen]
        sources.append(np.where(is_hospital(data, chosen), "hospital", "web"))
        distances.append(distance(found[fresh]))
    return HeldOut(names, np.concatenate(sources), np.concatenate(distances))
