"""Engines on this machine's NVIDIA GPU."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acne_edge.backends.base import Outputs, named, output_names
from acne_edge.backends.tensorrt.build import cached, error_log, find_tensorrt, package_of
from acne_edge.backends.tensorrt.cuda import Cuda, first_line
from acne_edge.backends.tensorrt.engine_file import MAGIC, check_fits, unpack
from acne_edge.errors import BackendError
from acne_edge.files import cache_folder
from acne_edge.image import ImageArray


class TensorRTBackend:
    """A model on this machine's NVIDIA GPU; see `Backend`.

    Args:
        model: an engine file, or an ONNX model; its engine is read from the cache or built (seconds to minutes).
        cache: directory of the cached engines [`files.cache_folder("engines")`].

    Raises MissingExtraError, ModelError and BackendError as `build` does, and BackendError for an engine file that was built
    for another machine or version. Threads may share a backend; they take turns.
    """

    def __init__(self, model: bytes, cache: Path | None = None) -> None:
        trt = find_tensorrt()
        try:
            self._cuda: Cuda | None = Cuda()
        except BackendError as error:
            raise BackendError(f"{error}; install its driver, or run an ONNX file on another backend") from error
        device = self._cuda.device()
        engine = unpack(model) if model.startswith(MAGIC) else cached(model, cache or Path(cache_folder("engines")))
        check_fits(engine.key, package_of(trt), device)
        log = error_log(trt)
        self._engine = trt.Runtime(log).deserialize_cuda_engine(engine.plan)
        self._context: Any = self._engine.create_execution_context() if self._engine is not None else None
        if self._context is None:
            raise BackendError(f"TensorRT cannot load the engine: {first_line(log.last_error)}")
        self.manifest = engine.manifest
        self.name = f"{package_of(trt).split()[0]}:{device.name}"
        self._names = output_names(self.manifest)
        self._lock = threading.Lock()
        self._largest = engine.key.batches[2]
        self._memory = {name: self._cuda.allocate(self._bytes(name)) for name in ("image", *self._names)}
        for name, address in self._memory.items():
            self._context.set_tensor_address(name, address)

    def _bytes(self, name: str) -> int:
        """Bytes of a tensor at the largest batch."""
        shape = list(self._engine.get_tensor_shape(name))
        return self._largest * int(np.prod(shape[1:])) * (1 if name == "image" else 4)

    def run(self, images: ImageArray) -> Outputs:
        """See `Backend.run`; a batch over 8 is run in parts."""
        spec = self.manifest.input
        if images.dtype != np.uint8 or images.shape[1:] != (spec.height, spec.width, 3) or not len(images):
            raise BackendError(f"the input is {images.dtype} {images.shape}; expected uint8 [N, {spec.height}, {spec.width}, 3]")
        with self._lock:
            parts = [self._run(images[i : i + self._largest]) for i in range(0, len(images), self._largest)]
        return named(self._names, (np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

    def _run(self, images: ImageArray) -> list[NDArray[np.float32]]:
        if self._cuda is None:
            raise BackendError("the model is closed")
        batch = np.ascontiguousarray(images)
        if not self._context.set_input_shape("image", batch.shape):
            raise BackendError(f"TensorRT refuses a batch of {len(batch)}")
        self._cuda.upload(self._memory["image"], batch)
        if not self._context.execute_async_v3(self._cuda.stream):
            raise BackendError("TensorRT failed to run the model")
        results = [np.empty(tuple(self._context.get_tensor_shape(name)), np.float32) for name in self._names]
        for name, result in zip(self._names, results, strict=True):
            self._cuda.download(result, self._memory[name])
        self._cuda.wait()
        return results

    def close(self) -> None:
        """See `Backend.close`."""
        with self._lock:
            if self._cuda is not None:
                self._context = self._engine = None
                for address in self._memory.values():
                    self._cuda.free(address)
                self._cuda.close()
                self._cuda = None
