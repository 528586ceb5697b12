"""Finds the layers whose INT8 computation changes the outputs most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
from numpy.typing import NDArray

from acne_edge import console
from acne_edge.backends.base import Outputs
from calibration.ranges import Ranges
from export.bias_correction import shifts
from export.parity import Images
from export.quantize import Integers, Recipe, candidates, quantize

TINY = 1e-9  # lower limit of a probability in a logarithm

Run = Callable[[onnx.ModelProto, Images], Outputs]


def layer_effects(
    graph: onnx.ModelProto, ranges: Ranges, recipe: Recipe, images: Images, run: Run, integers: Integers | None = None
) -> dict[str, float]:
    """How much the outputs change if only one layer is INT8, in nats, for each layer, worst first.

    A layer's own error says little, because later layers may magnify or ignore it. Each layer is tested alone, because among many
    bad layers the gain from leaving one in float would not show. The tested layer rounds its input and weights; its output stays
    float.

    Args:
        graph: the float graph.
        ranges: of each tensor in `calibration.ranges.measured`.
        recipe: which kind of INT8 file.
        images: uint8 [N, S, S, 3], RGB.
        run: computes a graph.
        integers: see `quantize`.
    """
    recipe = replace(recipe, chains=False)
    reference, names = run(graph, images), candidates(graph)
    shift = shifts(graph, quantize(graph, ranges, recipe, integers=integers), images)

    def alone(name: str) -> onnx.ModelProto:
        return quantize(graph, ranges, recipe, [other for other in names if other != name], shift, integers)

    one_by_one = console.progress(iter(names), "ranking layers", len(names))
    effects = {name: divergence(reference, run(alone(name), images)) for name in one_by_one}
    return dict(sorted(effects.items(), key=lambda item: -item[1]))


def divergence(reference: Outputs, found: Outputs) -> float:
    """Kullback-Leibler divergence of the grades plus that of the counts, in nats, mean over the images."""
    pairs = ((reference.grade_probs, found.grade_probs), (reference.count_probs, found.count_probs))
    return sum(_kl(p.astype(np.float64), q.astype(np.float64)) for p, q in pairs)


def _kl(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
    return float((p * (np.log(np.maximum(p, TINY)) - np.log(np.maximum(q, TINY)))).sum(1).mean())
