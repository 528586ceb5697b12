"""Real engines, built by TensorRT for RTX on a machine that needs no GPU."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import onnx
import pytest

from acne_edge import models
from acne_edge.backends.tensorrt import build as backend
from acne_edge.errors import AcneEdgeError, BackendError, MissingExtraError
from acne_edge.manifest import InputSpec
from acne_edge.training.checkpoint import load_network
from acne_edge.training.run import Run
from calibration.ranges import Ranges
from export.graph import attach, to_onnx
from export.quantize import candidates, quantize, tensorrt
from tests.toy_model import make_manifest

# One in CI, all before a release.
TARGETS = [
    pytest.param("sm86", "8.6", marks=pytest.mark.release),
    pytest.param("sm89", "8.9", marks=pytest.mark.slow),
    pytest.param("sm120", "12.0", marks=pytest.mark.release),
]


@pytest.fixture(scope="module")
def rtx() -> Any:
    try:
        trt = backend.find_tensorrt()
    except MissingExtraError:
        pytest.skip("no TensorRT for RTX: install the extra tensorrt-rtx")
    if not hasattr(trt, "ComputeCapability"):
        pytest.skip(f"{trt.__name__} builds only for the GPU of the machine: install the extra tensorrt-rtx")
    return trt


@pytest.fixture(scope="module")
def int8(graph: onnx.ModelProto, ranges: dict[str, Ranges]) -> bytes:
    manifest = make_manifest(quantisation={"recipe": tensorrt().name})
    return attach(quantize(graph, ranges["minmax"], tensorrt()), manifest)


def layer_types(lines: list[str]) -> dict[str, set[str]]:
    """By the engine's compute layers (convolutions and products): the types of their first inputs, from the builder's report."""
    found: dict[str, set[str]] = {}
    for line in lines:
        match = re.match(r"Name: (\S+), LayerType: (correlation|gemm|conv\w*|\w*matmul\w*), Inputs: \[.*?Datatype: (\w+)", line)
        if match:
            found.setdefault(match[1], set()).add(match[3])
    return found


@pytest.fixture
def report(rtx: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the builder says of the engine's layers; only a GPU can load the engine and ask it."""
    lines: list[str] = []
    plain = backend.error_log

    def log(trt: Any) -> Any:
        logger = plain(trt)
        quiet = type(logger).log

        class Listening(type(logger)):  # type: ignore[misc]
            def log(self, severity: Any, message: str) -> None:
                lines.extend(message.splitlines())
                quiet(self, severity, message)

        return Listening()

    monkeypatch.setattr(backend, "error_log", log)
    return lines


@pytest.mark.slow
def test_the_int8_layers_of_an_engine_are_int8(rtx: Any, report: list[str], int8: bytes, graph: onnx.ModelProto) -> None:
    engine = backend.unpack(backend.build(int8, target="sm89"))
    assert engine.key.precision == "int8"
    assert (engine.key.gpu, engine.key.compute_capability) == ("any", "8.9")
    assert len(engine.plan) > 1_000_000
    types = layer_types(report)
    reduced = {name for name, kinds in types.items() if "Int8" in kinds}
    convolutions = [name for name in candidates(graph) if not name.startswith("vit.blocks")]
    missing = [name for name in convolutions if not any(name.replace("/", "_") in layer for layer in reduced)]
    assert not missing
    assert len(reduced) >= len(candidates(graph)) - 2  # the builder may fuse products that share an input


@pytest.mark.parametrize("model", [name for name in models.index() if name.endswith("-trt")])
@pytest.mark.parametrize(("target", "capability"), TARGETS)
def test_a_shipped_file_becomes_an_int8_engine(rtx: Any, model: str, target: str, capability: str, report: list[str]) -> None:
    data = models.load_model(model).data
    engine = backend.unpack(backend.build(data, target=target))
    assert (engine.key.precision, engine.key.compute_capability) == ("int8", capability)
    graph = onnx.load_from_string(data).graph
    made = {name: node.op_type for node in graph.node for name in node.output}
    layers = [n.name for n in graph.node if n.op_type in ("Conv", "Gemm") and made.get(n.input[1]) == "DequantizeLinear"]
    assert len(layers) > 40
    reduced = {name for name, kinds in layer_types(report).items() if "Int8" in kinds}
    convolutions = [name for name in layers if not name.startswith("vit.blocks")]
    assert not [name for name in convolutions if not any(name in layer for layer in reduced)]
    assert len(reduced) >= len(layers) - 2 * len([name for name in layers if name.endswith("attn.q")])  # q, k, v may be fused


@pytest.mark.parametrize("model", [name for name in models.index() if not name.endswith("-trt")])
@pytest.mark.parametrize(("target", "capability"), TARGETS)
def test_a_shipped_checkpoint_becomes_an_fp16_engine(
    rtx: Any, model: str, target: str, capability: str, report: list[str]
) -> None:
    network = load_network(Run(Path("export/checkpoints") / model).model)
    manifest = make_manifest(input=InputSpec(network.config.image_size, network.config.image_size))
    engine = backend.unpack(backend.build(attach(to_onnx(network), manifest), target=target))
    assert (engine.key.precision, engine.key.compute_capability) == ("fp16", capability)
    kinds = [kind for found in layer_types(report).values() for kind in found]
    assert kinds
    assert kinds.count("Half") >= 0.9 * len(kinds)


def test_an_engine_for_the_cards_of_this_machine_needs_one(rtx: Any, int8: bytes, tmp_path: Path) -> None:
    """With no GPU: one line, and nothing in the cache."""
    if Path("/dev/nvidia0").exists():
        pytest.skip("this machine has a GPU")
    with pytest.raises(AcneEdgeError, match=r"no NVIDIA GPU can be used|cuda-python") as error:
        backend.cached(int8, tmp_path)
    assert isinstance(error.value, (BackendError, MissingExtraError))
    assert not list(tmp_path.iterdir())
