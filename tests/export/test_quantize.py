from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from calibration.ranges import Ranges, layers
from export.bias_correction import shifts
from export.graph import attach
from export.parity import onnx_runner, outputs
from export.quantize import KEPT, ONE_SIDED, Recipe, candidates, corrected, cpu, left_in_float, quantize, tensorrt
from tests.toy_model import draw_images, make_manifest

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
            assert scale.size == weights[node.name].dims[0], node.name


def readers_of_int8(graph: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The nodes that read an activation behind Q and DQ."""
    makers = {name: node for node in graph.graph.node for name in node.output}
    pairs = {n.output[0] for n in graph.graph.node if n.op_type == "DequantizeLinear" and n.input[0] in makers}
    return [node for node in graph.graph.node if pairs.intersection(node.input)]


@pytest.mark.parametrize("recipe", RECIPES, ids=["cpu", "tensorrt"])
def test_attention_and_the_vits_residuals_stay_in_float(
    recipe: Recipe, graph: onnx.ModelProto, ranges: dict[str, Ranges]
) -> None:
    quantised = quantize(graph, ranges["minmax"], recipe)
    found = readers_of_int8(quantised)
    chosen = set(candidates(graph))
    others = {node.op_type for node in found if node.name not in chosen}
    # Concat and ReduceMean take the features out of the ResNet, a float convolution makes the lesion map of them.
    assert others == ({"Add", "MaxPool", "Resize", "Concat", "ReduceMean", "Conv"} if recipe.chains else set())
    streams = [node for node in quantised.graph.node if node.op_type == "Add" and node not in found]
    assert len(streams) >= 3  # position embedding, attention, MLP


def test_the_cpu_recipe_keeps_the_resnet_in_int8(graph: onnx.ModelProto, ranges: dict[str, Ranges]) -> None:
    """Nothing between two convolutions computes in float, so that ONNX Runtime has an integer kernel for all of it."""
    quantised = quantize(graph, ranges["minmax"], cpu())
    makers = {name: node for node in quantised.graph.node for name in node.output}
    readers = {name: [n for n in quantised.graph.node if name in n.input] for name in makers}
    known = tensors(quantised)

    def scale(dequantize: onnx.NodeProto) -> float:
        return float(numpy_helper.to_array(known[dequantize.input[1]]))

    chosen = set(candidates(graph))
    between = [
        n
        for n in readers_of_int8(quantised)
        if n.op_type in ("Add", "MaxPool", "Resize") or (n.op_type == "Conv" and n.name in chosen)
    ]
    assert len(between) == 18 + 7 + 1 + 1
    for node in between:
        (after,) = readers[node.output[0]]
        last = readers[after.output[0]][0] if after.op_type == "Relu" else after
        assert last.op_type == "QuantizeLinear", node.name  # the kernel writes INT8
        if after.op_type == "Relu":
            assert numpy_helper.to_array(known[last.input[2]]) == 0  # so that its lower end is the Relu
        if node.op_type in ("MaxPool", "Resize"):
            assert scale(makers[node.input[0]]) == scale(last)  # it only moves values


def test_a_float_layer_takes_what_makes_its_input_along(graph: onnx.ModelProto, ranges: dict[str, Ranges]) -> None:
    quantised = quantize(graph, ranges["minmax"], cpu(), [LAYER])
    nodes = {node.name: node for node in quantised.graph.node}
    original = {node.name: node for node in graph.graph.node}
    (added,) = (n for n in original.values() if original[LAYER].output[0] in n.input)
    assert nodes[added.name].input[:] == added.input[:] or nodes[added.name].input[0] == original[LAYER].output[0]
    kept = ["resnet.layer2.1.conv1", LAYER]
    assert left_in_float(graph, cpu(), [LAYER]) == kept
    assert left_in_float(graph, tensorrt(), [LAYER]) == [LAYER]  # there every layer rounds its own input, and nothing else does
    assert set(quantised_weights(quantised)) == set(candidates(graph)) - set(kept)
    assert nodes[LAYER].input[0] == original[LAYER].input[0]
    found = outputs(onnx_runner(attach(quantised, make_manifest())), draw_images(2, seed=5))
    assert np.isfinite(found.grade_probs).all()


def test_corrected_biases_take_back_the_average_error(
    graph: onnx.ModelProto, ranges: dict[str, Ranges], crops: np.ndarray
) -> None:
    """Ranges that clip a third off every activation shift all outputs; the correction removes most of that."""
    cut = {name: (low / 1.5, high / 1.5) for name, (low, high) in ranges["minmax"].items()}
    for recipe in RECIPES:
        before = shifts(graph, quantize(graph, cut, recipe), crops[:32])
        after = shifts(graph, corrected(graph, cut, recipe, crops[:32]), crops[:32])
        assert set(before) == set(after) == set(candidates(graph))
        for name in before:
            assert np.abs(after[name]).mean() < 0.5 * np.abs(before[name]).mean(), name


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


def test_one_sided_inputs_are_centred_where_scales_are_symmetric(graph: onnx.ModelProto, ranges: dict[str, Ranges]) -> None:
    found = quantize(graph, ranges["minmax"], tensorrt())
    makers = {name: node for node in found.graph.node for name in node.output}
    centred = {
        node.name
        for node in found.graph.node
        if node.name in set(candidates(graph)) and makers[makers[makers[node.input[0]].input[0]].input[0]].op_type == "Sub"
    }
    assert "vit.blocks.0.mlp.fc2" in centred
    padded = {n.name for n in found.graph.node if any(a.name == "pads" and any(a.ints) for a in n.attribute)}
    assert not centred & padded
    assert not [node for node in quantize(graph, ranges["minmax"], cpu()).graph.node if node.op_type == "Sub"]


def test_a_centred_input_is_rounded_in_finer_steps(
    graph: onnx.ModelProto, ranges: dict[str, Ranges], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = {}
    for bound in (ONE_SIDED, 2.0):  # 2: nothing lies so far on one side
        monkeypatch.setattr("export.quantize.ONE_SIDED", bound)
        quantised = quantize(graph, ranges["minmax"], tensorrt())
        makers = {name: node for node in quantised.graph.node for name in node.output}
        (layer,) = (node for node in quantised.graph.node if node.name == "vit.blocks.0.mlp.fc2")
        steps[bound] = float(numpy_helper.to_array(tensors(quantised)[makers[layer.input[0]].input[1]]))
    assert steps[ONE_SIDED] < 0.6 * steps[2.0]
