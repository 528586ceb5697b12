"""OpenVINO on the CPU. Needs the extra `openvino`.

On a processor without VNNI, 16-bit sums of 8-bit products saturate, and OpenVINO does not guard against it. The file for CPUs
avoids that by 7-bit weights: without VNNI, OpenVINO 2026.4 and ONNX Runtime differed by 0.03 lesion on average and 0.6 at most
(60 validation photographs), and agreed on every grade. A file made with `--no-reduce-range` is refused here. The symmetric file
(`*-int8-trt.onnx`) needs VNNI: without it, one grade's probability moved by 0.26.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from acne_edge.backends.base import Outputs, named, output_names
from acne_edge.backends.onnxruntime import OnnxRuntimeBackend
from acne_edge.errors import BackendError, MissingExtraError, ModelError
from acne_edge.image import ImageArray


class OpenVinoBackend:
    """A compiled model on the CPU. `threads` is the number of inference threads; 0 lets the runtime choose.

    Raises MissingExtraError without the extra, and ModelError and ManifestError as the ONNX Runtime backend does.
    """

    def __init__(self, model: bytes, threads: int = 0) -> None:
        try:
            import openvino
        except ImportError as error:
            raise MissingExtraError("openvino", "openvino", "the OpenVINO backend") from error
        checked = OnnxRuntimeBackend(model, threads=1)  # reads the manifest and checks the contract
        self.manifest = checked.manifest
        checked.close()
        recipe = str(self.manifest.quantisation.get("recipe", ""))
        if recipe.startswith("U8S8") and not self.manifest.quantisation.get("reduce_range"):
            raise ModelError(
                f"the model has 8-bit weights ({recipe}), whose sums saturate in OpenVINO; export with --reduce-range"
            )
        # By default it computes layers that are not INT8 in bfloat16 where the processor can, so results would depend on it.
        options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        if threads:
            options["INFERENCE_NUM_THREADS"] = threads
        try:
            core = openvino.Core()
            self._compiled: Any = core.compile_model(core.read_model(model), "CPU", options)
        except Exception as error:  # OpenVINO raises bare RuntimeError
            raise ModelError(f"OpenVINO cannot load the model: {str(error).strip().splitlines()[0]}") from error
        self._requests = threading.local()  # an infer request belongs to one thread at a time
        self.name = f"openvino:{self._compiled.get_property('EXECUTION_DEVICES')[0]}"

    def run(self, images: ImageArray) -> Outputs:
        """See `Backend.run`."""
        if self._compiled is None:
            raise BackendError("the model is closed")
        if not hasattr(self._requests, "request"):
            self._requests.request = self._compiled.create_infer_request()
        request = self._requests.request
        try:
            results = request.infer({"image": images})
        except Exception as error:
            raise BackendError(f"OpenVINO failed: {str(error).strip().splitlines()[0]}") from error
        names = output_names(self.manifest)
        return named(names, (np.array(results[name], np.float32) for name in names))

    def close(self) -> None:
        """See `Backend.close`."""
        self._compiled = None
        self._requests = threading.local()
