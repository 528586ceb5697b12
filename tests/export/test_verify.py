from __future__ import annotations

import onnx
import pytest
import torch
from onnx import numpy_helper

from acne_edge.training.model import FusionModel
from calibration.ranges import Ranges, layers
from export import verify
from export.quantize import quantize, tensorrt
from export.verify import (
    LAYER_EXACT,
    LAYER_REDUCED,
    first_diverging_layer,
    first_diverging_layer_from_torch,
)
from tests.toy_model import draw_images

SPOILED = "vit.blocks.0.mlp.fc1"


def spoil(graph: onnx.ModelProto, layer: str) -> onnx.ModelProto:
    """The graph with one weight of one layer far off."""
    broken = onnx.ModelProto()
    broken.CopyFrom(graph)
    (node,) = (n for n in layers(broken) if n.name == layer)
    (tensor,) = (t for t in broken.graph.initializer if t.name == node.input[1])
    values = numpy_helper.to_array(tensor).copy()
    values.flat[:64] += 5
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return broken


@pytest.mark.parametrize("layer", [SPOILED, "resnet.layer2.0.conv1"])
def test_the_first_diverging_layer_of_two_graphs(layer: str, graph: onnx.ModelProto) -> None:
    image = draw_images(1, seed=0)
    assert first_diverging_layer(graph, graph, image, LAYER_EXACT) is None
    assert first_diverging_layer(graph, spoil(graph, layer), image, LAYER_EXACT) == layer


def test_an_int8_graph_diverges_where_its_range_is_wrong(graph: onnx.ModelProto, ranges: dict[str, Ranges]) -> None:
    image = draw_images(1, seed=0)
    assert first_diverging_layer(graph, quantize(graph, ranges["minmax"], tensorrt()), image, LAYER_REDUCED) is None
    (node,) = (n for n in layers(graph) if n.name == SPOILED)
    low, high = ranges["minmax"][node.input[0]]
    wrong = ranges["minmax"] | {node.input[0]: (low / 40, high / 40)}
    assert first_diverging_layer(graph, quantize(graph, wrong, tensorrt()), image, LAYER_REDUCED) == SPOILED


def test_the_first_layer_at_which_a_graph_leaves_torch(
    network: FusionModel, program: torch.onnx.ONNXProgram, graph: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "trace", lambda *_: program)
    image = draw_images(1, seed=0)
    assert first_diverging_layer_from_torch(network, graph, image, LAYER_EXACT) is None
    for layer in ("resnet.layer2.0.conv1", SPOILED):
        assert first_diverging_layer_from_torch(network, spoil(graph, layer), image, LAYER_EXACT) == layer
