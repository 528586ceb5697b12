from __future__ import annotations

import numpy as np
import onnx
import pytest

from acne_edge.backends.base import Outputs
from acne_edge.bench.parity import Images, simulated_runner
from calibration.ranges import Ranges, layers
from export.graph import attach
from export.parity import outputs
from export.quantize import Recipe, candidates, cpu, tensorrt
from export.sensitivity import divergence, layer_effects
from tests.toy_model import draw_images, make_manifest

LAYER = "vit.blocks.0.mlp.fc2"


def run(graph: onnx.ModelProto, images: Images) -> Outputs:
    twin = onnx.ModelProto()
    twin.CopyFrom(graph)
    return outputs(simulated_runner(attach(twin, make_manifest())), images)


@pytest.mark.parametrize("recipe", [cpu(), tensorrt()], ids=["cpu", "tensorrt"])
def test_a_layer_whose_input_is_cut_off_harms_the_outputs_most(
    recipe: Recipe, graph: onnx.ModelProto, ranges: dict[str, Ranges]
) -> None:
    (node,) = (n for n in layers(graph) if n.name == LAYER)
    low, high = ranges["minmax"][node.input[0]]
    cut = ranges["minmax"] | {node.input[0]: (low / 50, high / 50)}
    effects = layer_effects(graph, cut, recipe, draw_images(16, seed=6), run)
    assert set(effects) == set(candidates(graph))
    assert list(effects.values()) == sorted(effects.values(), reverse=True)
    assert next(iter(effects)) == LAYER
    assert effects[LAYER] > 10 * list(effects.values())[1] > 0


def test_divergence_is_of_distributions() -> None:
    def out(grades: list[float], counts: list[float]) -> Outputs:
        return Outputs(np.array([grades], np.float32), np.array([counts], np.float32), np.zeros((1, 1, 1), np.float32))

    one = out([0.5, 0.5], [1.0, 0.0])
    assert divergence(one, one) == 0
    assert divergence(one, out([0.25, 0.75], [1.0, 0.0])) == pytest.approx(0.5 * np.log(2) + 0.5 * np.log(2 / 3))
    assert divergence(one, out([0.5, 0.5], [0.5, 0.5])) == pytest.approx(np.log(2))
