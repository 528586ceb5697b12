from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import calibration.ranges
from acne_edge.training import checkpoint
from acne_edge.training.model import FusionModel
from acne_edge.training.run import Run
from calibration.ranges import Ranges, collect
from export.graph import to_onnx, trace
from tests.toy_model import draw_images, make_network

FEW_BINS = 160  # of the histograms; the search for the least entropy takes time as their square


@pytest.fixture(scope="session")
def network() -> FusionModel:
    return make_network()


@pytest.fixture(scope="session")
def program(network: FusionModel) -> torch.onnx.ONNXProgram:
    """The network as the exporter traced it, which takes seconds."""
    return trace(network)


@pytest.fixture(scope="session")
def graph(network: FusionModel, program: torch.onnx.ONNXProgram) -> onnx.ModelProto:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("export.graph.trace", lambda *_: program)
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
    """A run of the smallest network that a checkpoint can hold; `narrow` loads it."""
    path = tmp_path_factory.mktemp("run")
    model = make_network("resnet")
    checkpoint.save(Run(path).model, model.state_dict(), {"model": model.config.to_dict()})
    Run(path).results_file.write_text('{"config": {}, "lists": {}}')
    return path
