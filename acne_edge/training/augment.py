"""Draws random views of a batch and recounts their lesions exactly: a lesion outside the view is not in its label."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random views. All are drawn uniformly and independently for each image."""

    rotation: float = 20.0  # degrees, either way
    scale: float = 0.1  # relative, either way
    shift: float = 0.05  # of the frame, either way
    aspect: float = 0.1  # relative, either way: devices stretch frames of any shape to a square
    flip: bool = True  # left-right
    zoom: float = 0.0  # share of images that are cropped to 35..80 % of the side instead
    mix: float = 0.0  # share of views with a rectangle from another view
    turn: float = 0.0  # share of views that are turned by 90, 180 or 270 degrees in the end
    degrade: float = 0.0  # share of views that are spoilt
    colour: float = 0.15  # brightness and contrast, relative; a third of that per channel

    def matrices(self, n: int, generator: torch.Generator) -> Tensor:
        """Random affine maps float32 [n, 2, 3] from view to frame coordinates, both in -1..1 (as F.affine_grid wants them)."""

        def uniform(low: float, high: float, *shape: int) -> Tensor:
            return torch.empty(n, *shape).uniform_(low, high, generator=generator)

        angle = uniform(-self.rotation, self.rotation) * math.pi / 180
        zoomed = uniform(0, 1) < self.zoom
        crop = uniform(0.35, 0.8)
        side = torch.where(zoomed, crop, 1 + uniform(-self.scale, self.scale))
        inside = (1 - crop)[:, None] * uniform(-1, 1, 2)
        shift = torch.where(zoomed[:, None], inside, 2 * uniform(-self.shift, self.shift, 2))
        stretch = torch.exp(uniform(-self.aspect, self.aspect) / 2)
        mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0) if self.flip else torch.ones(n)
        cos, sin = torch.cos(angle), torch.sin(angle)
        row_x = torch.stack([cos * side * stretch * mirror, -sin * side / stretch, shift[:, 0]], 1)
        row_y = torch.stack([sin * side * stretch * mirror, cos * side / stretch, shift[:, 1]], 1)
        return torch.stack([row_x, row_y], 1)

    def rectangles(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """For each view another one, int64 [n], and the rectangle taken from it, float32 [n, 4]: (x0, y0, x1, y1) in 0..1.

        The rectangle covers 10..60 % of the view; in views that are not mixed it is empty. CutMix (Yun et al., ICCV 2019)
        weights two labels by area; here the lesions are recounted.
        """

        def uniform(low: float, high: float) -> Tensor:
            return torch.empty(n).uniform_(low, high, generator=generator)

        other = torch.randperm(n, generator=generator)
        area, stretch = uniform(0.1, 0.6), torch.exp(uniform(-0.4, 0.4))
        side = torch.stack([area.sqrt() * stretch, area.sqrt() / stretch], 1).clamp(max=1)
        start = torch.stack([uniform(0, 1), uniform(0, 1)], 1) * (1 - side)
        mixed = uniform(0, 1) < self.mix
        return other, torch.cat([start, start + side], 1) * mixed[:, None]

    def quarters(self, n: int, generator: torch.Generator) -> Tensor:
        """By how many quarters each view is turned, int64 [n]; 0 leaves one unchanged."""
        turned = torch.rand(n, generator=generator) < self.turn
        return torch.randint(1, 4, (n,), generator=generator) * turned

    def colours(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Random gain and offset, float32 [n, 3, 1, 1] each, of normalised images: brightness, contrast and channel gain."""
        c = self.colour

        def uniform(channels: int, width: float) -> Tensor:
            return torch.empty(n, channels, 1, 1).uniform_(-width, width, generator=generator)

        gain = (1 + uniform(1, c)) * (1 + uniform(3, c / 3))
        return gain, uniform(1, 2 * c) + uniform(3, 2 * c / 3)


def warp(images: Tensor, matrices: Tensor, size: int) -> Tensor:
    """Sample views [N, 3, size, size] from images [N, 3, H, W]; pixels outside the frame are 0, the mean colour."""
    grid = F.affine_grid(matrices, [images.shape[0], 3, size, size], align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def warp_points(points: Tensor, matrix: Tensor) -> Tensor:
    """Map points [n, 2] in 0..1 of the frame into 0..1 of the view given by `matrix` [2, 3]; those outside are dropped."""
    inside = (points * 2 - 1 - matrix[:, 2]) @ torch.linalg.inv(matrix[:, :2]).T
    inside = (inside + 1) / 2
    return inside[((inside >= 0) & (inside < 1)).all(1)]


def turn(views: Tensor, points: Sequence[Tensor | None], quarters: Tensor) -> tuple[Tensor, list[Tensor | None]]:
    """Views [N, 3, S, S] and their points [n, 2] in 0..1, turned counterclockwise by `quarters` [N] of a circle."""
    turned, moved = views.clone(), list(points)
    for row, number in enumerate(quarters.tolist()):
        turned[row] = torch.rot90(views[row], number, (1, 2))
        for _ in range(number):
            p = moved[row]
            moved[row] = None if p is None else torch.stack([p[:, 1], 1 - p[:, 0]], 1)
    return turned, moved


def paste(views: Tensor, others: Tensor, rectangles: Tensor) -> Tensor:
    """Views [N, 3, S, S] with the rectangle [N, 4] (x0, y0, x1, y1 in 0..1) of each from others [N, 3, S, S].

    A pixel is taken if its centre lies inside.
    """
    centre = (torch.arange(views.shape[-1], device=views.device) + 0.5) / views.shape[-1]
    x0, y0, x1, y1 = rectangles.to(views.device)[:, :, None].unbind(1)
    columns, rows = (centre >= x0) & (centre < x1), (centre >= y0) & (centre < y1)
    return torch.where((rows[:, :, None] & columns[:, None, :])[:, None], others, views)


def paste_points(points: Tensor, others: Tensor, rectangle: Tensor) -> Tensor:
    """The points [n, 2] outside the rectangle [4] and those of others [m, 2] inside it, all in 0..1."""

    def inside(p: Tensor) -> Tensor:
        return ((p >= rectangle[:2]) & (p < rectangle[2:])).all(1)

    return torch.cat([points[~inside(points)], others[inside(others)]])


def rasterize(points: Sequence[Tensor], height: int, width: int) -> Tensor:
    """Lesions per cell, float32 [N, height, width], from one tensor [n, 2] of centres in 0..1 (x, y) for each image."""
    maps = torch.zeros(len(points), height, width)
    for target, p in zip(maps, points, strict=True):
        index = (p * torch.tensor([width, height])).long().clamp(min=0)
        cells = index[:, 1].clamp(max=height - 1) * width + index[:, 0].clamp(max=width - 1)
        target.view(-1).index_add_(0, cells, torch.ones(len(p)))
    return maps
