"""Writes a model repository for NVIDIA's Triton Inference Server.

FOLDER/NAME/config.pbtxt             the step that is asked: a photograph's bytes in, the SDK's JSON out
FOLDER/NAME/1/model.py               `triton_step.py`
FOLDER/NAME/1/manifest.json
FOLDER/NAME-onnx/...                 the network in the server's ONNX Runtime, in batches
FOLDER/NAME-tensorrt/...             the network as a TensorRT plan, if there is an engine file; then the step asks this one
"""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx

from acne_edge.backends.tensorrt.engine_file import unpack
from acne_edge.errors import AcneEdgeError, ModelError, UsageError
from acne_edge.manifest import Manifest
from acne_edge.models import load_model
from acne_edge.onnx_file import manifest_text

STEP = Path(__file__).with_name("triton_step.py")
BATCH, DELAY = 16, 2000  # photographs in a batch at most; microseconds that the first of them waits for the others
TYPES = {onnx.TensorProto.UINT8: "TYPE_UINT8", onnx.TensorProto.FLOAT: "TYPE_FP32"}


def write_repository(
    model: str | None, folder: Path, engine: Path | None = None, instances: int = 4, on_poor_quality: str = "warn"
) -> list[Path]:
    """Write the repository into a new folder; returns the models' folders, the step's first.

    Args:
        model: shipped model (None: the default) or ONNX file.
        folder: must not exist, or be empty.
        engine: engine file built from this model.
        instances: processes of the step; photographs are decoded in each, and their networks' requests make a batch.
        on_poor_quality: see `AcneGrader.load`.

    Raises ModelError for a model without a manifest, and for an engine of another model or of TensorRT for RTX, which the server
    does not load; UsageError for a folder that is not empty; AcneEdgeError if it cannot be written.
    """
    file = load_model(model)
    text = manifest_text(file.data)
    if text is None:
        raise ModelError(f"{file.name}: is not an ONNX file with an acne-edge manifest")
    manifest = Manifest.from_json(text)
    plan, batch = (None, BATCH) if engine is None else _plan(engine, file.sha256)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: exists and is not empty; name a new folder")
    name, proto = manifest.name, onnx.load_from_string(file.data)
    network = f"{name}-onnx" if plan is None else f"{name}-tensorrt"
    try:
        _write(
            folder / f"{name}-onnx",
            network_config(f"{name}-onnx", 'backend: "onnxruntime"', BATCH, proto),
            "model.onnx",
            file.data,
        )
        if plan is not None:
            config = network_config(network, 'platform: "tensorrt_plan"', batch, proto)
            _write(folder / network, config, "model.plan", plan)
        step = folder / name
        _write(step, step_config(name, network, file.sha256, instances, on_poor_quality), "manifest.json", text.encode())
        shutil.copyfile(STEP, step / "1" / "model.py")
    except OSError as error:
        raise AcneEdgeError(f"{folder}: cannot be written ({error.strerror})") from error
    return [step, *sorted(path for path in folder.iterdir() if path != step)]


def _plan(file: Path, sha256: str) -> tuple[bytes, int]:
    """The plan of an engine file, and its largest batch."""
    engine = unpack(load_model(file).data)
    if engine.key.onnx_sha256 != sha256:
        raise ModelError(f"{file}: was built from another model file; name that one as MODEL, or build the engine again")
    if not engine.key.tensorrt.startswith("tensorrt "):
        raise ModelError(f"{file}: was built by {engine.key.tensorrt}; the server loads plans of TensorRT proper")
    return engine.plan, engine.key.batches[2]


def _write(folder: Path, config: str, name: str, content: bytes) -> None:
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(config, encoding="utf-8")
    (folder / "1" / name).write_bytes(content)


def network_config(name: str, runtime: str, batch: int, proto: onnx.ModelProto) -> str:
    """The `config.pbtxt` of the network."""
    return f"""\
name: "{name}"
{runtime}
max_batch_size: {batch}
{_tensors("input", proto.graph.input)}
{_tensors("output", proto.graph.output)}
dynamic_batching {{ max_queue_delay_microseconds: {DELAY} }}
"""


def _tensors(kind: str, values: object) -> str:
    entries = []
    for value in values:
        tensor = value.type.tensor_type
        dims = [
            axis.dim_value if axis.HasField("dim_value") else -1 for axis in tensor.shape.dim[1:]
        ]  # the batch is the server's
        entries.append(f'  {{ name: "{value.name}" data_type: {TYPES[tensor.elem_type]} dims: {dims} }}')
    return f"{kind} [\n" + ",\n".join(entries) + "\n]"


def step_config(name: str, network: str, sha256: str, instances: int, on_poor_quality: str) -> str:
    """The `config.pbtxt` of the Python step."""
    parameters = {"network": network, "sha256": sha256, "on_poor_quality": on_poor_quality}
    entries = "\n".join(f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}' for key, value in parameters.items())
    return f"""\
name: "{name}"
backend: "python"
max_batch_size: 0
input [ {{ name: "photograph" data_type: TYPE_STRING dims: [ 1 ] }} ]
output [ {{ name: "prediction" data_type: TYPE_STRING dims: [ 1 ] }} ]
instance_group [ {{ count: {instances} kind: KIND_CPU }} ]
{entries}
"""
