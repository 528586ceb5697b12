"""Loads initial weights: ImageNet weights of the branches, or an earlier run's final network."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from acne_edge.errors import UsageError
from acne_edge.training import checkpoint
from acne_edge.training.data import Sample
from acne_edge.training.model import FusionModel
from acne_edge.training.run import ACNE04, Run

RESNET_FILE = "resnet18_tv_stem_to_layer3.safetensors"  # torchvision's keys
VIT_FILE = "deit_tiny_patch16_224.safetensors"  # timm's keys


def load_weights(model: FusionModel, weights: Path) -> None:
    """Load initial weights from a folder of ImageNet weights, or from the `model.safetensors` of an earlier run.

    Raises UsageError if `weights` is neither, or does not fit the network.
    """
    if not weights.exists():
        raise UsageError(f"{weights}: no such file or folder of weights")
    (load_checkpoint if weights.is_file() else load_imagenet)(model, weights)


def load_imagenet(model: FusionModel, weights: Path) -> None:
    """Load the ImageNet weights of the model's branches from the folder `weights`.

    Expects `RESNET_FILE` and `VIT_FILE`. The position embedding is resampled to the model's grid. Raises UsageError if a file is
    missing, damaged or does not fit.
    """
    if model.resnet is not None:
        state = _read(weights / RESNET_FILE)
        _load(model.resnet, {k: v for k, v in state.items() if not k.startswith(("layer4.", "fc."))}, "ResNet")
    if model.vit is not None:
        state = _read(weights / VIT_FILE)
        late = [f"blocks.{i}." for i in range(len(model.vit.blocks), 12)]
        state = {k: v for k, v in state.items() if not k.startswith(("head.", *late))}
        if "pos_embed" in state:
            state["pos_embed"] = resample_position(state["pos_embed"], model.vit.grid)
        _load(model.vit, state, "ViT", ignore="channel_attention.")


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        reason = "no such file" if not path.exists() else " ".join(str(error).split())
        raise UsageError(f"{path}: cannot be read as ImageNet weights ({reason})") from error


def _load(branch: nn.Module, state: dict[str, Tensor], name: str, ignore: str = "\0") -> None:
    try:
        found = branch.load_state_dict(state, strict=False)
    except RuntimeError as error:  # of shapes
        raise UsageError(f"the {name} weights do not fit the network: {str(error).splitlines()[-1].strip()}") from error
    wrong = [k for k in found.missing_keys if not k.startswith(ignore)] + found.unexpected_keys
    if wrong:
        raise UsageError(f"the {name} weights do not fit the network: {', '.join(wrong[:4])}")


def load_checkpoint(model: FusionModel, path: Path) -> None:
    """Load an earlier run's final weights; its input size may differ, and its ViT may have more blocks.

    The grade head stays new if the scale has another number of grades.

    Raises UsageError if they do not fit.
    """
    tensors, info = checkpoint.load(path)
    if info.get("model", {}).get("method") != model.config.method:
        raise UsageError(f"{path}: not a checkpoint of the method {model.config.method}")
    state = {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
    known = model.state_dict()
    state = {k: v for k, v in state.items() if k in known or not k.startswith("vit.blocks.")}
    for name in ("grade_head.weight", "grade_head.bias"):
        if name in state and state[name].shape != known[name].shape:
            state[name] = known[name]
    try:
        model.load_state_dict(resize_input(state, info["model"]["image_size"], model.config.image_size))
    except RuntimeError as error:
        raise UsageError(f"{path}: the weights do not fit the network ({str(error).splitlines()[-1].strip()})") from error


def identity(weights: Path) -> dict[str, str]:
    """Name and sha256 of an earlier run's weights file, to record in the run that continues it."""
    return {"weights": weights.name, "sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}


def learned_by(weights: Path) -> list[str]:
    """What the network in an earlier run's weights file has learned; ACNE04 where its run does not say."""
    run = Run(weights.parent)
    return list(run.results().get("learned", [ACNE04])) if run.finished else [ACNE04]


def refuse_leak(earlier: Path, lists: dict[str, list[Sample]]) -> None:
    """Raise UsageError if the run of the weights `earlier` was trained on photographs that `lists` hold out."""
    trained = Run(earlier.parent)
    if trained.has("train"):
        known = {label.name for label in trained.labels("train")}
        for part in ("val", "test"):
            seen = [s.name for s in lists[part] if s.name in known]
            if seen:
                raise UsageError(f"{earlier}: was trained on {len(seen)} of the {part} photographs, for example {seen[0]}")


def resize_input(state: dict[str, Tensor], old: int, new: int) -> dict[str, Tensor]:
    """Adapt a network's weights from `old` to `new` pixels per side: position embedding and lesions per cell."""
    if old == new:
        return state
    state = dict(state)
    if "vit.pos_embed" in state:
        state["vit.pos_embed"] = resample_position(state["vit.pos_embed"], new // 16)
    # The same lesions are spread over more cells; softplus is nearly exp where cells hold few.
    state["lesion_map.out.bias"] = state["lesion_map.out.bias"] + 2 * math.log(old / new)
    return state


def resample_position(pos_embed: Tensor, grid: int) -> Tensor:
    """Bicubic resampling of a position embedding [1, 1 + g*g, D] to [1, 1 + grid*grid, D]; the class token's is kept."""
    cls, patches = pos_embed[:, :1], pos_embed[:, 1:]
    side = math.isqrt(patches.shape[1])
    if side == grid:
        return pos_embed
    patches = rearrange(patches, "one (h w) d -> one d h w", h=side)
    patches = F.interpolate(patches, size=(grid, grid), mode="bicubic", antialias=True, align_corners=False)
    return torch.cat([cls, rearrange(patches, "one d h w -> one (h w) d")], 1)
