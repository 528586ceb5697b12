"""The engine file: a header that says which model and which GPU the plan was built for, and the plan.

An engine file is, little-endian:

    8 bytes   magic "ACNETRT1"
    uint32    length of the header
    uint64    length of the plan
    header    UTF-8 JSON: {"build": build key, "manifest": the model's manifest, "plan_sha256": hexadecimal}
    plan      what TensorRT serialised

A plan runs only on the GPU and version that it was built for, and a foreign plan can crash the process or do worse. So the build
key and the plan's hash are compared before TensorRT reads a byte of it.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import asdict, dataclass

from acne_edge.backends.base import ENGINE_MAGIC
from acne_edge.errors import BackendError
from acne_edge.manifest import Manifest

MAGIC = ENGINE_MAGIC
LENGTHS = struct.Struct("<IQ")  # header, plan
MAX_HEADER = 1 << 20
ANY_GPU = "any"


@dataclass(frozen=True)
class BuildKey:
    """Everything that an engine depends on; two engines are the same if and only if these are equal."""

    onnx_sha256: str  # the model file's, hexadecimal
    tensorrt: str  # package and full version, as in "tensorrt 10.3.0.26"
    gpu: str  # name of the GPU, or "any": built by TensorRT for RTX for every GPU of the compute capability
    compute_capability: str  # as in "8.6"
    precision: str  # int8 | fp16
    batches: tuple[int, int, int]  # least, best, largest
    input: tuple[int, int]  # height and width, pixels

    def digest(self) -> str:
        """The key's sha256, hexadecimal, which names the engine in a cache."""
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
    """Read an engine file. Raises BackendError if it is damaged or not an engine file, ManifestError for a bad manifest."""
    start = len(MAGIC) + LENGTHS.size
    if data[: len(MAGIC)] != MAGIC or len(data) < start:
        raise BackendError("not an engine file of acne-edge: make one with `acne-edge engine`")
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
