"""Static INT8 quantisation: makes a Q/DQ graph for each kind of device from one set of ranges.

The layers of `calibration.ranges.layers` are quantised, except those that a recipe keeps in float. Outputs of products with
constant weights are not quantised: the next operation (GELU, residual, attention) is float, and INT8 kernels can write float.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from calibration.ranges import Ranges, layers
from export.bias_correction import shifts

# The ViT's first layer and the network's last: they are a hundredth of the work, and nothing corrects their errors.
KEPT = ("vit.patch_embed.", "vit.channel_attention.", "grade_head", "count_head", "lesion_map.out", "calibration.")
PASSING = ("MaxPool", "Resize")  # operators that do not change values, so that their output has their input's range
ONE_SIDED = 0.25  # a range is centred if its middle is at least this share of its farther end from zero
INT32 = 2**31 - 1
Integers = Mapping[str, NDArray[np.int8]]  # integer weights by layer
TINY = 1e-12  # least scale, for a channel or activation that is always zero


@dataclass(frozen=True)
class Recipe:
    """How to make one kind of INT8 file."""

    name: str  # as in the manifest
    suffix: str  # of the file's name
    symmetric: bool  # activations int8 around 0; else uint8 with a zero point
    reduce_range: bool  # 7-bit weights
    chains: bool  # convolutions, and the additions and pooling between them, pass on INT8
    integer_bias: bool  # biases int32
    judged_on: str  # "kernels": those of ONNX Runtime on this machine; "simulation": float32 between Q and DQ

    @property
    def largest_weight(self) -> int:
        """The integer that a channel's largest weight becomes."""
        return 64 if self.reduce_range else 127


def cpu(reduce_range: bool = True) -> Recipe:
    """U8S8, for ONNX Runtime on CPUs: activations asymmetric, weights symmetric per channel, biases int32.

    The ResNet stays in INT8 from its first layer to its last, because ONNX Runtime's INT8 convolutions write only INT8, and
    converting to float between two of them costs a third of a convolution. `reduce_range` makes weights 7-bit, which processors
    without VNNI need, because their 16-bit sums of u8 x s8 pairs saturate.
    """
    return Recipe("U8S8 Q/DQ, weights per channel", "int8", False, reduce_range, True, True, "kernels")


def tensorrt() -> Recipe:
    """S8S8, for TensorRT: symmetric, weights per channel, float biases (its parser refuses int32), only inputs quantised.

    GELU's output is almost all on one side of zero, so a symmetric scale would waste half of its steps. Such inputs are centred
    first, and the layer's bias corrects for that.
    """
    return Recipe("S8S8 Q/DQ, symmetric, weights per channel", "int8-trt", True, False, False, False, "simulation")


def channel_axis(node: onnx.NodeProto) -> int:
    """The axis of a layer's weight for its output channels."""
    return 0 if node.op_type == "Conv" or any(a.name == "transB" and a.i for a in node.attribute) else 1


def channel_scale(weight: NDArray[np.float32], axis: int, recipe: Recipe) -> NDArray[np.float32]:
    """The quantisation step of each channel's weights, float32, in a shape that broadcasts with `weight`."""
    largest = np.abs(weight).max(tuple(i for i in range(weight.ndim) if i != axis), keepdims=True)
    return np.maximum(largest / recipe.largest_weight, TINY).astype(np.float32)  # type: ignore[no-any-return]


def candidates(graph: onnx.ModelProto) -> list[str]:
    """Names of the layers that a recipe quantises by default."""
    return [node.name for node in layers(graph) if not node.name.startswith(KEPT)]


def left_in_float(graph: onnx.ModelProto, recipe: Recipe, exclude: Collection[str]) -> list[str]:
    """The layers that `exclude` leaves in float, in the graph's order: those named and, in chains, the producers of their input.

    A layer gains nothing from float if the convolution before it still rounds its input.
    """
    makers = {name: node for node in graph.graph.node for name in node.output}
    kept = set(exclude)
    for node in graph.graph.node:
        if recipe.chains and node.name in exclude:
            maker = makers.get(_made_as(node.input[0], makers)[-1])
            if maker is not None and maker.op_type == "Conv":
                kept.add(maker.name)
    return [name for name in candidates(graph) if name in kept]


