"""Whether the versions of one model agree, on photographs and on images made to break them, and where they part if not."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from acne_edge.backends.base import Outputs
from acne_edge.preprocess import resize
from acne_edge.training.model import FusionModel, OutputCalibration
from calibration.ranges import layers, observed
from export.graph import trace
from export.parity import Images

# Largest absolute difference of each output; the lesion map in lesions a cell. A float version may differ by rounding only.
# An INT8 or FP16 version may move probability between neighbouring counts; what it does to readings is the gate's business.
# Twice the largest differences measured for acne-edge-s 0.4 on 32 photographs and the adversarial images: .060, .020 and .139;
# of count_probs for 0.5, whose calibration sharpens the distribution: .042.
EXACT = {"grade_probs": 1e-4, "count_probs": 1e-4, "lesion_map": 1e-3}
REDUCED = {"grade_probs": 0.12, "count_probs": 0.084, "lesion_map": 0.28}
LAYER_EXACT = 1e-3  # largest difference of a layer's output over its largest value
LAYER_REDUCED = 0.25


@dataclass(frozen=True)
class Row:
    """One output of one kind of image: how far two versions are apart and how far they may be."""

    images: str
    output: str
    difference: float
    tolerance: float

    @property
    def ok(self) -> bool:
        """Within the tolerance; nan is not."""
        return self.difference <= self.tolerance


def adversarial(size: int) -> dict[str, Images]:
    """Images that no photographer takes, each uint8 [1, size, size, 3]: flat, noise, blown up from 32, shrunk from 6000."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 255, 6000).astype(np.uint8)
    images = {
        "black": np.zeros((size, size, 3), np.uint8),
        "white": np.full((size, size, 3), 255, np.uint8),
        "noise": rng.integers(0, 256, (size, size, 3), np.uint8),
        "tiny": resize(rng.integers(0, 256, (32, 32, 3), np.uint8), size, size),
        "huge": resize(np.stack([np.broadcast_to(ramp, (4000, 6000))] * 3, -1), size, size),
    }
    return {name: image[None] for name, image in images.items()}


def rows(images: str, reference: Outputs, candidate: Outputs, tolerances: dict[str, float]) -> Iterator[Row]:
    """Compare each output."""
    for name, expected, found in zip(Outputs._fields, reference, candidate, strict=True):
        apart = float(np.abs(expected - found).max()) if np.isfinite(found).all() else float("nan")
        yield Row(images, name, apart, tolerances[name])


def first_diverging_layer(graph: onnx.ModelProto, other: onnx.ModelProto, image: Images, tolerance: float) -> str | None:
    """The first layer, in the order of `graph`, whose output differs by more than `tolerance` of its largest value.

    Tensors are matched by name, which quantisation keeps. None if every layer agrees.
    """
    made = {name for node in other.graph.node for name in node.output}
    names = {node.output[0]: node.name for node in layers(graph) if node.output[0] in made}
    run = [observed(proto, list(names)).run(list(names), {"image": image}) for proto in (graph, other)]
    return _first(names, dict(zip(names, run[0], strict=True)), dict(zip(names, run[1], strict=True)), tolerance)


def first_diverging_layer_from_torch(
    network: FusionModel, graph: onnx.ModelProto, image: Images, tolerance: float, calibration: OutputCalibration | None = None
) -> str | None:
    """As `first_diverging_layer`, between the network run by PyTorch and its ONNX graph.

    The exporter names a tensor as the traced program names the value, so that program is run node by node.
    """
    program = trace(network, calibration).exported_program
    assert program is not None
    values: dict[str, NDArray[np.float32]] = {}

    class Recorder(torch.fx.Interpreter):
        def run_node(self, node: torch.fx.Node) -> object:
            value = super().run_node(node)
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                values[node.name] = value.detach().numpy()
            return value

    module = program.module()
    with torch.inference_mode():
        Recorder(module).run(torch.tensor(image))  # type: ignore[arg-type]
    shared = [name for node in graph.graph.node for name in node.output if name in values]
    names = {name: _origin(graph, name, values) for name in shared}
    found = dict(zip(names, observed(graph, list(names)).run(list(names), {"image": image}), strict=True))
    return _first(names, {name: values[name] for name in names}, found, tolerance)


def _origin(graph: onnx.ModelProto, tensor: str, compared: Collection[str]) -> str:
    """The node that makes a tensor, or the product just before it that only the ONNX graph keeps apart from its bias."""
    makers = {name: node for node in graph.graph.node for name in node.output}
    products = [makers[name] for name in makers[tensor].input if name in makers and name not in compared]
    return next((node.name for node in layers(graph) if node in products), makers[tensor].name)


def _first(
    names: dict[str, str], reference: dict[str, NDArray[np.float32]], found: dict[str, NDArray[np.float32]], tolerance: float
) -> str | None:
    for tensor, layer in names.items():
        expected, got = reference[tensor], found[tensor]
        if not np.abs(expected - got).max() <= tolerance * max(float(np.abs(expected).max()), 1e-6):
            return layer
    return None
