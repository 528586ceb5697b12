"""Static INT8 quantisation: one set of ranges, one Q/DQ graph for each kind of device.

What is quantised is `calibration.ranges.layers`, less the layers a recipe keeps. No product with constant weights has its
output quantised: what follows - bias, GELU, residual - is float anyway, and INT8 kernels can write float.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import TensorData, TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from calibration.ranges import Ranges, layers

# The first layer of the ViT and the last of the network: a hundredth of the work, and nothing corrects what they get wrong.
KEPT = ("vit.patch_embed.", "vit.channel_attention.", "grade_head", "count_head", "lesion_map.out")


@dataclass(frozen=True)
class Recipe:
    """How one of the INT8 files is made."""

    name: str  # as the manifest says it
    suffix: str  # of the file's name
    activations: QuantType
    reduce_range: bool  # 7-bit weights
    options: dict[str, Any] = field(hash=False)
    judged_on: str  # "kernels": those of ONNX Runtime on this machine; "simulation": float32 between Q and DQ


def cpu(reduce_range: bool = True) -> Recipe:
    """U8S8, for ONNX Runtime on CPUs: activations asymmetric, weights symmetric per channel, biases int32.

    A convolution's output is quantised, for only then has ONNX Runtime an INT8 kernel. `reduce_range` makes weights 7-bit,
    which processors without VNNI need: their 16-bit sums of u8 x s8 pairs saturate.
    """
    options = {"ActivationSymmetric": False, "WeightSymmetric": True, "OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"]}
    return Recipe("U8S8 Q/DQ, weights per channel", "int8", QuantType.QUInt8, reduce_range, options, "kernels")


def tensorrt() -> Recipe:
    """S8S8, for TensorRT: symmetric, weights per channel, biases float (its parser takes no int32), inputs quantised only."""
    options = {
        "ActivationSymmetric": True,
        "WeightSymmetric": True,
        "QuantizeBias": False,
        "OpTypesToExcludeOutputQuantization": ["Conv", "MatMul", "Gemm"],
    }
    return Recipe("S8S8 Q/DQ, symmetric, weights per channel", "int8-trt", QuantType.QInt8, False, options, "simulation")


def candidates(graph: onnx.ModelProto) -> list[str]:
    """Names of the layers that a recipe quantises unless told otherwise."""
    return [node.name for node in layers(graph) if not node.name.startswith(KEPT)]


def quantize(graph: onnx.ModelProto, ranges: Ranges, recipe: Recipe, exclude: Collection[str] = ()) -> onnx.ModelProto:
    """The quantised graph. Every tensor of the float graph that is still computed keeps its name.

    Args:
        graph: the float graph of `export.graph.to_onnx`; it is not changed.
        ranges: of each layer's input and output, by tensor.
        recipe: `cpu()` or `tensorrt()`.
        exclude: names of layers that stay in float besides those that every recipe keeps.
    """
    chosen = set(candidates(graph)).difference(exclude)
    proto = onnx.ModelProto()
    proto.CopyFrom(graph)
    del proto.metadata_props[:]
    bounds = {
        name: TensorData(lowest=np.float32(low), highest=np.float32(high)) for name, (low, high) in ranges.items()
    }  # the quantiser widens each to hold zero
    logging.disable(logging.WARNING)  # the quantiser warns of what is done here on purpose
    try:
        quantizer = QDQQuantizer(
            proto,
            per_channel=True,
            reduce_range=recipe.reduce_range,
            weight_qType=QuantType.QInt8,
            activation_qType=recipe.activations,
            tensors_range=TensorsData(CalibrationMethod.MinMax, bounds),
            nodes_to_quantize=[],
            nodes_to_exclude=[node.name for node in graph.graph.node if node.name not in chosen],
            op_types_to_quantize=["Conv", "Gemm", "MatMul"],
            # Without the axis MatMul weights would fall back to one scale a tensor.
            extra_options={**recipe.options, "QDQOpTypePerChannelSupportToAxis": {"MatMul": 1}},
        )
        quantizer.quantize_model()
        quantizer.model.topological_sort()
    finally:
        logging.disable(logging.NOTSET)
    quantised: onnx.ModelProto = quantizer.model.model
    _release(quantised, chosen)
    quantised.producer_name, quantised.producer_version = graph.producer_name, graph.producer_version
    quantised.opset_import.sort(key=lambda entry: entry.domain)
    unused = [entry for entry in quantised.opset_import if entry.domain not in {node.domain for node in quantised.graph.node}]
    for entry in unused:
        quantised.opset_import.remove(entry)
    return quantised


def _release(proto: onnx.ModelProto, quantised: Collection[str]) -> None:
    """Let residual additions and other float nodes read the float tensor again.

    The quantiser puts every reader of a tensor behind its Q/DQ pair. Only behind a quantised layer is that wanted.
    """
    makers = {name: node for node in proto.graph.node for name in node.output}
    for node in proto.graph.node:
        if node.name in quantised or node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            continue
        for place, name in enumerate(node.input):
            dequantize = makers.get(name)
            if dequantize is None or dequantize.op_type != "DequantizeLinear" or dequantize.input[0] not in makers:
                continue
            source = makers[dequantize.input[0]].input[0]
            if source in makers and makers[source].name not in quantised:
                node.input[place] = source