def _made_as(name: str, makers: Mapping[str, onnx.NodeProto]) -> list[str]:
    """A tensor, and the tensors before it through value-preserving operators and one Relu."""
    names = [name]
    while name in makers and makers[name].op_type in ("Relu", *PASSING):
        name = str(makers[name].input[0])
        names.append(name)
    return names


def corrected(
    graph: onnx.ModelProto,
    ranges: Ranges,
    recipe: Recipe,
    images: NDArray[np.uint8],
    exclude: Collection[str] = (),
    integers: Integers | None = None,
) -> onnx.ModelProto:
    """As `quantize`, with biases that subtract each channel's mean rounding error (Nagel et al., ICCV 2019, 4.2).

    `images` are calibration crops, uint8 [N, S, S, 3], RGB.
    """
    plain = quantize(graph, ranges, recipe, exclude, integers=integers)
    return quantize(graph, ranges, recipe, exclude, shifts(graph, plain, images), integers)


def quantize(
    graph: onnx.ModelProto,
    ranges: Ranges,
    recipe: Recipe,
    exclude: Collection[str] = (),
    shift: Mapping[str, NDArray[np.float64]] | None = None,
    integers: Integers | None = None,
) -> onnx.ModelProto:
    """The quantised graph. Tensors of the float graph that are still computed keep their names.

    Args:
        graph: the float graph of `export.graph.to_onnx`; it is not changed.
        ranges: the range of each tensor in `calibration.ranges.measured`.
        recipe: `cpu()` or `tensorrt()`.
        exclude: names of layers to leave in float, besides those that every recipe leaves.
        shift: by layer, a value [C] to subtract from its bias.
        integers: by layer, its weights in steps of `channel_scale`; other layers' weights are rounded to the nearest step.
    """
    return _Quantizer(graph, ranges, recipe, exclude, shift or {}, integers or {}).run()


