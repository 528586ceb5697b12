"""TensorRT: builds engines from model files, keeps them, and runs them.

One builder speaks to three runtimes and asks what they have rather than which version they are:

* TensorRT 10.x (JetPack 6 ships 10.3): the builder flags INT8 and FP16 allow these types;
* TensorRT 11: those flags are gone, every network is strongly typed, so FP16 is written into the graph before it is parsed;
* TensorRT for RTX (extra `tensorrt-rtx`): as 11, and it builds for a GPU that is not there.

INT8 means the explicit Q/DQ file `*-int8-trt.onnx`; FP16 means the float file `*-fp32.onnx`. Calibrator classes are not used:
they are deprecated since 10.1 and gone in 11.

An engine file is, little-endian:

    8 bytes   magic "ACNETRT1"
    uint32    length of the header
    uint64    length of the plan
    header    UTF-8 JSON: {"build": build key, "manifest": the model's manifest, "plan_sha256": hexadecimal}
    plan      what TensorRT serialised

A plan runs only where it was built for, and a foreign one can crash the process or do worse, so the build key is compared, and
the plan's hash, before TensorRT sees a byte of it.

What a machine without a GPU shows: that the model parses and builds for SM86, SM89 and SM120 with TensorRT for RTX, and which
layers are INT8. **What only a device shows**, and how:

* that an engine runs and gives the model's outputs:
  `python -m export verify RUN --model acne-edge-s-fp32.onnx --model acne-edge-s-int8-trt.onnx --engine`
* that TensorRT 10.x on a Jetson builds it: `python -m export engine acne-edge-s-int8-trt.onnx --target current`
* how fast it is: `trtexec --onnx=acne-edge-s-int8-trt.onnx --int8 --fp16 --shapes=image:1x256x256x3` (10.x).
"""

from __future__ import annotations

import hashlib
import json
import struct
import threading
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acne_edge.backends import ENGINE_MAGIC
from acne_edge.backends.base import OUTPUT_NAMES, Outputs
from acne_edge.backends.onnxruntime import OnnxRuntimeBackend
from acne_edge.errors import AcneEdgeError, BackendError, MissingExtraError, UsageError
from acne_edge.files import cache_folder, private, write
from acne_edge.image import ImageArray
from acne_edge.manifest import Manifest

MAGIC = ENGINE_MAGIC
LENGTHS = struct.Struct("<IQ")  # header, plan
MAX_HEADER = 1 << 20
BATCHES = (1, 1, 8)  # least, best and largest batch of the optimisation profile
TARGETS = ("current", "sm86", "sm89", "sm120")
PRECISIONS = ("int8", "fp16")
PACKAGES = ("tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings")  # the last: the wheel of bindings without its wrapper
ANY_GPU = "any"


