"""Exports FusionModel to an ONNX graph that keeps the model-file contract."""

from __future__ import annotations

import ast
import copy
import logging
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from acne_edge import files
from acne_edge.errors import ManifestError, ModelError
from acne_edge.manifest import Manifest
from acne_edge.models import MAX_BYTES
from acne_edge.onnx_file import KEY, manifest_text, refuse_external_data
from acne_edge.training.model import Attention, DeployModel, FusionModel, OutputCalibration
from calibration.ranges import layers

OPSET = 18
OUTPUTS = ("grade_probs", "count_probs", "lesion_map")


class SplitAttention(Attention):
    """The same attention with separate products for queries, keys and values, because runtimes are slow at splitting one."""

    def __init__(self, attention: Attention) -> None:
        dim = attention.proj.in_features
        super().__init__(dim, attention.heads)
        parts = zip(attention.qkv.weight.chunk(3), attention.qkv.bias.chunk(3), strict=True)
        self.q, self.k, self.v = (nn.Linear(dim, dim) for _ in range(3))
        for linear, (weight, bias) in zip((self.q, self.k, self.v), parts, strict=True):
            linear.load_state_dict({"weight": weight, "bias": bias})
        self.proj = attention.proj
        del self.qkv

    def project(self, x: Tensor, averages: Tensor) -> tuple[Tensor, ...]:
        """See `Attention.project`."""
        return self.q(x), self.k(averages), self.v(averages)


def trace(model: FusionModel, calibration: OutputCalibration | None = None) -> torch.onnx.ONNXProgram:
    """Trace the network with normalisation and softmax inside, and with a dynamic batch axis."""
    size = model.config.image_size
    model = copy.deepcopy(model)
    for block in model.vit.blocks if model.vit is not None else ():
        block.attn = SplitAttention(block.attn)
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    with _quiet():
        program = torch.onnx.export(
            DeployModel(model, calibration).eval(),
            (example,),
            dynamo=True,
            input_names=["image"],
            output_names=list(OUTPUTS),
            opset_version=OPSET,
            dynamic_shapes={"image": {0: torch.export.Dim("batch", min=1, max=1024)}},
            verbose=False,
        )
    assert program is not None
    return program


def to_onnx(model: FusionModel, calibration: OutputCalibration | None = None) -> onnx.ModelProto:
    """The float graph: input `image` uint8 [N, S, S, 3], the contract's outputs, layers named after their modules.

    The exporter has already folded constants and batch norms. Shapes are inferred here, because the quantiser reads them.
    """
    proto = trace(model, calibration).model_proto
    name_layers(proto)
    strip(proto)
    return onnx.shape_inference.infer_shapes(proto)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter: its deprecation warnings, and logs about a missing torchvision or GPU, which are not needed."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.utils.cpp_extension")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def name_layers(proto: onnx.ModelProto) -> None:
    """Name each layer with weights after its module, as in `vit.blocks.0.attn.qkv`; a second use gets the suffix `.2`."""
    uses: Counter[str] = Counter()
    for node in layers(proto):
        module = node.input[1].removesuffix(".weight")
        if module == node.input[1]:  # the exporter transposed the weight and gave it a number for a name
            scopes = {p.key: p.value for p in node.metadata_props}
            module = ast.literal_eval(scopes["pkg.torch.onnx.name_scopes"])[-2]
        module = module.removeprefix("model.")
        uses[module] += 1
        node.name = module if uses[module] == 1 else f"{module}.{uses[module]}"


def strip(proto: onnx.ModelProto) -> None:
    """Remove the exporter's notes on this machine and its source files, so that equal weights give equal bytes."""
    proto.producer_name, proto.producer_version, proto.doc_string = "acne-edge", "", ""
    del proto.metadata_props[:]
    for item in [*proto.graph.node, *proto.graph.value_info, *proto.graph.input, *proto.graph.output, *proto.graph.initializer]:
        item.doc_string = ""
        if hasattr(item, "metadata_props"):
            del item.metadata_props[:]
    proto.graph.doc_string = ""
    del proto.graph.metadata_props[:]


def attach(proto: onnx.ModelProto, manifest: Manifest) -> bytes:
    """The file of a graph with the manifest in its metadata, checked against the contract. The graph itself stays as it is.

    Raises ModelError for external data, custom operators, an opset below 17 or a graph that onnx.checker refuses.
    """
    file = onnx.ModelProto()
    file.CopyFrom(proto)
    del file.metadata_props[:]
    onnx.helper.set_model_props(file, {KEY: manifest.to_json()})
    check(file)
    return file.SerializeToString(deterministic=True)


def read(path: Path) -> tuple[onnx.ModelProto, Manifest]:
    """A model file's graph and manifest.

    Raises ModelError for a file that is not an ONNX model or breaks the contract, ManifestError for one without a manifest.
    """
    try:
        data = files.read(path, MAX_BYTES)
        proto = onnx.load_from_string(data)
    except Exception as error:  # protobuf's DecodeError is not a public class
        raise ModelError(f"{path}: cannot be read as an ONNX model ({(str(error).splitlines() or [''])[0]})") from error
    try:
        refuse_external_data(data)
        check(proto)
        text = manifest_text(data)
        if text is None:
            raise ManifestError("the ONNX file holds no acne-edge manifest: make one with `python -m export model`")
        return proto, Manifest.from_json(text)
    except ModelError as error:
        raise type(error)(f"{path}: {error}") from error


def check(proto: onnx.ModelProto) -> None:
    """Raise ModelError unless the graph is valid, self-contained, of standard operators only and of opset >= 17."""
    if any(t.data_location == onnx.TensorProto.EXTERNAL for t in proto.graph.initializer):
        raise ModelError("the ONNX file keeps weights in external data; a model is one file")
    domains = ({node.domain for node in proto.graph.node} | {o.domain for o in proto.opset_import}) - {"", "ai.onnx"}
    if domains:
        raise ModelError(f"the ONNX file uses custom operators of {', '.join(sorted(domains))}")
    opset = max((o.version for o in proto.opset_import), default=0)
    if opset < 17:
        raise ModelError(f"the ONNX file has opset {opset}; at least 17 is needed")
    try:
        onnx.checker.check_model(proto, full_check=True)
    except Exception as error:
        raise ModelError(f"onnx.checker refuses the model: {str(error).splitlines()[0]}") from error
