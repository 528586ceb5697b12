"""Checks whether a model's versions agree, on photographs and adversarial images, and finds the first layer that differs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from acne_edge.backends.base import Outputs
from acne_edge.bench.parity import EXACT, REDUCED, Images, Row, Runner, adversarial, rows, simulated_runner
from acne_edge.errors import UsageError
from acne_edge.training.checkpoint import load_network
from acne_edge.training.data import load_images, read_samples
from acne_edge.training.model import FusionModel, OutputCalibration
from acne_edge.training.run import Run
from calibration.ranges import layers, observed
from export.graph import read, to_onnx, trace
from export.parity import onnx_runner, outputs, torch_runner

LAYER_EXACT = 1e-3  # largest difference of a layer's output over its largest value
LAYER_REDUCED = 0.25


@dataclass(frozen=True)
class Version:
    """A model file in one runtime."""

    title: str
    run: Runner
    graph: onnx.ModelProto
    exact: bool  # float: it may differ from the checkpoint by rounding only


@dataclass(frozen=True)
class Verdict:
    """The comparison of a version with the checkpoint, and the first layer that diverges if they disagree."""

    version: str
    rows: list[Row]
    failure: str  # one line; empty if all rows are ok


def compare(run: Path, files: Sequence[Path], data: Path | None, number: int, with_engine: bool = False) -> list[Verdict]:
    """Compare model files with a run's checkpoint in each runtime that can run them.

    Args:
        run: folder of a training run.
        files: model files.
        data: ACNE04, for `number` photographs of the run's validation list, or of its training list if it has no validation list;
            None: only adversarial images are compared.
        number: photographs.
        with_engine: run the models in TensorRT too, on this machine's GPU.

    Raises UsageError for files that do not fit the checkpoint or each other, and ModelError for one that cannot be read.
    """
    network = load_network(Run(run).model)
    size = network.config.image_size
    sets = adversarial(size)
    if data is not None:
        shown = Run(run).list_file("val" if Run(run).has("val") else "train")
        sets = {"photographs": load_images(read_samples(data, shown)[:number], size)} | sets
    calibration = _output_calibration(files)
    reference = {name: outputs(torch_runner(network, calibration), images) for name, images in sets.items()}
    return [
        _verdict(version, network, calibration, sets, reference)
        for file in files
        for version in _versions(file, size, with_engine)
    ]


def _verdict(
    version: Version,
    network: FusionModel,
    calibration: OutputCalibration | None,
    sets: Mapping[str, Images],
    reference: Mapping[str, Outputs],
) -> Verdict:
    tolerances = EXACT if version.exact else REDUCED
    found = [
        row for name, images in sets.items() for row in rows(name, reference[name], outputs(version.run, images), tolerances)
    ]
    wrong = next((row for row in found if not row.ok), None)
    if wrong is None:
        return Verdict(version.title, found, "")
    image = sets[wrong.images][:1]
    if version.exact:
        layer = first_diverging_layer_from_torch(network, version.graph, image, LAYER_EXACT, calibration)
    else:
        layer = first_diverging_layer(to_onnx(network, calibration), version.graph, image, LAYER_REDUCED)
    where = f"first diverging layer: {layer or 'none alone'}"
    return Verdict(version.title, found, f"{version.title} differs in {wrong.output} on {wrong.images}; {where}")


def _output_calibration(files: Sequence[Path]) -> OutputCalibration | None:
    """The model files' output calibration, which was fitted at export and is not in the checkpoint."""
    found = [read(file)[1].training.get("output_calibration") for file in files]
    if any(other != found[0] for other in found):
        raise UsageError("the model files differ in their output calibration: they come from several exports; verify each alone")
    return OutputCalibration.from_dict(found[0])


def _versions(file: Path, size: int, with_engine: bool) -> Iterator[Version]:
    """A model file in each runtime that can run it."""
    graph, manifest = read(file)
    if manifest.input.height != size:
        raise UsageError(f"{file}: takes {manifest.input.height} pixels per side; the checkpoint takes {size}")
    content = file.read_bytes()
    recipe = str(manifest.quantisation.get("recipe", ""))
    if recipe.startswith("S8S8"):
        yield Version(f"{file.name} simulated", simulated_runner(content), graph, False)
    else:
        yield Version(f"{file.name} in ONNX Runtime", onnx_runner(content), graph, not recipe)
    if with_engine and not recipe.startswith("U8S8"):
        from acne_edge.backends.tensorrt.backend import TensorRTBackend

        yield Version(f"{file.name} in TensorRT", TensorRTBackend(content).run, graph, False)


def first_diverging_layer(graph: onnx.ModelProto, other: onnx.ModelProto, image: Images, tolerance: float) -> str | None:
    """The first layer, in the order of `graph`, whose output differs by more than `tolerance` of its largest value.

    Tensors are matched by name, because quantisation keeps names. None if every layer agrees.
    """
    made = {name for node in other.graph.node for name in node.output}
    names = {node.output[0]: node.name for node in layers(graph) if node.output[0] in made}
    run = [observed(proto, list(names)).run(list(names), {"image": image}) for proto in (graph, other)]
    return _first(names, dict(zip(names, run[0], strict=True)), dict(zip(names, run[1], strict=True)), tolerance)


def first_diverging_layer_from_torch(
    network: FusionModel, graph: onnx.ModelProto, image: Images, tolerance: float, calibration: OutputCalibration | None = None
) -> str | None:
    """As `first_diverging_layer`, between the network run by PyTorch and its ONNX graph.

    The exporter gives a tensor the value's name in the traced program, so that program is run node by node.
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
    """The node that makes a tensor, or the product before it if only the ONNX graph separates that from its bias."""
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