@dataclass(frozen=True)
class BuildKey:
    """Everything that an engine depends on; one that differs in any of it is another engine."""

    onnx_sha256: str  # of the model file, hexadecimal
    tensorrt: str  # package and full version, as in "tensorrt 10.3.0.26"
    gpu: str  # name of the GPU, or "any": built by TensorRT for RTX for every GPU of the compute capability
    compute_capability: str  # as in "8.6"
    precision: str  # int8 | fp16
    batches: tuple[int, int, int]  # least, best, largest
    input: tuple[int, int]  # height and width, pixels

    def digest(self) -> str:
        """sha256, hexadecimal: names the engine in a cache."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Engine:
    """The content of an engine file."""

    key: BuildKey
    manifest: Manifest
    plan: bytes


@dataclass(frozen=True)
class Device:
    """A GPU."""

    name: str
    compute_capability: str


def pack(engine: Engine) -> bytes:
    """The bytes of an engine file."""
    header = {
        "build": asdict(engine.key),
        "manifest": json.loads(engine.manifest.to_json()),
        "plan_sha256": hashlib.sha256(engine.plan).hexdigest(),
    }
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    return MAGIC + LENGTHS.pack(len(text), len(engine.plan)) + text + engine.plan


def unpack(data: bytes) -> Engine:
    """Read an engine file. Raises BackendError if it is damaged or no engine file, ManifestError for a bad manifest."""
    start = len(MAGIC) + LENGTHS.size
    if data[: len(MAGIC)] != MAGIC or len(data) < start:
        raise BackendError("not an engine file of acne-edge: make one with `python -m export engine`")
    header_size, plan_size = LENGTHS.unpack_from(data, len(MAGIC))
    if header_size > MAX_HEADER or start + header_size + plan_size != len(data):
        raise BackendError("the engine file is damaged: its lengths do not add up; build it again")
    plan = data[start + header_size :]
    try:
        header = json.loads(data[start : start + header_size])
        fields = {**header["build"], "batches": tuple(header["build"]["batches"]), "input": tuple(header["build"]["input"])}
        key, digest, manifest = BuildKey(**fields), header["plan_sha256"], json.dumps(header["manifest"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BackendError("the engine file is damaged: its header cannot be read; build it again") from error
    if hashlib.sha256(plan).hexdigest() != digest:
        raise BackendError("the engine file is damaged: its plan is not the one it was written with; build it again")
    return Engine(key, Manifest.from_json(manifest), plan)


def check_fits(stored: BuildKey, package: str, device: Device, wanted: BuildKey | None = None) -> None:
    """Raise BackendError, naming what differs, unless an engine was built for this package and device.

    With `wanted`, the model, precision and shapes must be equal too.
    """
    here = {"tensorrt": package, "compute_capability": device.compute_capability, "gpu": device.name}
    if stored.gpu == ANY_GPU and package.startswith("tensorrt_rtx"):
        del here["gpu"]
    if wanted is not None:
        here |= {name: getattr(wanted, name) for name in ("onnx_sha256", "precision", "batches", "input")}
    found = asdict(stored)
    differs = [f"{name} is {found[name]}, not {value}" for name, value in here.items() if found[name] != value]
    if differs:
        raise BackendError(f"the engine is for another machine or model ({'; '.join(differs)}): build it again")


def build(model: bytes, precision: str | None = None, target: str = "current", timing_cache: Path | None = None) -> bytes:
    """Build an engine file from a model file.

    Args:
        model: an ONNX model of acne-edge.
        precision: int8 (the S8S8 Q/DQ file) or fp16 (the float file); None chooses by the file.
        target: `current`, the GPU of this machine, or with TensorRT for RTX `sm86`, `sm89` or `sm120`, which needs no GPU.
        timing_cache: file in which TensorRT keeps its measurements, so that a second build is fast.

    Raises:
        MissingExtraError: TensorRT is not installed.
        UsageError: an unknown precision or target, or a model that does not go with the precision.
        ModelError: the model is refused.
        BackendError: no GPU for `current`, or TensorRT cannot build the model; the message has TensorRT's reason.
    """
    trt = find_tensorrt()
    key, manifest = describe(model, trt, precision, target)
    log = _log(trt)
    builder = trt.Builder(log)
    typed = not hasattr(trt.BuilderFlag, "FP16")
    flags = 0
    if typed and hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED"):
        flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, log)
    if not parser.parse(_half(model) if typed and key.precision == "fp16" else model):
        raise BackendError(f"TensorRT cannot parse the model: {_reason(parser.get_error(0).desc() if parser.num_errors else '')}")
    config = builder.create_builder_config()
    if not typed:
        config.set_flag(trt.BuilderFlag.FP16)
        if key.precision == "int8":
            config.set_flag(trt.BuilderFlag.INT8)
    if target != "current":
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, target.upper()), 0)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # so that layers can be inspected
    profile = builder.create_optimization_profile()
    profile.set_shape("image", *((n, *key.input, 3) for n in key.batches))
    config.add_optimization_profile(profile)
    if timing_cache is not None:
        known = timing_cache.read_bytes() if timing_cache.is_file() else b""
        config.set_timing_cache(config.create_timing_cache(known), ignore_mismatch=False)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise BackendError(f"TensorRT cannot build the model: {_reason(log.last_error)}")
    if timing_cache is not None and (measured := config.get_timing_cache()) is not None:
        write(timing_cache, bytes(measured.serialize()))
    return pack(Engine(key, manifest, bytes(plan)))


def describe(model: bytes, trt: ModuleType, precision: str | None, target: str) -> tuple[BuildKey, Manifest]:
    """The build key and the manifest of the engine that `build` would make; raises as it does."""
    if target not in TARGETS:
        raise UsageError(f"unknown target {target!r}; choose one of: {', '.join(TARGETS)}")
    if precision not in (None, *PRECISIONS):
        raise UsageError(f"unknown precision {precision!r}; choose one of: {', '.join(PRECISIONS)}")
    loaded = OnnxRuntimeBackend(model)  # checks the contract
    manifest = loaded.manifest
    loaded.close()
    recipe = str(manifest.quantisation.get("recipe", ""))
    if recipe and not recipe.startswith("S8S8"):
        raise UsageError(f"the model is quantised for CPUs ({recipe}); TensorRT takes the S8S8 file, NAME-int8-trt.onnx")
    natural = "int8" if recipe else "fp16"
    if precision not in (None, natural):
        raise UsageError(f"{precision}: this file is for {natural}; int8 takes NAME-int8-trt.onnx, fp16 NAME-fp32.onnx")
    if target == "current":
        device = Cuda().device()
    elif hasattr(trt, "ComputeCapability"):
        digits = target.removeprefix("sm")
        device = Device(ANY_GPU, f"{digits[:-1]}.{digits[-1]}")
    else:
        raise UsageError(f"target {target}: only TensorRT for RTX (extra tensorrt-rtx) builds for a GPU that is not there")
    sha256 = hashlib.sha256(model).hexdigest()
    size = (manifest.input.height, manifest.input.width)
    return BuildKey(sha256, package_of(trt), device.name, device.compute_capability, natural, BATCHES, size), manifest


def cached(model: bytes, directory: Path, precision: str | None = None) -> Engine:
    """The engine of a model for this machine from a cache, built first if it is not there, or not fit.

    Raises BackendError for a directory that others may write to, because whoever writes a plan runs code here;
    else as `build` does.
    """
    private(directory)
    trt = find_tensorrt()
    wanted, _ = describe(model, trt, precision, "current")
    path = directory / f"{wanted.digest()}.engine"
    if path.is_file():
        try:
            engine = unpack(path.read_bytes())
            check_fits(engine.key, wanted.tensorrt, Device(wanted.gpu, wanted.compute_capability), wanted)
        except AcneEdgeError:
            pass  # damaged or swapped: build it again
        else:
            return engine
    data = build(model, precision, "current", directory / "timing.cache")
    write(path, data)
    return unpack(data)


class TensorRTBackend:
    """A model on this machine's NVIDIA GPU; see `Backend`.

    Args:
        model: an engine file, or an ONNX model, whose engine is then taken from the cache or built (seconds to minutes).
        cache: directory of the engines [`files.cache_folder("engines")`].

    Raises MissingExtraError, ModelError and BackendError as `build` does, and BackendError for an engine file that was built
    for another machine or version. Threads may share a backend; they take turns.
    """

    def __init__(self, model: bytes, cache: Path | None = None) -> None:
        trt = find_tensorrt()
        self._cuda: Cuda | None = Cuda()
        device = self._cuda.device()
        engine = unpack(model) if model.startswith(MAGIC) else cached(model, cache or Path(cache_folder("engines")))
        check_fits(engine.key, package_of(trt), device)
        log = _log(trt)
        self._engine = trt.Runtime(log).deserialize_cuda_engine(engine.plan)
        self._context: Any = self._engine.create_execution_context() if self._engine is not None else None
        if self._context is None:
            raise BackendError(f"TensorRT cannot load the engine: {_reason(log.last_error)}")
        self.manifest = engine.manifest
        self.name = f"{package_of(trt).split()[0]}:{device.name}"
        self._lock = threading.Lock()
        self._largest = engine.key.batches[2]
        self._memory = {name: self._cuda.allocate(self._bytes(name)) for name in ("image", *OUTPUT_NAMES)}
        for name, address in self._memory.items():
            self._context.set_tensor_address(name, address)

    def _bytes(self, name: str) -> int:
        """Bytes of a tensor at the largest batch."""
        shape = list(self._engine.get_tensor_shape(name))
        return self._largest * int(np.prod(shape[1:])) * (1 if name == "image" else 4)

    def run(self, images: ImageArray) -> Outputs:
        """See `Backend.run`; a batch over 8 goes in parts."""
        spec = self.manifest.input
        if images.dtype != np.uint8 or images.shape[1:] != (spec.height, spec.width, 3) or not len(images):
            raise BackendError(f"the input is {images.dtype} {images.shape}; expected uint8 [N, {spec.height}, {spec.width}, 3]")
        with self._lock:
            parts = [self._run(images[i : i + self._largest]) for i in range(0, len(images), self._largest)]
        return Outputs(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

    def _run(self, images: ImageArray) -> list[NDArray[np.float32]]:
        if self._cuda is None:
            raise BackendError("the model is closed")
        batch = np.ascontiguousarray(images)
        if not self._context.set_input_shape("image", batch.shape):
            raise BackendError(f"TensorRT refuses a batch of {len(batch)}")
        self._cuda.upload(self._memory["image"], batch)
        if not self._context.execute_async_v3(self._cuda.stream):
            raise BackendError("TensorRT failed to run the model")
        results = [np.empty(tuple(self._context.get_tensor_shape(name)), np.float32) for name in OUTPUT_NAMES]
        for name, result in zip(OUTPUT_NAMES, results, strict=True):
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


class Cuda:
    """The few calls of the CUDA runtime that a backend needs, on device 0 and one stream.

    Raises MissingExtraError without the package, BackendError, with CUDA's own word for it, if a call fails.
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
            raise BackendError(f"{name}: {_reason(str(error))}") from error
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
        """Give back what `allocate` gave."""
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


