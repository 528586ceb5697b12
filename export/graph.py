"""FusionModel -> ONNX graph that keeps the model-file contract."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import onnx
import torch

from acne_edge.errors import ModelError, UsageError
from acne_edge.manifest import KEY, Manifest
from acne_edge.training import checkpoint
from acne_edge.training.model import DeployModel, FusionModel, ModelConfig

OPSET = 18
OUTPUTS = ("grade_probs", "count_probs", "lesion_map")


def load_network(path: Path) -> FusionModel:
    """The network of a checkpoint `model.safetensors`, float32, in evaluation mode.

    Raises UsageError for a file that is no checkpoint, or one of another architecture.
    """
    tensors, info = checkpoint.load(path)
    try:
        model = FusionModel(ModelConfig(**info["model"]))
        model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in tensors.items()})
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"{path}: the checkpoint is of another architecture ({str(error).splitlines()[0]})") from error
    return model.eval()


def to_onnx(model: FusionModel) -> onnx.ModelProto:
    """Trace the network with normalisation and softmax inside; input uint8 [N, S, S, 3], batch axis dynamic."""
    size = model.config.image_size
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            DeployModel(model).eval(),
            (example,),
            dynamo=True,
            input_names=["image"],
            output_names=list(OUTPUTS),
            opset_version=OPSET,
            dynamic_shapes={"image": {0: torch.export.Dim("batch", min=1, max=1024)}},
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    strip(proto)
    return proto


def strip(proto: onnx.ModelProto) -> None:
    """Remove what the exporter says of this machine and its sources, so that equal weights give equal bytes."""
    proto.producer_name, proto.producer_version, proto.doc_string = "acne-edge", "", ""
    del proto.metadata_props[:]
    for item in [*proto.graph.node, *proto.graph.value_info, *proto.graph.input, *proto.graph.output, *proto.graph.initializer]:
        item.doc_string = ""
        if hasattr(item, "metadata_props"):
            del item.metadata_props[:]
    proto.graph.doc_string = ""
    del proto.graph.metadata_props[:]


def attach(proto: onnx.ModelProto, manifest: Manifest) -> bytes:
    """The model file: the graph with the manifest in its metadata, checked against the contract.

    Raises ModelError for external data, custom operators, too old an opset or a graph that onnx.checker refuses.
    """
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, {KEY: manifest.to_json()})
    check(proto)
    return proto.SerializeToString(deterministic=True)


def check(proto: onnx.ModelProto) -> None:
    """Raise ModelError unless the graph is valid, self-contained, of standard operators and of opset >= 17."""
    if any(t.data_location == onnx.TensorProto.EXTERNAL for t in proto.graph.initializer):
        raise ModelError("the ONNX file keeps weights in external data; a model is one file")
    domains = {node.domain for node in proto.graph.node} - {"", "ai.onnx"}
    if domains:
        raise ModelError(f"the ONNX file uses custom operators of {', '.join(sorted(domains))}")
    opset = max((o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")), default=0)
    if opset < 17:
        raise ModelError(f"the ONNX file has opset {opset}; at least 17 is needed")
    try:
        onnx.checker.check_model(proto, full_check=True)
    except Exception as error:
        raise ModelError(f"onnx.checker refuses the model: {str(error).splitlines()[0]}") from error


def write(path: Path, data: bytes) -> None:
    """Write a file so that the old one survives whatever goes wrong, a full disk included. Raises ModelError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise ModelError(f"{path}: cannot write the model ({error.strerror}); the old file, if any, is untouched") from error
    finally:
        temporary.unlink(missing_ok=True)
