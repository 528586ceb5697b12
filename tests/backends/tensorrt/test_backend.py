"""The TensorRT backend without TensorRT: the engine file, its key, the cache, and the calls, against a stand-in."""

from __future__ import annotations

import ctypes
import hashlib
import re
import stat
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from acne_edge.backends.tensorrt import backend as running
from acne_edge.backends.tensorrt import build as building
from acne_edge.backends.tensorrt.backend import TensorRTBackend
from acne_edge.backends.tensorrt.build import build, cached, describe
from acne_edge.backends.tensorrt.cuda import Cuda
from acne_edge.backends.tensorrt.engine_file import LENGTHS, MAGIC, BuildKey, Device, Engine, check_fits, pack, unpack
from acne_edge.errors import AcneEdgeError, BackendError, MissingExtraError, ModelError, UsageError
from acne_edge.files import private
from acne_edge.grading import CloseUp, Familiarity
from tests.test_onnx_file import with_external_weights
from tests.toy_model import MANIFEST, SIDE, make_manifest, toy_model

onnx = pytest.importorskip("onnx", reason="needs the extra export to draw a model")

BUILD = BuildKey("ab" * 32, "tensorrt 10.3.0.26", "Orin", "8.7", "int8", (1, 1, 8), (SIDE, SIDE))
ENGINE = Engine(BUILD, MANIFEST, b"plan" * 100)
# Its optional fields differ from what a reader takes where they are missing, so that their loss shows.
LOUD = replace(ENGINE, manifest=replace(MANIFEST, positions=replace(MANIFEST.positions, threshold=0.25)))
HERE = Device("Orin", "8.7")


def toy(recipe: str = "S8S8 Q/DQ") -> bytes:
    """A model file whose manifest says that it was quantised so, or not at all."""
    return toy_model(make_manifest(quantisation={"recipe": recipe} if recipe else {}))


class StandIn:
    """As much of `tensorrt` as is called, with what was asked of it in `asked`. `typed` is TensorRT 11 and for RTX."""

    def __init__(self, typed: bool = False, name: str = "tensorrt", version: str = "10.3.0.26", plan: bytes | None = b"plan"):
        self.__name__, self.__version__, self.asked = name, version, []  # type: ignore[var-annotated]
        asked = self.asked
        self.BuilderFlag = SimpleNamespace(TF32=0) if typed else SimpleNamespace(FP16="FP16", INT8="INT8")
        self.NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=1)
        self.ProfilingVerbosity = SimpleNamespace(DETAILED=2)
        if typed:
            self.ComputeCapability = SimpleNamespace(SM86=86, SM89=89, SM120=120)

        class ILogger:
            Severity = SimpleNamespace(INTERNAL_ERROR=0, ERROR=1, WARNING=2)

            def __init__(self) -> None:
                pass

        class Config:
            num_compute_capabilities = 0

            def set_flag(self, flag: str) -> None:
                asked.append(flag)

            def set_compute_capability(self, capability: int, index: int) -> None:
                asked.append(f"SM{capability}")

            def add_optimization_profile(self, profile: object) -> None:
                pass

            def create_timing_cache(self, data: bytes) -> bytes:
                return data

            def set_timing_cache(self, cache: bytes, ignore_mismatch: bool) -> None:
                asked.append(("timing", cache, ignore_mismatch))

            def get_timing_cache(self) -> object:
                return SimpleNamespace(serialize=lambda: b"measured")

        def make_builder(log: Any) -> Any:
            if plan is None:
                log.log(ILogger.Severity.WARNING, "a warning")
                log.log(ILogger.Severity.ERROR, "no kernel for this\nand more")
            return SimpleNamespace(
                create_network=lambda flags: asked.append(f"flags {flags}"),
                create_builder_config=Config,
                create_optimization_profile=lambda: SimpleNamespace(set_shape=lambda *shapes: asked.append(shapes)),
                build_serialized_network=lambda network, config: plan,
            )

        self.ILogger, self.Builder = ILogger, make_builder
        self.OnnxParser = lambda network, log: SimpleNamespace(parse=lambda data: asked.append(data) or True)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """TensorRT 10.3 on an Orin."""
    trt = StandIn()
    for module in (building, running):
        monkeypatch.setattr(module, "find_tensorrt", lambda *_: trt)
    for module in (building, running):
        monkeypatch.setattr(module, "Cuda", lambda: SimpleNamespace(device=lambda: HERE))
    return trt


