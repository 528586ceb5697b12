"""Checkpoints: safetensors files (no pickle), written so that a kill at any moment leaves the last complete one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from acne_edge.errors import AcneEdgeError, UsageError
from acne_edge.training.model import FusionModel, ModelConfig


def save(path: Path, tensors: dict[str, Tensor], info: dict[str, Any]) -> None:
    """Write tensors and a JSON header atomically: the old file stays until the new one is complete on the disk.

    Raises AcneEdgeError if it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, temporary, {"acne_edge": json.dumps(info)})
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AcneEdgeError(f"{path}: cannot be written ({reason}); the old file, if any, is untouched") from error
    finally:
        temporary.unlink(missing_ok=True)


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file that `save` wrote. Raises UsageError if it is missing, damaged, or not an acne-edge checkpoint."""
    try:
        with safe_open(path, "pt") as file:  # type: ignore[no-untyped-call,unused-ignore]
            info = json.loads((file.metadata() or {})["acne_edge"])
            return {key: file.get_tensor(key) for key in file.keys()}, info  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError) as error:
        raise UsageError(f"{path}: cannot be read as a checkpoint ({error})") from error
    except (KeyError, json.JSONDecodeError) as error:
        raise UsageError(f"{path}: not a checkpoint written by acne-edge") from error


def load_network(path: Path) -> FusionModel:
    """The network from a checkpoint `model.safetensors`, float32, in evaluation mode.

    Raises UsageError for a file that is not a checkpoint, or has another architecture.
    """
    tensors, info = load(path)
    try:
        model = FusionModel(ModelConfig(**info["model"]))
        model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in tensors.items()})
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split()[:24])
        raise UsageError(f"{path}: the checkpoint has another architecture ({reason})") from error
    return model.eval()


def prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with `prefix.` in front of their names."""
    return {f"{prefix}.{k}": v for k, v in tensors.items()}


def unprefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix.`, with that removed."""
    return {k[len(prefix) + 1 :]: v for k, v in tensors.items() if k.startswith(prefix + ".")}
