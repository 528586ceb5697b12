from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from calibration.ranges import Ranges, layers
from export.graph import attach
from export.parity import onnx_runner, outputs
from export.quantize import KEPT, Recipe, candidates, cpu, quantize, tensorrt
from export.sensitivity import layer_errors
from tests.export.conftest import draw_images, make_manifest

RECIPES = [cpu(), tensorrt()]
LAYER = "resnet.layer2.1.conv2"


def tensors(graph: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    return {tensor.name: tensor for tensor in graph.graph.initializer}


def quantised_weights(graph: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """The INT8 weights by layer."""
    makers = {name: node for node in graph.graph.node for name in node.output}
    known = tensors(graph)
    return {
        node.name: known[makers[node.input[1]].input[0]]
        for node in graph.graph.node
        if node.op_type in ("Conv", "MatMul", "Gemm") and node.input[1] in makers and makers[node.input[1]].input[0] in known
    }


@pytest.mark.parametrize("recipe", RECIPES, ids=["cpu", "tensorrt"])
def test_the_file_keeps_the_contract_and_repeats(recipe: Recipe, graph: onnx.ModelProto, ranges: dict[str, Ranges]) -> None:
    before = graph.SerializeToString(deterministic=True)
    data = attach(quantize(graph, ranges["minmax"], recipe), make_manifest())  # attach runs onnx.checker
    assert attach(quantize(graph, ranges["minmax"], recipe), make_manifest()) == data
    assert graph.SerializeToString(deterministic=True) == before
    assert {entry.domain for entry in onnx.load_from_string(data).opset_import} == {""}
    found = outputs(onnx_runner(data), draw_images(8, seed=5))
    expected = outputs(onnx_runner(attach(quantize(graph, ranges["minmax"], recipe, candidates(graph)), make_manifest())),
                       draw_images(8, seed=5))  # fmt: skip
    assert 1e-4 < np.abs(found.grade_probs - expected.grade_probs).max() < 0.25  # quantised, and not to pieces


@pytest.mark.parametrize("recipe", RECIPES, ids=["cpu", "tensorrt"])
def test_every_layer_but_the_kept_ones_is_int8_per_channel(
    recipe: Recipe, graph: onnx.ModelProto, ranges: dict[str, Ranges]
) -> None:
    quantised = quantize(graph, ranges["minmax"], recipe)
    weights = quantised_weights(quantised)
    assert set(weights) == set(candidates(graph))
    assert not [name for name in weights if name.startswith(KEPT)]
    assert len(layers(graph)) - len(weights) == 8  # grade, count, map, patches and the channel attention's four products
    assert {tensor.data_type for tensor in weights.values()} == {TensorProto.INT8}
    makers = {name: node for node in quantised.graph.node for name in node.output}
    known = tensors(quantised)
    for node in quantised.graph.node:
        if node.name in weights:
            scale = numpy_helper.to_array(known[makers[node.input[1]].input[1]])
            assert scale.size == weights[node.name].dims[1 if node.op_type == "MatMul" else 0], node.name


def test_attention_and_residuals_stay_in_float(graph: onnx.ModelProto, ranges: dict[str, Ranges]) -> None:
    for recipe in RECIPES:
        quantised = quantize(graph, ranges["minmax"], recipe)
        makers = {name: node for node in quantised.graph.node for name in node.output}
        inputs = {(n.op_type, makers[i].op_type) for n in quantised.graph.node for i in n.input if i in makers}
        for reader in ("LayerNormalization", "Softmax", "Erf", "Mul", "ReduceMean"):
            assert (reader, "DequantizeLinear") not in inputs
        added = [node for node in quantised.graph.node if node.op_type == "Add"]
        float_sources = [i for n in added for i in n.input if i in makers and makers[i].op_type == "DequantizeLinear"]
        convolutions = {n.output[0] for n in layers(graph) if n.op_type == "Conv"}
        assert {makers[makers[i].input[0]].input[0] for i in float_sources} <= convolutions


def test_the_cpu_recipe_is_u8s8_with_a_seventh_bit_spared(graph: onnx.ModelProto, ranges: dict[str, Ranges]) -> None:
    for reduce_range, largest in ((True, 64), (False, 127)):
        quantised = quantize(graph, ranges["minmax"], cpu(reduce_range))
        values = numpy_helper.to_array(quantised_weights(quantised)[LAYER])
        assert np.abs(values.astype(int)).max() == largest
        known = tensors(quantised)
        zero_points = {known[node.input[2]].data_type for node in quantised.graph.node if node.op_type == "QuantizeLinear"}
        assert zero_points == {TensorProto.UINT8}


def test_the_tensorrt_recipe_is_symmetric_s8s8_without_int32(graph: onnx.ModelProto, ranges: dict[str, Ranges]) -> None:
    quantised = quantize(graph, ranges["minmax"], tensorrt())
    known = tensors(quantised)
    pairs = [n for n in quantised.graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert len(pairs) > 20
    for node in pairs:
        zero_point = known[node.input[2]]
        assert zero_point.data_type == TensorProto.INT8
        assert not numpy_helper.to_array(zero_point).any()
    assert not [t.name for t in quantised.graph.initializer if t.data_type == TensorProto.INT32]


def test_an_excluded_layer_is_the_float_one(graph: onnx.ModelProto, ranges: dict[str, Ranges]) -> None:
    quantised = quantize(graph, ranges["minmax"], tensorrt(), [LAYER])
    (ours,), (original,) = ([n for n in g.graph.node if n.name == LAYER] for g in (quantised, graph))
    assert list(ours.input) == list(original.input)
    assert set(quantised_weights(quantised)) == set(candidates(graph)) - {LAYER}


@pytest.mark.parametrize("recipe", RECIPES, ids=["cpu", "tensorrt"])
def test_layer_errors_are_of_each_layer_alone(recipe: Recipe, graph: onnx.ModelProto, ranges: dict[str, Ranges]) -> None:
    images = draw_images(16, seed=6)
    errors = layer_errors(graph, quantize(graph, ranges["minmax"], recipe), images)
    assert set(errors) == set(candidates(graph))
    assert list(errors.values()) == sorted(errors.values(), reverse=True)
    assert 0 < max(errors.values()) < 0.1
    (node,) = (n for n in layers(graph) if n.name == LAYER)
    low, high = ranges["minmax"][node.input[0]]
    clipped = ranges["minmax"] | {node.input[0]: (low / 50, high / 50)}
    spoiled = layer_errors(graph, quantize(graph, clipped, recipe), images)
    assert next(iter(spoiled)) == LAYER
    assert spoiled[LAYER] > 10 * errors[LAYER]
    others = [name for name in errors if name not in (LAYER, "resnet.layer2.1.conv1")]
    assert {name: spoiled[name] for name in others} == pytest.approx({name: errors[name] for name in others})