def test_an_engine_file_comes_back_as_it_was_written() -> None:
    data = pack(ENGINE)
    assert unpack(data) == ENGINE
    assert data[:8] == b"ACNETRT1"
    header, plan = LENGTHS.unpack_from(data, 8)
    assert len(data) == 8 + 12 + header + plan
    assert data.endswith(ENGINE.plan)


@given(st.integers(0, len(pack(LOUD)) - 1), st.integers(1, 255))
@example(pack(LOUD).index(b'"schema":"1.1"') + len(b'"schema":"1.'), 1)
@example(pack(LOUD).index(b'"requires"') + 1, 1)
def test_no_changed_byte_goes_unnoticed(place: int, change: int) -> None:
    data = bytearray(pack(LOUD))
    data[place] ^= change
    try:
        engine = unpack(bytes(data))
    except AcneEdgeError:
        return
    # A character inside the header's texts: the engine is whole, and its key or manifest says something else, or that it is of
    # another minor version of the schema, which readers accept. The name of a field without a value is nothing either.
    assert engine.plan == LOUD.plan
    empty = [match.span() for match in re.finditer(rb'"\w+":null', pack(LOUD))]
    in_an_empty_field = any(start <= place < end for start, end in empty)
    assert (engine.key, engine.manifest) != (BUILD, LOUD.manifest) or b'"schema":"1.1"' not in data or in_an_empty_field


@given(st.binary(max_size=64))
def test_junk_is_one_line(junk: bytes) -> None:
    for data in (junk, MAGIC + junk, pack(ENGINE) + junk + b"x", pack(ENGINE)[: len(junk) + 20]):
        with pytest.raises(AcneEdgeError) as error:
            unpack(data)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("onnx_sha256", "cd" * 32),
        ("tensorrt", "tensorrt 10.3.0.30"),
        ("tensorrt", "tensorrt_rtx 10.3.0.26"),
        ("gpu", "Orin Nano"),
        ("gpu", "any"),
        ("compute_capability", "8.6"),
        ("precision", "fp16"),
        ("batches", (1, 1, 4)),
        ("input", (SIDE, SIDE + 32)),
    ],
)
def test_an_engine_for_anything_else_is_refused(field: str, value: Any) -> None:
    check_fits(BUILD, BUILD.tensorrt, HERE, BUILD)
    forged = replace(BUILD, **{field: value})
    with pytest.raises(BackendError, match=rf"another machine or model \({field} is"):
        check_fits(forged, BUILD.tensorrt, HERE, BUILD)
    assert forged.digest() != BUILD.digest()


def test_an_engine_for_any_gpu_is_for_one_capability_and_rtx_only() -> None:
    anywhere = replace(BUILD, tensorrt="tensorrt_rtx 1.7", gpu="any", compute_capability="8.9")
    check_fits(anywhere, "tensorrt_rtx 1.7", Device("GeForce RTX 4090", "8.9"))
    with pytest.raises(BackendError, match=r"compute_capability is 8\.9, not 8\.6"):
        check_fits(anywhere, "tensorrt_rtx 1.7", Device("RTX A4000", "8.6"))


def test_tensorrt_10_is_asked_for_int8_and_fp16_by_flags(installed: StandIn) -> None:
    model = toy()
    engine = unpack(build(model))
    assert installed.asked == ["flags 0", model, "FP16", "INT8", ("image", *((n, SIDE, SIDE, 3) for n in (1, 1, 8)))]
    assert engine.key.onnx_sha256 == hashlib.sha256(model).hexdigest()
    assert (engine.key.tensorrt, engine.key.gpu, engine.key.compute_capability) == ("tensorrt 10.3.0.26", "Orin", "8.7")
    assert (engine.key.precision, engine.manifest.name) == ("int8", "toy")
    installed.asked.clear()
    assert unpack(build(toy(recipe=""))).key.precision == "fp16"
    assert "INT8" not in installed.asked
    assert "FP16" in installed.asked


