"""Finds subject groups in ACNE04, photographs of one person or session, by similarity and by their numbers.

ACNE04 names no patients. Two photographs belong together if they are known duplicates, if their features are very similar, or if
their file names have neighbouring numbers and their features are fairly similar (the two sides of a face often have consecutive
numbers). Photographs that such pairs connect form a group. Features come from the ImageNet networks that training starts from,
for the photograph and its mirror image; labels are not used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from acne_edge.training.data import group_ids
from acne_edge.training.model import FusionModel, ModelConfig, Normalize
from acne_edge.training.weights import load_imagenet

ANYWHERE = 0.5  # similarity; on inspection, pairs above it showed one person, or different people in one unusual setting
NEIGHBOURS = 0.25  # similarity for pairs whose numbers are at most NEAR apart: mostly the two sides of one face
NEAR = 2
COMPONENTS = 96


def find_groups(names: Sequence[str], similar: NDArray[np.float32], pairs: Iterable[tuple[str, str]]) -> NDArray[np.int64]:
    """Group numbers [N] from a symmetric similarity matrix [N, N], the numbers in the names, and known pairs."""
    parts = [re.match(r"(.*?)(\d+)\.\w+$", name) for name in names]
    prefix = np.array([str(p[1]) if p else name for p, name in zip(parts, names, strict=True)])
    number = np.array([int(p[2]) if p else 0 for p in parts])
    neighbours = (prefix[:, None] == prefix) & (np.abs(number[:, None] - number) <= NEAR)
    linked = np.triu((similar > ANYWHERE) | (neighbours & (similar > NEIGHBOURS)), 1)
    return group_ids(names, [*pairs, *((names[i], names[j]) for i, j in np.argwhere(linked))])


def similarity(features: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Mean cosine similarity over kinds of features, each [2, N, D] for the photographs and their mirror images -> [N, N].

    Each kind is centred, reduced to its principal components and half whitened (divided by the root of their deviation), which
    removes what all faces share. A pair's similarity is the larger of the plain and the mirrored one.
    """
    kinds = []
    for kind in features:
        flat = kind.reshape(-1, kind.shape[-1])
        mean = flat.mean(0)
        _, scale, axes = np.linalg.svd(flat - mean, full_matrices=False)
        keep = min(COMPONENTS, int((scale > 1e-6 * scale[0]).sum()))
        reduced = (kind - mean) @ axes[:keep].T / np.sqrt(scale[:keep])
        kinds.append(reduced / np.linalg.norm(reduced, axis=-1, keepdims=True))
    y = np.concatenate(kinds, -1) / np.sqrt(len(kinds))
    straight, mirrored = y[0] @ y[0].T, y[0] @ y[1].T
    return np.maximum(straight, np.maximum(mirrored, mirrored.T))


def imagenet_features(images: NDArray[np.uint8], weights: Path, batch_size: int = 32) -> list[NDArray[np.float32]]:
    """Features of images [N, S, S, 3] and their mirror images: of the ResNet [2, N, 512] and of the ViT [2, N, 384]."""
    model = FusionModel(ModelConfig(image_size=images.shape[1]))
    load_imagenet(model, weights)
    model.eval()
    assert model.resnet is not None
    assert model.vit is not None
    normalize = Normalize()
    sides: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
    with torch.inference_mode():
        for mirror in (False, True):
            resnet, vit = [], []
            for start in range(0, len(images), batch_size):
                x = normalize(torch.from_numpy(images[start : start + batch_size]))
                x = x.flip(3) if mirror else x
                deep = model.resnet(x)[1]
                cls, tokens = model.vit(x)
                resnet.append(torch.cat([deep.mean((2, 3)), deep.amax((2, 3))], 1))
                vit.append(torch.cat([cls, tokens.mean((2, 3))], 1))
            sides.append((torch.cat(resnet).numpy(), torch.cat(vit).numpy()))
    return [np.stack(kind) for kind in zip(*sides, strict=True)]
