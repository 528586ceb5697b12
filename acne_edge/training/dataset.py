"""Photographs in memory, and the random views of them for a training step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from acne_edge.training.augment import Augmentation, paste, paste_points, turn, warp, warp_points
from acne_edge.training.data import Sample, load_images
from acne_edge.training.degrade import degrade
from acne_edge.training.model import Normalize


class Views(NamedTuple):
    """Random views of some samples."""

    images: Tensor  # float32 [n, 3, size, size], normalised
    clean: Tensor  # the same before they were turned and spoilt, perhaps at another size
    counts: Tensor  # float32 [n], lesions in view
    points: list[Tensor | None]  # their centres in view, float32 [., 2]; None where they are unknown


class Dataset:
    """Photographs in memory, `size` pixels per side, with their lesions' centres (float32 [n, 2], x and y in 0..1).

    `input_size` is the network's input, for which they are decoded (None: `size`).
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        size: int,
        workers: int,
        device: torch.device,
        denoise: str = "none",
        input_size: int | None = None,
    ) -> None:
        self.images = torch.from_numpy(load_images(samples, size, workers, denoise, input_size)).to(device)
        self.counts = torch.tensor([s.count for s in samples])
        self.grades = torch.tensor([s.grade for s in samples])
        self.centres = [
            None if s.boxes is None else torch.from_numpy((s.boxes[:, :2] + s.boxes[:, 2:]) / 2).float() for s in samples
        ]

    def __len__(self) -> int:
        return len(self.grades)

    def view(
        self,
        index: Tensor,
        augmentation: Augmentation,
        size: int,
        generator: torch.Generator,
        rank: int = 0,
        processes: int = 1,
        clean_size: int | None = None,
    ) -> Views:
        """Random views of the samples `index`, `size` pixels per side, and `clean_size` (None: `size`) before they are spoilt.

        A sample without boxes cannot be recounted, so it is only flipped, recoloured, turned and spoilt. With several
        `processes`, process `rank` gets every `processes`-th sample; random numbers are drawn for all, so that views do not
        depend on the number.
        """
        part = slice(rank, None, processes)
        matrices = augmentation.matrices(len(index), generator)
        colours = augmentation.colours(len(index), generator)
        for row, i in enumerate(index.tolist()):
            if self.centres[i] is None:
                matrices[row] = torch.tensor([[math.copysign(1.0, matrices[row, 0, 0].item()), 0, 0], [0, 1, 0]])
        large = max(size, clean_size or size)
        views, points = self.warped(index[part], matrices[part], large)
        if augmentation.mix:
            other, rectangles = (t[part] for t in augmentation.rectangles(len(index), generator))
            if processes == 1:
                others, other_points = views[other], [points[i] for i in other.tolist()]
            else:
                others, other_points = self.warped(index[other], matrices[other], large)
            views, points = mixed(views, points, others, other_points, rectangles)
        clean, views = shrunk(views, clean_size or size), shrunk(views, size)
        if augmentation.turn:
            views, points = turn(views, points, augmentation.quarters(len(index), generator)[part])
        if augmentation.degrade:
            seeds = torch.randint(2**62, (len(index),), generator=generator)
            views = degrade(views, augmentation.degrade, seeds[part])
        pairs = zip(index[part].tolist(), points, strict=True)
        counts = torch.tensor([float(self.counts[i]) if p is None else len(p) for i, p in pairs])
        gain, offset = (c[part].to(views.device) for c in colours)
        return Views(views * gain + offset, clean * gain + offset, counts.to(views.device), points)

    def warped(self, index: Tensor, matrices: Tensor, size: int) -> tuple[Tensor, list[Tensor | None]]:
        """The samples `index` seen through `matrices` [n, 2, 3]: normalised float32 [n, 3, size, size], and centres in view."""
        images = Normalize().to(self.images.device)(self.images[index.to(self.images.device)])
        centres = [self.centres[i] for i in index.tolist()]
        points = [None if c is None else warp_points(c, m) for c, m in zip(centres, matrices, strict=True)]
        return warp(images, matrices.to(images.device), size), points


def shrunk(views: Tensor, size: int) -> Tensor:
    """Views [N, 3, S, S] at `size` pixels per side, which is S or less, averaged as devices do it."""
    if views.shape[-1] == size:
        return views
    return F.interpolate(views, (size, size), mode="bilinear", antialias=True, align_corners=False)


def mixed(
    views: Tensor, points: list[Tensor | None], others: Tensor, other_points: list[Tensor | None], rectangles: Tensor
) -> tuple[Tensor, list[Tensor | None]]:
    """Views [N, 3, S, S] with a rectangle [N, 4] from `others`, and the centres in view; unchanged if centres are unknown."""
    centres = list(points)
    for row, (ours, theirs) in enumerate(zip(points, other_points, strict=True)):
        if ours is None or theirs is None:
            rectangles[row] = 0
        else:
            centres[row] = paste_points(ours, theirs, rectangles[row])
    return paste(views, others, rectangles), centres


def epoch_order(grades: Tensor, balance: float, generator: torch.Generator) -> Tensor:
    """Indices of one epoch, int64 [N]: a permutation, or draws that give grade g a share ~ n_g^(1 - balance)."""
    if not balance:
        return torch.randperm(len(grades), generator=generator)
    frequency = torch.bincount(grades).double()[grades]
    return torch.multinomial(frequency**-balance, len(grades), replacement=True, generator=generator)