class _Quantizer:
    """Quantises one graph."""

    def __init__(
        self,
        graph: onnx.ModelProto,
        ranges: Ranges,
        recipe: Recipe,
        exclude: Collection[str],
        shift: Mapping[str, NDArray[np.float64]],
        integers: Integers,
    ) -> None:
        self._proto = onnx.ModelProto()
        self._proto.CopyFrom(graph)
        del self._proto.metadata_props[:]
        self._recipe, self._shift, self._integers = recipe, shift, integers
        self._chosen = set(candidates(graph)).difference(left_in_float(graph, recipe, exclude))
        makers = {name: node for node in graph.graph.node for name in node.output}
        self._float = {name for node in graph.graph.node if node.name in exclude for name in _made_as(node.input[0], makers)}
        self._constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}
        self._ranges = dict(ranges)
        self._chained = self._chains() if recipe.chains else set()
        self._centres = self._one_sided() if recipe.symmetric else {}
        self._pairs: dict[str, list[onnx.NodeProto]] = {}  # Q and DQ of an activation, by its name

    def run(self) -> onnx.ModelProto:
        """The graph with Q and DQ nodes around quantised tensors."""
        graph = self._proto.graph
        weights: list[onnx.NodeProto] = []
        for node in graph.node:
            layer = node.name in self._chosen
            for place, name in enumerate(node.input):
                if name in self._chained or (layer and place == 0):
                    node.input[place] = self._pair(name)
            if layer:
                weights += self._weights(node)
        made = [node for original in graph.node for node in (original, *self._behind(original))]
        nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in [*weights, *made]]
        used = {name for node in nodes for name in node.input}
        kept = [tensor for tensor in graph.initializer if tensor.name in used]
        for field, content in ((graph.node, nodes), (graph.initializer, kept)):
            del field[:]
            field.extend(content)
        return self._proto

    def _chains(self) -> set[str]:
        """The tensors that convolutions, and the operators between them, pass on in INT8."""
        readers: dict[str, list[str]] = {}
        for node in self._proto.graph.node:
            for name in node.input:
                readers.setdefault(name, []).append(node.op_type)
        found: set[str] = set()
        for node in self._proto.graph.node:
            source, result = node.input[0], node.output[0]
            added = node.op_type == "Add" and found.issuperset(node.input) and readers[result] == ["Relu"]
            if result in self._float:
                continue
            if (node.op_type == "Conv" and node.name in self._chosen) or added:
                found.add(result)
            elif node.op_type in ("Relu", *PASSING) and source in found:
                found.add(result)
                if node.op_type in PASSING:
                    self._ranges[result] = self._ranges[source]
        # If a Relu is the only reader of a result, the kernel applies it and writes only the Relu's result.
        return {name for name in found if readers[name] != ["Relu"]}

    def _one_sided(self) -> dict[str, float]:
        """The middle of the range of each tensor that is mostly on one side of zero and is read only by INT8 layers.

        Inputs of padding convolutions are left out, because the padding's zeros would then mean the middle.
        """
        suited: dict[str, bool] = {}
        for node in self._proto.graph.node:
            pads = any(a.name == "pads" and any(a.ints) for a in node.attribute)
            for place, name in enumerate(node.input):
                suited[name] = suited.get(name, True) and place == 0 and node.name in self._chosen and not pads
        middle = {name: sum(self._ranges[name]) / 2 for name in suited if suited[name] and name in self._ranges}
        return {name: m for name, m in middle.items() if abs(m) > ONE_SIDED * max(map(abs, self._ranges[name]))}

    def _pair(self, name: str) -> str:
        """The activation after Q and DQ."""
        if name not in self._pairs:
            low, high = (float(f(0, bound)) for f, bound in zip((min, max), self._ranges[name], strict=True))
            symmetric, source = self._recipe.symmetric, name
            self._pairs[name] = []
            if name in self._centres:
                low, high, source = low - self._centres[name], high - self._centres[name], f"{name}.centred"
                inputs = [name, self._constant(f"{name}.centre", np.float32(self._centres[name]))]
                self._pairs[name].append(helper.make_node("Sub", inputs, [source], source))
            scale = max(max(-low, high) / 127 if symmetric else (high - low) / 255, TINY)
            zero_point = np.int8(0) if symmetric else np.uint8(round(-low / scale))
            parameters = [self._constant(f"{name}.scale", np.float32(scale)), self._constant(f"{name}.zero_point", zero_point)]
            self._pairs[name] += [
                helper.make_node("QuantizeLinear", [source, *parameters], [f"{name}.int8"], f"{name}.Q"),
                helper.make_node("DequantizeLinear", [f"{name}.int8", *parameters], [f"{name}.quantised"], f"{name}.DQ"),
            ]
        return str(self._pairs[name][-1].output[0])

    def _behind(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        return [added for name in node.output for added in self._pairs.get(name, [])]

    def _weights(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """Store a layer's weights and, if the recipe says so, its bias as integers; returns the nodes that dequantise them."""
        weight = self._constants[node.input[1]]
        axis = channel_axis(node)
        scale = channel_scale(weight, axis, self._recipe)
        integers = self._integers.get(node.name)
        values = {1: (np.rint(weight / scale).astype(np.int8) if integers is None else integers, scale.ravel())}
        centre = self._centres.get(node.input[0].removesuffix(".quantised"), 0.0)
        if node.name in self._shift or len(node.input) > 2 or centre:
            bias = self._constants[node.input[2]] if len(node.input) > 2 else np.zeros(scale.size)
            bias = bias - self._shift.get(node.name, np.zeros(scale.size))
            bias = bias + centre * (values[1][0] * scale).sum(tuple(i for i in range(weight.ndim) if i != axis))
            del node.input[2:]
            if self._recipe.integer_bias:
                steps = self._constants[f"{node.input[0].removesuffix('.quantised')}.scale"] * scale.ravel()
                values[2] = (np.rint(bias / steps).clip(-INT32, INT32).astype(np.int32), steps)
                node.input.append("")
            else:
                node.input.append(self._constant(f"{node.name}.bias", bias.astype(np.float32)))
        for place, (integers, steps) in values.items():
            # Per layer, because two layers may share a weight but have inputs with different scales.
            stem = f"{node.name}.{('weight', 'bias')[place - 1]}"
            inputs = [
                self._constant(f"{stem}.int", integers),
                self._constant(f"{stem}.scale", steps),
                self._constant(f"{stem}.zero_point", np.zeros(steps.shape, integers.dtype)),
            ]
            node.input[place] = f"{stem}.quantised"
            yield helper.make_node("DequantizeLinear", inputs, [node.input[place]], f"{stem}.DQ", axis=axis if place == 1 else 0)

    def _constant(self, name: str, value: Any) -> str:
        self._constants[name] = np.asarray(value)
        self._proto.graph.initializer.append(numpy_helper.from_array(self._constants[name], name))
        return name
