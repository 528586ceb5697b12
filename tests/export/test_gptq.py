from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from calibration.ranges import layers, observed
from export.gptq import compensated, covariances, round_weights
from export.quantize import Recipe, candidates, channel_axis, channel_scale, cpu, tensorrt


def output_error(difference: np.ndarray, covariance: np.ndarray) -> float:
    return float(np.einsum("ck,kl,cl->", difference, covariance, difference))


def test_errors_of_inputs_that_vary_together_cancel() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(500, 1)) + 0.1 * rng.normal(size=(500, 16))  # sixteen pixels of one smooth patch
    covariance = np.cov(inputs.T)
    weights = rng.uniform(-20, 20, (8, 16))
    nearest, found = np.rint(weights), compensated(weights, covariance, 64)
    assert (found == np.rint(found)).all()
    assert output_error(found - weights, covariance) < 0.25 * output_error(nearest - weights, covariance)


def test_inputs_that_have_nothing_to_do_with_each_other_are_rounded_to_the_nearest() -> None:
    weights = np.random.default_rng(0).uniform(-20, 20, (8, 16))
    for covariance in (np.eye(16), np.zeros((16, 16))):
        np.testing.assert_array_equal(compensated(weights, covariance, 64), np.rint(weights))


def test_errors_reach_the_weights_of_all_later_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    covariance = np.cov(rng.normal(size=(500, 40)) @ rng.normal(size=(40, 40)), rowvar=False)
    weights = rng.uniform(-20, 20, (8, 40))
    found = []
    for block in (1, 16, 40):
        monkeypatch.setattr("export.gptq.BLOCK", block)
        found.append(compensated(weights, covariance, 64))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    assert output_error(found[0] - weights, covariance) < 0.5 * output_error(np.rint(weights) - weights, covariance)


def test_integers_stay_in_range() -> None:
    weights = np.full((1, 4), 63.4)
    assert compensated(weights, np.ones((4, 4)) + 0.01 * np.eye(4), 64).max() <= 64


@pytest.mark.parametrize("recipe", [cpu(), tensorrt()], ids=["cpu", "tensorrt"])
def test_every_layer_is_rounded_in_its_own_shape(recipe: Recipe, graph: onnx.ModelProto, crops: np.ndarray) -> None:
    found = round_weights(graph, recipe, covariances(graph, crops[:16]))
    assert set(found) == set(candidates(graph))
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}
    for node in layers(graph):
        if node.name in found:
            weight = constants[node.input[1]]
            steps = found[node.name] * channel_scale(weight, channel_axis(node), recipe)
            assert found[node.name].shape == weight.shape
            assert found[node.name].dtype == np.int8
            assert np.abs(steps - weight).max() < 0.2 * np.abs(weight).max()


def test_a_covariance_is_of_what_a_layer_reads(graph: onnx.ModelProto, crops: np.ndarray) -> None:
    found = covariances(graph, crops[:8])
    convolution = next(n for n in layers(graph) if n.name == "resnet.layer2.0.conv1")  # 3x3, stride 2, padded
    product = next(n for n in layers(graph) if n.name == "vit.blocks.0.mlp.fc1")
    maps, tokens = observed(graph, [convolution.input[0], product.input[0]]).run(None, {"image": crops[:8]})
    patches = torch.nn.functional.unfold(torch.from_numpy(maps), 3, padding=1, stride=2).transpose(1, 2).flatten(0, 1)
    for name, rows in (("resnet.layer2.0.conv1", patches.numpy()), ("vit.blocks.0.mlp.fc1", tokens.reshape(-1, 192))):
        np.testing.assert_allclose(found[name], np.cov(rows.T, bias=True), atol=1e-4 * np.abs(found[name]).max())
