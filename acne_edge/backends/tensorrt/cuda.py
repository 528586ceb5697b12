"""The part of the CUDA runtime that a backend needs, through the package cuda-python."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from acne_edge.backends.tensorrt.engine_file import Device
from acne_edge.errors import BackendError, MissingExtraError


class Cuda:
    """The few calls of the CUDA runtime that a backend needs, on device 0 and one stream.

    Raises MissingExtraError without the package, and BackendError, with CUDA's own error name, if a call fails.
    """

    def __init__(self) -> None:
        try:
            try:
                from cuda.bindings import runtime  # type: ignore[import-not-found]
            except ImportError:  # cuda-python before 12.8
                from cuda import cudart as runtime  # type: ignore[import-not-found]
        except ImportError as error:
            raise MissingExtraError("cuda-python", "tensorrt", "running TensorRT") from error
        self._runtime = runtime
        try:
            (count,) = self._call("cudaGetDeviceCount")
        except BackendError as error:
            raise BackendError(f"no NVIDIA GPU can be used on this machine ({error})") from error
        if not count:
            raise BackendError("no NVIDIA GPU can be used on this machine")
        self._stream: Any = None

    def _call(self, name: str, *arguments: Any) -> tuple[Any, ...]:
        try:
            code, *values = getattr(self._runtime, name)(*arguments)
        except RuntimeError as error:  # the driver's library is missing altogether
            raise BackendError(f"{name}: {first_line(str(error))}") from error
        if int(code):
            raise BackendError(f"{name}: {getattr(code, 'name', code)}")
        return tuple(values)

    def device(self) -> Device:
        """The GPU's name and compute capability."""
        (properties,) = self._call("cudaGetDeviceProperties", 0)
        name = properties.name
        return Device(name.decode() if isinstance(name, bytes) else str(name), f"{properties.major}.{properties.minor}")

    @property
    def stream(self) -> int:
        """The stream's handle; the stream is made on first use."""
        if self._stream is None:
            (self._stream,) = self._call("cudaStreamCreate")
        return int(self._stream)

    def allocate(self, size: int) -> int:
        """Device memory of `size` bytes; its address."""
        (address,) = self._call("cudaMalloc", size)
        return int(address)

    def free(self, address: int) -> None:
        """Free memory that `allocate` returned."""
        self._call("cudaFree", address)

    def upload(self, address: int, array: NDArray[Any]) -> None:
        """Copy a C-contiguous array to the device, in the stream's order."""
        self._copy(address, array.ctypes.data, array.nbytes, "cudaMemcpyHostToDevice")

    def download(self, array: NDArray[Any], address: int) -> None:
        """Copy device memory into a C-contiguous array, in the stream's order; whole only after `wait`."""
        self._copy(array.ctypes.data, address, array.nbytes, "cudaMemcpyDeviceToHost")

    def _copy(self, target: int, source: int, size: int, kind: str) -> None:
        direction = getattr(self._runtime.cudaMemcpyKind, kind)
        self._call("cudaMemcpyAsync", target, source, size, direction, self.stream)

    def wait(self) -> None:
        """Return when everything in the stream is done."""
        self._call("cudaStreamSynchronize", self.stream)

    def close(self) -> None:
        """Destroy the stream."""
        if self._stream is not None:
            self._call("cudaStreamDestroy", self._stream)
            self._stream = None


def first_line(text: str) -> str:
    """The first line of a runtime's error message."""
    return (text.strip().splitlines() or ["it gave no reason"])[0]
