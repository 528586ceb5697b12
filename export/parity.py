"""Measures how much two versions of a model differ on the same images."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from acne_edge.backends.base import OUTPUT_NAMES, Outputs
from acne_edge.backends.onnxruntime import OnnxRuntimeBackend
from acne_edge.bench.parity import Images, Runner
from acne_edge.grading import combine_grades, decode_count
from acne_edge.manifest import Manifest
from acne_edge.training.model import DeployModel, FusionModel, OutputCalibration


class Decoded(NamedTuple):
    """Each image's result, as a device would report it."""

    counts: NDArray[np.float64]  # [N], lesions
    grades: NDArray[np.int64]  # [N]


def torch_runner(model: FusionModel, calibration: OutputCalibration | None = None) -> Runner:
    """Runs the network in PyTorch with a device's inputs and outputs."""
    deployed = DeployModel(model, calibration).eval()

    def run(images: Images) -> Outputs:
        with torch.inference_mode():
            return Outputs(*(t.numpy() for t in deployed(torch.tensor(images))))

    return run


def onnx_runner(data: bytes, threads: int = 0) -> Runner:
    """Runs a model file in ONNX Runtime."""
    return OnnxRuntimeBackend(data, threads).run


def outputs(run: Runner, images: Images, batch: int = 16) -> Outputs:
    """Run all images, in batches."""
    parts = [run(images[i : i + batch]) for i in range(0, len(images), batch)]
    return Outputs(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True) if arrays[0] is not None))


def difference(a: Outputs, b: Outputs) -> dict[str, float]:
    """The largest absolute difference of each output."""
    return {name: float(np.abs(x - y).max()) for name, x, y in zip(OUTPUT_NAMES, a, b, strict=False)}


def decode_all(out: Outputs, manifest: Manifest) -> Decoded:
    """Counts and grades, as a device would report them, from the outputs of a batch."""
    counts = [decode_count(p, float(m.sum()), manifest.decoding) for p, m in zip(out.count_probs, out.lesion_map, strict=True)]
    grades = combine_grades(out.grade_probs, out.count_probs, manifest.scale, manifest.scale, manifest.decoding).argmax(1)
    return Decoded(np.array(counts), grades)
