"""Writes what a finished run leaves in its folder: settings, lists, the network, its outputs for what was held out, results."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from acne_edge import files
from acne_edge.evaluation.labels import list_hash
from acne_edge.evaluation.tables import to_json
from acne_edge.training import checkpoint
from acne_edge.training.config import TrainConfig
from acne_edge.training.data import Sample, load_images, write_list
from acne_edge.training.inference import evaluate, predict
from acne_edge.training.machine import environment
from acne_edge.training.model import FusionModel
from acne_edge.training.run import Run

Lists = Mapping[str, list[Sample]]  # the photographs of `train`, `val` and `test`
HeldOut = dict[str, tuple[list[Sample], NDArray[np.uint8]]]  # by `val` and `test`: the samples and their pixels


def load_held_out(config: TrainConfig, lists: Lists) -> HeldOut:
    """The photographs that the lists hold out, in the network's size."""
    return {
        name: (lists[name], load_images(lists[name], config.train_size, config.num_workers, config.denoise))
        for name in ("val", "test")
        if lists[name]
    }


def describe(run: Run, config: TrainConfig, lists: Lists) -> None:
    """Write a run's settings and its lists."""
    _write_json(run.settings_file, config.to_dict())
    for name, samples in lists.items():
        if samples:
            write_list(run.list_file(name), samples)


def conclude(
    run: Run,
    network: FusionModel,
    config: TrainConfig,
    lists: Lists,
    held_out: HeldOut,
    device: torch.device,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """Round the network's weights to float16, evaluate it, and write it, its outputs and its results.

    Rounded first, so that what is measured is what is stored. The results come last: they mark a finished run. `about` holds what
    else they say of the run. Returns them.
    """
    stored = {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    network.load_state_dict(stored)
    metrics = {}
    for name, (samples, images) in held_out.items():
        outputs = predict(network, images, config.batch_size_test, device)
        metrics[name] = evaluate(outputs, samples, config.scale)
        arrays = io.BytesIO()
        np.savez_compressed(arrays, **outputs)  # type: ignore[arg-type]
        files.write(run.outputs_file(name), arrays.getvalue())
    checkpoint.save(run.model, stored, {"model": network.config.to_dict(), "training": config.to_dict()})
    results = {
        "config": config.to_dict(),
        "model": network.config.to_dict(),
        **about,
        "lists": {name: {"n": len(s), "sha256": list_hash(s)} for name, s in lists.items() if s},
        "metrics": metrics,
        "environment": environment(device),
    }
    _write_json(run.results_file, results)
    return results


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    files.write(path, (to_json(values, indent=2) + "\n").encode())
