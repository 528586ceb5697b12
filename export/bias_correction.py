"""Measures the mean error that INT8 adds to each layer, on the float network's inputs, so that biases can subtract it."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from acne_edge import console
from calibration.ranges import layers, observed

BATCH = 8


def shifts(graph: onnx.ModelProto, quantised: onnx.ModelProto, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    """The mean error that quantisation adds to each output channel [C], for each quantised layer.

    Every layer gets its input from the float network, so that its error does not count for later layers too.

    Args:
        graph: the float graph.
        quantised: the same graph, quantised by `export.quantize.quantize`.
        images: uint8 [N, S, S, 3], RGB.
    """
    probe, outputs = _side_by_side(graph, quantised)
    session = observed(probe, list(outputs.values()))
    totals: list[NDArray[np.float64]] = [np.zeros(1)] * len(outputs)
    starts = range(0, len(images), BATCH)
    for start in console.progress(iter(starts), "measuring the mean error of rounding", len(starts)):
        batch = images[start : start + BATCH]
        for i, value in enumerate(session.run(None, {"image": batch})):
            totals[i] = totals[i] + value.astype(np.float64) * (len(batch) / len(images))
    return dict(zip(outputs, totals, strict=True))


def _side_by_side(graph: onnx.ModelProto, quantised: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, str]]:
    """The float graph with each layer's quantised copy beside it, and for each layer the tensor [C] of their mean difference."""
    probe = onnx.ModelProto()
    probe.CopyFrom(graph)
    known = {tensor.name for tensor in probe.graph.initializer}
    probe.graph.initializer.extend(t for t in quantised.graph.initializer if t.name not in known)
    ranks = {v.name: len(v.type.tensor_type.shape.dim) for v in [*graph.graph.value_info, *graph.graph.output]}
    nodes = {name: node for node in quantised.graph.node for name in node.output}
    twins = {node.name: node for node in quantised.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")}
    readers = {node.input[0]: node for node in quantised.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")}
    added = {name for node in graph.graph.node for name in node.output}
    outputs = {}
    for layer in layers(graph):
        twin, result = twins[layer.name], layer.output[0]
        inputs = list(twin.input)
        for place, name in enumerate(inputs):
            source = nodes.get(name)
            if source is None or source.op_type != "DequantizeLinear":
                continue
            inputs[place] = f"{name}/int8"
            quantize = nodes.get(source.input[0])  # activations have one; weights are stored quantised
            centre = nodes.get(quantize.input[0]) if quantize is not None else None
            for node in (centre, quantize, _copy(source, list(source.input), inputs[place])):
                if node is not None and node.output[0] not in added:
                    added.add(node.output[0])
                    probe.graph.node.append(node)
        if inputs[1] == twin.input[1]:
            continue  # the layer is not quantised
        ours = _copy(twin, inputs, f"{result}/int8")
        probe.graph.node.append(ours)
        reader = readers.get(result)
        if reader is not None and reader.op_type == "QuantizeLinear":  # the recipe quantises the output too
            for node in (reader, readers[reader.output[0]]):
                ours = _copy(node, [ours.output[0], *node.input[1:]], ours.output[0] + "/q")
                probe.graph.node.append(ours)
        difference, shift, axes = (f"{result}/{what}" for what in ("difference", "shift", "axes"))
        channel = 1 if layer.op_type == "Conv" else ranks[result] - 1
        others = [axis for axis in range(ranks[result]) if axis != channel]
        probe.graph.initializer.append(onnx.numpy_helper.from_array(np.array(others, np.int64), axes))
        probe.graph.node.append(onnx.helper.make_node("Sub", [ours.output[0], result], [difference]))
        probe.graph.node.append(onnx.helper.make_node("ReduceMean", [difference, axes], [shift], keepdims=0))
        outputs[layer.name] = shift
    return probe, outputs


def _copy(node: onnx.NodeProto, inputs: list[str], output: str) -> onnx.NodeProto:
    """A copy of the node with another name, inputs and output."""
    twin = onnx.NodeProto()
    twin.CopyFrom(node)
    twin.name = output
    del twin.input[:]
    twin.input.extend(inputs)
    twin.output[0] = output
    return twin
