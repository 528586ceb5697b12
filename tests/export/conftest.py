from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import calibration.ranges
from acne_edge.grading import HAYASHI, CountDecoding
from acne_edge.manifest import InputSpec, Manifest
from acne_edge.training import checkpoint
from acne_edge.training.model import FusionModel, ModelConfig, OutputCalibration
from acne_edge.training.run import Run
from calibration.ranges import Ranges, collect
from export.graph import to_onnx

SIZE = 32
FEW_BINS = 160  # of the histograms; the search for the least entropy takes time as their square


def make_network(method: str = "fusion", seed: int = 0) -> FusionModel:
    """A random network of one transformer block whose outputs depend on the image, unlike those of a fresh one."""
    torch.manual_seed(seed)
    model = FusionModel(ModelConfig(method=method, image_size=SIZE))
    if model.vit is not None:
        model.vit.blocks = model.vit.blocks[:1]
    for head in (model.grade_head, model.count_head):
        torch.nn.init.normal_(head.weight, std=0.2)
    return model.eval()


def draw_images(number: int, seed: int) -> np.ndarray:
    """Blurred noise of various contrast and colour: uint8 [number, SIZE, SIZE, 3]."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(0, rng.uniform(20, 90, (number, 1, 1, 1)), (number, SIZE // 4, SIZE // 4, 3))
    tint = rng.uniform(60, 200, (number, 1, 1, 3))
    return np.clip(coarse.repeat(4, 1).repeat(4, 2) + tint, 0, 255).astype(np.uint8)


def make_manifest(**fields: object) -> Manifest:
    values = {
        "name": "toy",
        "version": "0",
        "input": InputSpec(SIZE, SIZE),
        "count_bins": 66,
        "scale": HAYASHI,
        "decoding": CountDecoding(head_weight=1.0),
    }
    return Manifest(**{**values, **fields})


def make_calibration() -> OutputCalibration:
    """One that changes what the heads say."""
    calibration = OutputCalibration(4, 66)
    with torch.no_grad():
        calibration.grade.weight.mul_(2)
        calibration.grade.bias.copy_(torch.tensor([1.0, 0.0, 0.0, -1.0]))
        calibration.sharpness.fill_(1.5)
        calibration.count.bias.copy_(torch.linspace(-2, 2, 66))
        calibration.count.weight.copy_(torch.linspace(0, 0.5, 66)[:, None])
    return calibration


@pytest.fixture(scope="session")
def network() -> FusionModel:
    return make_network()


@pytest.fixture(scope="session")
def graph(network: FusionModel) -> onnx.ModelProto:
    return to_onnx(network)


@pytest.fixture(scope="session")
def crops() -> np.ndarray:
    return draw_images(128, seed=1)


@pytest.fixture(scope="session")
def ranges(graph: onnx.ModelProto, crops: np.ndarray) -> dict[str, Ranges]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration.ranges, "BINS", FEW_BINS)
        return collect(graph, crops)


@pytest.fixture(scope="session")
def run_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the smallest network that a checkpoint can hold."""
    path = tmp_path_factory.mktemp("run")
    model = make_network("resnet")
    checkpoint.save(Run(path).model, model.state_dict(), {"model": model.config.to_dict()})
    Run(path).results_file.write_text('{"config": {}, "lists": {}}')
    return path
