"""Runtimes behind one protocol, `Backend`; each module is imported only when it is chosen."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from acne_edge.backends.base import ENGINE_MAGIC
from acne_edge.errors import AcneEdgeError, BackendError, UsageError

if TYPE_CHECKING:
    from acne_edge.backends.base import Backend
    from acne_edge.models import ModelFile

Runtime: TypeAlias = Literal["auto", "onnxruntime", "openvino", "tensorrt"]
BACKENDS: tuple[str, ...] = get_args(Runtime)
RUNS_ON = {"onnxruntime": "onnxruntime:CPUExecutionProvider", "openvino": "openvino:CPU", "tensorrt": "tensorrt"}
NVIDIA_DEVICE_FILES = ("/dev/nvidia0", "/dev/nvhost-gpu", "/dev/nvgpu", "/etc/nv_tegra_release")


def check_backend(choice: str) -> str:
    """The name itself. Raises UsageError for an unknown one."""
    if choice not in BACKENDS:
        raise UsageError(f"unknown backend {choice!r}; choose one of: {', '.join(BACKENDS)}")
    return choice


def load_backend(choice: str, model: ModelFile, threads: int = 0, strict: bool = False) -> tuple[Backend, str]:
    """Load a model file into the named runtime; returns the backend and why it was chosen.

    `auto` is TensorRT for an engine file, and where there is an NVIDIA GPU and TensorRT takes the model (whose engine is built
    on first use, in seconds to minutes); else it is ONNX Runtime, and the reason says why a GPU is not used, if there is one.
    With `strict`, ignoring a GPU raises, and so does a runtime that puts the model on another device than `RUNS_ON` says.

    Raises UsageError for an unknown name, BackendError if `strict` refuses, and whatever the backend raises.
    """
    backend, why = (
        _auto(model, threads, strict) if check_backend(choice) == "auto" else (_load(choice, model, threads), "asked for")
    )
    runtime = choice if choice != "auto" else backend.name.split(":")[0].split("_")[0]
    if strict and not backend.name.startswith(RUNS_ON[runtime]):
        raise BackendError(f"strict: the model runs on {backend.name}, not on {RUNS_ON[runtime]}")
    return backend, why


def _auto(model: ModelFile, threads: int, strict: bool) -> tuple[Backend, str]:
    if model.data.startswith(ENGINE_MAGIC):
        return _load("tensorrt", model, threads), "auto: the file is a TensorRT engine"
    sign = next((sign for sign in NVIDIA_DEVICE_FILES if os.path.exists(sign)), None)
    if sign is None:
        why = "no NVIDIA GPU here, and ONNX Runtime comes with the package"
    else:
        try:
            return _load("tensorrt", model, threads), f"auto: an NVIDIA GPU ({sign}) that TensorRT runs the model on"
        except AcneEdgeError as error:
            if strict:
                raise BackendError(f"strict: auto would not use the NVIDIA GPU ({sign}): {error}") from error
            why = f"the NVIDIA GPU is not used ({sign}): {error}"
    return _load("onnxruntime", model, threads), f"auto: {why}"


def _load(runtime: str, model: ModelFile, threads: int) -> Backend:
    if runtime != "tensorrt" and model.data.startswith(ENGINE_MAGIC):
        raise UsageError(f"{model.name} is a TensorRT engine, which {runtime} cannot run: choose the backend tensorrt or auto")
    if runtime == "openvino":
        from acne_edge.backends.openvino import OpenVinoBackend

        return OpenVinoBackend(model.data, threads)
    if runtime == "tensorrt":
        from acne_edge.backends.tensorrt.backend import TensorRTBackend

        return TensorRTBackend(model.data)
    from acne_edge.backends.onnxruntime import OnnxRuntimeBackend

    return OnnxRuntimeBackend(model.data, threads, model.sha256)
