"""Static INT8 quantisation for ONNX Runtime on CPUs: U8S8 Q/DQ, weights per channel.

Only convolutions and products with constant weights are quantised; residual additions, LayerNorm, Softmax, GELU and the
attention products stay in float, because a ViT does not survive the quantisation of its residual stream.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}


class _Reader(CalibrationDataReader):  # type: ignore[misc,unused-ignore]
    def __init__(self, images: NDArray[np.uint8], batch: int = 8) -> None:
        self._batches: Iterator[NDArray[np.uint8]] = (images[i : i + batch] for i in range(0, len(images), batch))

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"image": batch}


def quantize(
    proto: onnx.ModelProto,
    images: NDArray[np.uint8],
    method: str = "minmax",
    reduce_range: bool = True,
    exclude: tuple[str, ...] = (),
) -> onnx.ModelProto:
    """Quantise a float graph, with ranges measured on calibration images uint8 [N, S, S, 3].

    Args:
        proto: the float graph.
        images: calibration crops.
        method: minmax, entropy or percentile.
        reduce_range: 7-bit weights, which processors without VNNI need: their 16-bit sums of u8 x s8 pairs saturate.
        exclude: names of nodes that stay in float.
    """
    options: dict[str, Any] = {"MatMulConstBOnly": True, "ActivationSymmetric": False, "WeightSymmetric": True}
    with tempfile.TemporaryDirectory() as folder:
        source, prepared, target = (Path(folder) / name for name in ("source.onnx", "prepared.onnx", "int8.onnx"))
        onnx.save(proto, source)
        logging.disable(logging.WARNING)  # the quantiser warns of what is done here on purpose
        try:
            quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
            quantize_static(
                str(prepared),
                str(target),
                _Reader(images),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv", "Gemm", "MatMul"],
                per_channel=True,
                reduce_range=reduce_range,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=list(exclude),
                calibrate_method=METHODS[method],
                extra_options=options,
            )
        finally:
            logging.disable(logging.NOTSET)
        return onnx.load(target)