def find_tensorrt() -> ModuleType:
    """The TensorRT package that is installed. Raises MissingExtraError if none is."""
    from importlib import import_module

    for package in PACKAGES:
        try:
            return import_module(package)
        except ImportError:
            continue
    raise MissingExtraError("TensorRT", "tensorrt", "the TensorRT backend") from None


def package_of(trt: ModuleType) -> str:
    """Package and full version, as in `tensorrt 10.3.0.26`; both wheels of TensorRT for RTX are `tensorrt_rtx`."""
    return f"{trt.__name__.removesuffix('_bindings')} {trt.__version__}"


def _log(trt: ModuleType) -> Any:
    """A logger that prints nothing and remembers the last error."""

    class Log(trt.ILogger):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.last_error = ""

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.last_error = message

    return Log()


def _reason(text: str) -> str:
    return (text.strip().splitlines() or ["it gave no reason"])[0]


def _half(model: bytes) -> bytes:
    """The float graph in float16, inputs and outputs as they were, for runtimes that take types from the graph alone."""
    try:
        import onnx
        from onnxruntime.transformers.float16 import convert_float_to_float16
    except ImportError as error:
        raise MissingExtraError(error.name or "onnx", "tensorrt", "an FP16 engine with this TensorRT") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of constants too small for float16
        return convert_float_to_float16(onnx.load_from_string(model), keep_io_types=True).SerializeToString()  # type: ignore[no-any-return]
