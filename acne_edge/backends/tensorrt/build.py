"""Builds engines from model files, and caches them."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

from acne_edge.backends.onnxruntime import OnnxRuntimeBackend
from acne_edge.backends.tensorrt import Precision, Target
from acne_edge.backends.tensorrt.cuda import Cuda, first_line
from acne_edge.backends.tensorrt.engine_file import ANY_GPU, BuildKey, Device, Engine, check_fits, pack, unpack
from acne_edge.errors import AcneEdgeError, BackendError, MissingExtraError, UsageError
from acne_edge.files import private, write
from acne_edge.manifest import Manifest

BATCHES = (1, 1, 8)  # least, best and largest batch of the optimisation profile
TARGETS = get_args(Target)
PRECISIONS = get_args(Precision)
PACKAGES = ("tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings")  # the last: the wheel of bindings without its wrapper


def build(model: bytes, precision: str | None = None, target: str = "current", timing_cache: Path | None = None) -> bytes:
    """Build an engine file from a model file.

    Args:
        model: an ONNX model of acne-edge.
        precision: int8 (needs the S8S8 Q/DQ file) or fp16 (needs the float file); None takes the one that the file is for.
        target: `current`, the GPU of this machine, or with TensorRT for RTX `sm86`, `sm89` or `sm120`, which needs no GPU.
        timing_cache: file in which TensorRT keeps its measurements, so that a second build is fast.

    Raises:
        MissingExtraError: TensorRT is not installed.
        UsageError: an unknown precision or target, or a model file for another precision.
        ModelError: the model is refused.
        BackendError: no GPU for `current`, or TensorRT cannot build the model; the message gives TensorRT's reason.
    """
    trt = find_tensorrt("tensorrt" if target == "current" else "tensorrt-rtx")
    key, manifest = describe(model, trt, precision, target)
    log = error_log(trt)
    builder = trt.Builder(log)
    typed = not hasattr(trt.BuilderFlag, "FP16")
    flags = 0
    if typed and hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED"):
        flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, log)
    if not parser.parse(_half(model) if typed and key.precision == "fp16" else model):
        raise BackendError(
            f"TensorRT cannot parse the model: {first_line(parser.get_error(0).desc() if parser.num_errors else '')}"
        )
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
        raise BackendError(f"TensorRT cannot build the model: {first_line(log.last_error)}")
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
        raise UsageError(
            f"the model is quantised for CPUs ({recipe}); TensorRT takes the S8S8 one, as the shipped acne-edge-s-trt"
        )
    natural = "int8" if recipe else "fp16"
    if precision not in (None, natural):
        raise UsageError(f"{precision}: this file is for {natural}; int8 takes NAME-int8-trt.onnx, fp16 NAME-fp32.onnx")
    if target == "current":
        try:
            device = Cuda().device()
        except BackendError as error:
            if hasattr(trt, "ComputeCapability"):
                raise BackendError(f"{error}; the targets {', '.join(TARGETS[1:])} need none") from error
            raise
    elif hasattr(trt, "ComputeCapability"):
        digits = target.removeprefix("sm")
        device = Device(ANY_GPU, f"{digits[:-1]}.{digits[-1]}")
    else:
        raise UsageError(f"target {target}: only TensorRT for RTX (extra tensorrt-rtx) builds for a GPU that this machine lacks")
    sha256 = hashlib.sha256(model).hexdigest()
    size = (manifest.input.height, manifest.input.width)
    return BuildKey(sha256, package_of(trt), device.name, device.compute_capability, natural, BATCHES, size), manifest


def cached(model: bytes, directory: Path, precision: str | None = None) -> Engine:
    """The engine of a model for this machine, from a cache; it is built first if the cache has none that fits.

    Raises BackendError for a directory that others may write to, because whoever writes an engine runs code here;
    otherwise as `build` does.
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


def find_tensorrt(extra: str = "tensorrt") -> ModuleType:
    """The installed TensorRT package. Raises MissingExtraError, which names the extra, if there is none."""
    from importlib import import_module

    for package in PACKAGES:
        try:
            return import_module(package)
        except ImportError:
            continue
    raise MissingExtraError("TensorRT", extra, "the TensorRT backend") from None


def package_of(trt: ModuleType) -> str:
    """Package and full version, as in `tensorrt 10.3.0.26`; both wheels of TensorRT for RTX are `tensorrt_rtx`."""
    return f"{trt.__name__.removesuffix('_bindings')} {trt.__version__}"


def error_log(trt: ModuleType) -> Any:
    """A logger that prints nothing and remembers the last error."""

    class Log(trt.ILogger):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.last_error = ""

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.last_error = message

    return Log()


def _half(model: bytes) -> bytes:
    """The float graph converted to float16 with float32 outputs, for runtimes that read types from the graph alone."""
    try:
        import onnx
        from onnxruntime.transformers.float16 import convert_float_to_float16
    except ImportError as error:
        raise MissingExtraError(error.name or "onnx", "tensorrt", "an FP16 engine with this TensorRT") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of constants too small for float16
        return convert_float_to_float16(onnx.load_from_string(model), keep_io_types=True).SerializeToString()  # type: ignore[no-any-return]