def test_a_typed_tensorrt_gets_a_typed_network_and_a_half_graph(installed: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    trt = StandIn(typed=True, name="tensorrt_rtx_bindings", version="1.7")
    for module in (building, running):
        monkeypatch.setattr(module, "find_tensorrt", lambda *_: trt)
    model = toy()
    key = unpack(build(model, target="sm120")).key
    assert trt.asked[:3] == ["flags 2", model, "SM120"]
    assert (key.tensorrt, key.gpu, key.compute_capability) == ("tensorrt_rtx 1.7", "any", "12.0")
    trt.asked.clear()
    build(toy(recipe=""), target="sm86")
    half = onnx.load_from_string(trt.asked[1])
    assert {t.data_type for t in half.graph.initializer if t.name in "gk"} == {onnx.TensorProto.FLOAT16}
    assert {o.type.tensor_type.elem_type for o in half.graph.output} == {onnx.TensorProto.FLOAT}


def test_a_timing_cache_is_read_and_written(installed: StandIn, tmp_path: Path) -> None:
    path = tmp_path / "timing.cache"
    build(toy(), timing_cache=path)
    build(toy(), timing_cache=path)
    assert [entry for entry in installed.asked if entry[0] == "timing"] == [
        ("timing", b"", False),
        ("timing", b"measured", False),
    ]


def test_tensorrts_own_reason_is_passed_on(installed: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (building, running):
        monkeypatch.setattr(module, "find_tensorrt", lambda *_: StandIn(plan=None))
    with pytest.raises(BackendError, match=r"TensorRT cannot build the model: no kernel for this$"):
        build(toy())


@pytest.mark.parametrize(
    ("recipe", "precision", "target", "message"),
    [
        ("U8S8 Q/DQ", None, "current", "TensorRT takes the S8S8 one, as the shipped acne-edge-s-trt"),
        ("S8S8 Q/DQ", "fp16", "current", "this file is for int8"),
        ("", "int8", "current", "this file is for fp16"),
        ("S8S8 Q/DQ", "int4", "current", "unknown precision 'int4'"),
        ("S8S8 Q/DQ", None, "sm75", "unknown target 'sm75'"),
        ("S8S8 Q/DQ", None, "sm89", "only TensorRT for RTX"),
    ],
)
def test_what_makes_no_sense_is_refused(installed: StandIn, recipe: str, precision: str, target: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        describe(toy(recipe), installed, precision, target)


def test_weights_in_the_working_directory_are_refused_before_tensorrt_reads_them(
    installed: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, values = with_external_weights(toy())
    monkeypatch.chdir(tmp_path)
    Path("weights.bin").write_bytes(values)
    with pytest.raises(ModelError, match="keeps weights outside its file"):
        build(model)
    assert not installed.asked


def test_the_cache_builds_once_and_never_serves_another_engine(installed: StandIn, tmp_path: Path) -> None:
    first = cached(toy(), tmp_path)
    builds = len(installed.asked)
    assert cached(toy(), tmp_path) == first
    assert len(installed.asked) == builds
    (path,) = tmp_path.glob("*.engine")
    for forged in (replace(first.key, precision="fp16"), replace(first.key, onnx_sha256="00")):
        path.write_bytes(pack(Engine(forged, first.manifest, b"foreign")))
        assert cached(toy(), tmp_path) == first
    path.write_bytes(b"damaged")
    assert cached(toy(), tmp_path) == first
    installed.__version__ = "10.3.0.30"
    assert cached(toy(), tmp_path).key.tensorrt == "tensorrt 10.3.0.30"
    assert len(list(tmp_path.glob("*.engine"))) == 2


def test_a_cache_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    with pytest.raises(BackendError, match="others may write"):
        private(open_to_all)
    private(tmp_path / "new" / "cache")
    assert not stat.S_IMODE((tmp_path / "new" / "cache").stat().st_mode) & 0o077
    (tmp_path / "file").write_text("")
    with pytest.raises(BackendError, match="cannot be used as a cache"):
        private(tmp_path / "file")


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "PACKAGES", ("no_such_tensorrt",))
    for call in (lambda: build(toy()), lambda: TensorRTBackend(toy())):
        with pytest.raises(MissingExtraError, match=r"pip install 'acne-edge\[tensorrt\]'"):
            call()


class Runtime:
    """As much of CUDA's runtime as is called: one device whose memory is this process's."""

    def __init__(self) -> None:
        self.devices, self.failure = 1, ("", 0)
        self.memory: dict[int, np.ndarray] = {}
        self.cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)
        self.calls = {
            "cudaGetDeviceCount": lambda: [self.devices],
            "cudaGetDeviceProperties": lambda device: [SimpleNamespace(name=b"Orin", major=8, minor=7)],
            "cudaStreamCreate": lambda: [7],
            "cudaMalloc": self.allocate,
            "cudaFree": lambda address: self.memory.pop(address) is None and [],
            "cudaMemcpyAsync": lambda target, source, size, kind, stream: ctypes.memmove(target, source, size) and [],
            "cudaStreamSynchronize": lambda stream: [],
            "cudaStreamDestroy": lambda stream: [],
        }

    def __getattr__(self, name: str) -> Any:
        code = self.failure[1] if name == self.failure[0] else 0
        return lambda *arguments: (code, *(self.calls[name](*arguments) or []))

    def allocate(self, size: int) -> list[int]:
        array = np.zeros(size, np.uint8)
        self.memory[array.ctypes.data] = array
        return [array.ctypes.data]


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Runtime:
    runtime = Runtime()
    monkeypatch.setitem(sys.modules, "cuda", SimpleNamespace(bindings=SimpleNamespace(runtime=runtime)))
    monkeypatch.setitem(sys.modules, "cuda.bindings", SimpleNamespace(runtime=runtime))
    return runtime


def test_a_backend_runs_any_batch_in_parts(cuda: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    trt = StandIn()
    for module in (building, running):
        monkeypatch.setattr(module, "find_tensorrt", lambda *_: trt)
    shapes = {"image": (-1, SIDE, SIDE, 3), "grade_probs": (-1, 4), "count_probs": (-1, 66), "lesion_map": (-1, 4, 4),
              "unfamiliarity": (-1,), "close_up": (-1,)}  # fmt: skip
    telling = make_manifest(familiarity=Familiarity(1.0), close_up=CloseUp(0.5), requires=("familiarity-1",))
    addresses: dict[str, int] = {}
    batches: list[int] = []

    def execute(stream: int) -> bool:
        """Each output is the image's first byte plus its own number."""
        first = cuda.memory[addresses["image"]].reshape(8, -1)[:, 0].astype(np.float32)
        for number, name in enumerate(list(shapes)[1:]):
            values = cuda.memory[addresses[name]].view(np.float32).reshape(8, -1)
            values[:] = first[:, None] + number
        return stream == 7

    def set_input_shape(name: str, shape: tuple[int, ...]) -> bool:
        batches.append(shape[0])
        return shape[0] <= 8

    context = SimpleNamespace(
        set_tensor_address=addresses.__setitem__,
        set_input_shape=set_input_shape,
        execute_async_v3=execute,
        get_tensor_shape=lambda name: (batches[-1], *shapes[name][1:]),
    )
    engine = SimpleNamespace(get_tensor_shape=shapes.get, create_execution_context=lambda: context)
    trt.Runtime = lambda log: SimpleNamespace(deserialize_cuda_engine=lambda plan: engine)
    backend = TensorRTBackend(pack(replace(ENGINE, manifest=telling)))
    assert (backend.name, backend.manifest) == ("tensorrt:Orin", telling)
    images = np.arange(19, dtype=np.uint8)[:, None, None, None].repeat(SIDE, 1).repeat(SIDE, 2).repeat(3, 3)
    for number, (output, name) in enumerate(zip(backend.run(images), list(shapes)[1:], strict=True)):
        assert output.shape == (19, *shapes[name][1:])
        assert output.dtype == np.float32
        assert (output.reshape(19, -1) == np.arange(19)[:, None] + number).all()
    assert batches == [8, 8, 3]
    for wrong in (images[:, :16], images.astype(np.float32), images[:0]):
        with pytest.raises(BackendError, match="the input is"):
            backend.run(wrong)
    backend.close()
    backend.close()
    assert not cuda.memory
    with pytest.raises(BackendError, match="closed"):
        backend.run(images)


def test_a_machine_without_gpu_is_one_line(cuda: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (building, running):
        monkeypatch.setattr(module, "find_tensorrt", lambda *_: StandIn())
    cuda.devices = 0
    with pytest.raises(BackendError, match=r"^no NVIDIA GPU can be used on this machine; install its driver, or run an ONNX"):
        TensorRTBackend(toy())
    cuda.failure = ("cudaGetDeviceCount", 35)
    with pytest.raises(BackendError, match=r"^no NVIDIA GPU can be used on this machine \(cudaGetDeviceCount: 35\)$"):
        build(toy())
    cuda.devices, cuda.failure = 1, ("cudaMalloc", 2)
    with pytest.raises(BackendError, match="cudaMalloc: 2"):
        Cuda().allocate(1)
