"""What INT8 does to each layer by itself, on the inputs that the float network gives it."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from calibration.ranges import layers, observed

BATCH = 8


def layer_errors(graph: onnx.ModelProto, quantised: onnx.ModelProto, images: NDArray[np.uint8]) -> dict[str, float]:
    """Squared error of each quantised layer's output over the output's square, mean of the channels, worst layer first.

    Every layer is fed from the float network, so that the error of one is not counted against those behind it, and every
    channel weighs the same, so that a loud one does not hide what became of the others.

    Args:
        graph: the float graph.
        quantised: what `export.quantize.quantize` made of it.
        images: uint8 [N, S, S, 3], RGB.
    """
    errors = {name: _ratio(error, power) for name, (error, power, _) in _sums(graph, quantised, images).items()}
    return dict(sorted(errors.items(), key=lambda item: -item[1]))


def shifts(graph: onnx.ModelProto, quantised: onnx.ModelProto, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    """By quantised layer, what quantisation adds on average to each channel [C] of its output.

    Arguments as of `layer_errors`.
    """
    return {name: shift for name, (_, _, shift) in _sums(graph, quantised, images).items()}


def _sums(
    graph: onnx.ModelProto, quantised: onnx.ModelProto, images: NDArray[np.uint8]
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]]:
    """By quantised layer and channel: squared error and square of the output, summed, and the mean error."""
    probe, outputs = _side_by_side(graph, quantised)
    session = observed(probe, [tensor for three in outputs.values() for tensor in three])
    totals: list[NDArray[np.float64]] = [np.zeros(1)] * (3 * len(outputs))
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        parts = (1, 1, len(batch) / len(images))  # of sum, sum and mean
        for i, value in enumerate(session.run(None, {"image": batch})):
            totals[i] = totals[i] + value.astype(np.float64) * parts[i % 3]
    return {name: (totals[3 * i], totals[3 * i + 1], totals[3 * i + 2]) for i, name in enumerate(outputs)}


def _ratio(error: NDArray[np.float64], power: NDArray[np.float64]) -> float:
    """Mean over channels; one that is all but silent counts as a thousandth of the median channel."""
    return float((error / np.maximum(power, max(1e-3 * float(np.median(power)), 1e-30))).mean())


def _side_by_side(graph: onnx.ModelProto, quantised: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, tuple[str, str, str]]]:
    """The float graph with each quantised layer beside its float self.

    Also returns, by layer, the names of three tensors [C]: the sums of squares, by channel, of the difference and of the
    output, and the mean of the difference.
    """
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
            quantize = nodes.get(source.input[0])  # an activation has it; weights are stored quantised
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
        difference, error, power, shift, axes = (f"{result}/{what}" for what in ("difference", "error", "power", "shift", "axes"))
        channel = 1 if layer.op_type == "Conv" else ranks[result] - 1
        others = [axis for axis in range(ranks[result]) if axis != channel]
        probe.graph.initializer.append(onnx.numpy_helper.from_array(np.array(others, np.int64), axes))
        probe.graph.node.append(onnx.helper.make_node("Sub", [ours.output[0], result], [difference]))
        for tensor, squares in ((difference, error), (result, power)):
            probe.graph.node.append(onnx.helper.make_node("ReduceSumSquare", [tensor, axes], [squares], keepdims=0))
        probe.graph.node.append(onnx.helper.make_node("ReduceMean", [difference, axes], [shift], keepdims=0))
        outputs[layer.name] = (error, power, shift)
    return probe, outputs


def _copy(node: onnx.NodeProto, inputs: list[str], output: str) -> onnx.NodeProto:
    """The node under another name, with other inputs and output."""
    twin = onnx.NodeProto()
    twin.CopyFrom(node)
    twin.name = output
    del twin.input[:]
    twin.input.extend(inputs)
    twin.output[0] = output
    return twin
