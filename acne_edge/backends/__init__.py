"""Runtimes behind one protocol, `Backend`; each module is imported only when it is chosen."""

from __future__ import annotations

from acne_edge.backends.base import Backend
from acne_edge.errors import UsageError

BACKENDS = ("auto", "onnxruntime", "openvino", "tensorrt")


def load_backend(choice: str, model: bytes, threads: int = 0) -> tuple[Backend, str]:
    """Load a model file into the runtime of that name, and say why that one.

    `auto` is ONNX Runtime: it comes with the package, and the shipped model is quantised for it.
    Raises UsageError for an unknown name, else what the backend raises.
    """
    if choice not in BACKENDS:
        raise UsageError(f"unknown backend {choice!r}; choose one of: {', '.join(BACKENDS)}")
    if choice == "openvino":
        from acne_edge.backends.openvino import OpenVinoBackend

        return OpenVinoBackend(model, threads), "asked for"
    if choice == "tensorrt":
        from acne_edge.backends.tensorrt import TensorRTBackend

        return TensorRTBackend(model), "asked for"
    from acne_edge.backends.onnxruntime import OnnxRuntimeBackend

    reason = "asked for" if choice == "onnxruntime" else "auto: comes with the package, and the model is quantised for it"
    return OnnxRuntimeBackend(model, threads), reason
