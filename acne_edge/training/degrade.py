"""Spoils training views as devices and messengers spoil photographs: light, blur, noise, compression.

The effects are those by which robustness is measured (`evaluation.perturbations`), with strengths drawn at random. A view keeps
the label of its lesions, seen or not: a network that has to guess then guesses wide, and does not learn "few".
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from acne_edge.evaluation import perturbations
from acne_edge.training.model import IMAGENET_MEAN, IMAGENET_STD

LIGHT, SHARPNESS, NOISE, COMPRESSION = 0.5, 0.35, 0.35, 0.5  # probabilities of the effects in a view that is spoilt
MEAN, STD = np.array(IMAGENET_MEAN, np.float32), np.array(IMAGENET_STD, np.float32)


def degrade(views: Tensor, share: float, seeds: Tensor) -> Tensor:
    """Normalised views [N, 3, S, S] of which about `share` are spoilt; `seeds`, int64 [N], decide which, and how."""
    spoilt = views.clone()
    for row, seed in enumerate(seeds.tolist()):
        rng = np.random.default_rng(seed)
        if rng.random() < share:
            pixels = views[row].permute(1, 2, 0).cpu().numpy() * STD + MEAN
            image = spoil(Image.fromarray(np.rint(255 * pixels).clip(0, 255).astype(np.uint8)), rng)
            spoilt[row] = torch.from_numpy((np.asarray(image, np.float32) / 255 - MEAN) / STD).permute(2, 0, 1)
    return spoilt


def spoil(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """An RGB image after some effects, at least one, in the order in which a camera and a messenger have them."""
    chosen = rng.random(4) < (LIGHT, SHARPNESS, NOISE, COMPRESSION)
    if not chosen.any():
        chosen[rng.integers(4)] = True
    for apply in np.array([_light, _soften, _noise, _compress])[chosen]:
        image = apply(image, rng)
    return image


def _light(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    image = perturbations.exposure(float(np.exp(rng.uniform(-0.3, 0.3))))(image, rng)
    return perturbations.white_balance(rng.uniform(-0.25, 0.25))(image, rng)


def _soften(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Out of focus, moved, or stored smaller."""
    side = image.width
    match rng.integers(3):
        case 0:
            return perturbations.defocus(rng.uniform(0.001, 0.012))(image, rng)
        case 1:
            return perturbations.motion(rng.uniform(0.004, 0.024))(image, rng)
        case _:
            small = perturbations.scaled(round(side * rng.uniform(0.4, 0.9)))(image, rng)
            return small.resize(image.size, Image.Resampling.BICUBIC)


def _noise(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Noise of a photograph of some 600 pixels, with a standard deviation of up to 25 levels, is less after the resize."""
    return perturbations.noise(rng.uniform(1, 11))(image, rng)


def _compress(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Blocks are of eight pixels in the photograph, not in the network's input, so it is enlarged first."""
    large = image.resize((2 * image.width, 2 * image.height), Image.Resampling.BICUBIC)
    save = perturbations.jpeg(int(rng.integers(25, 90))) if rng.random() < 0.6 else perturbations.webp(int(rng.integers(50, 90)))
    again = save(large, rng)
    return again.resize(image.size, Image.Resampling.BOX)
