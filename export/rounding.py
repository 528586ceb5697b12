"""Weights rounded so that the errors of those that are read together cancel, instead of each to its nearest integer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from calibration.ranges import layers, observed
from export.quantize import Recipe, candidates, channel_axis, channel_scale

BATCH = 8
ROWS = 1024  # of a layer's input that are looked at, of each batch
DAMPING = 0.01  # of the mean variance, added to every input's


def covariances(graph: onnx.ModelProto, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    """By layer that a recipe may quantise, the covariance [K, K] of the K inputs that one output is a weighted sum of.

    Args:
        graph: the float graph.
        images: uint8 [N, S, S, 3], RGB.
    """
    wanted = set(candidates(graph))
    nodes = [node for node in layers(graph) if node.name in wanted]
    names = list(dict.fromkeys(node.input[0] for node in nodes))
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.graph.initializer}
    session = observed(graph, names)
    sums: dict[str, tuple[torch.Tensor, torch.Tensor, int]] = {}
    for start in range(0, len(images), BATCH):
        values = dict(zip(names, session.run(names, {"image": images[start : start + BATCH]}), strict=True))
        for node in nodes:
            rows = _rows(node, torch.from_numpy(values[node.input[0]]), shapes[node.input[1]])
            rows = rows[:: max(1, len(rows) // ROWS) | 1]  # an odd step: see `calibration.ranges.collect`
            first, second, number = sums.get(node.name, (torch.zeros(1), torch.zeros(1), 0))
            sums[node.name] = (first + rows.sum(0).double(), second + (rows.T @ rows).double(), number + len(rows))
    found = {}
    for name, (first, second, number) in sums.items():
        mean = first / number
        found[name] = (second / number - torch.outer(mean, mean)).numpy()
    return found


def _rows(node: onnx.NodeProto, value: torch.Tensor, weight: tuple[int, ...]) -> torch.Tensor:
    """A layer's input as [rows, K]: for a convolution, a row is what one place of one image is made of."""
    if node.op_type != "Conv":
        return value.reshape(-1, value.shape[-1])
    given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    pads, strides = given.get("pads", [0] * 4), given.get("strides", [1, 1])
    columns = torch.nn.functional.unfold(value, weight[2:], padding=tuple(pads[:2]), stride=tuple(strides))
    return columns.transpose(1, 2).reshape(-1, columns.shape[1])


def round_weights(
    graph: onnx.ModelProto, recipe: Recipe, covariance: Mapping[str, NDArray[np.float64]]
) -> dict[str, NDArray[np.int8]]:
    """By layer, its weights as integers, in their own shape: what `quantize` takes.

    Only the variance of the error counts here, because the bias takes back its mean.
    """
    constants = {tensor.name: tensor for tensor in graph.graph.initializer}
    found = {}
    for node in layers(graph):
        if node.name not in covariance:
            continue
        weight = numpy_helper.to_array(constants[node.input[1]])
        axis = channel_axis(node)
        scale = channel_scale(weight, axis, recipe)
        rows = np.moveaxis(weight / scale, axis, 0)
        integers = compensated(rows.reshape(len(rows), -1), covariance[node.name], recipe.largest_weight)
        found[node.name] = np.moveaxis(integers.reshape(rows.shape), 0, axis).astype(np.int8)
    return found


def compensated(weights: NDArray[np.floating], covariance: NDArray[np.float64], largest: int) -> NDArray[np.float64]:
    """Round [C, K], in steps, to integers in -largest..largest; each error is made up for by the weights not yet rounded.

    Frantar et al., GPTQ, ICLR 2023, eq. 2-3, in the form of its algorithm 1 with blocks of one. `covariance` [K, K] is that of
    the inputs.
    """
    left = np.array(weights, np.float64)
    variance = np.diag(covariance).mean()
    if not variance > 0:  # inputs that never vary
        return np.rint(left).clip(-largest, largest)
    damped = covariance + np.eye(len(covariance)) * DAMPING * variance
    upper = np.linalg.cholesky(np.linalg.inv(damped)).T
    rounded = np.empty_like(left)
    for k in range(left.shape[1]):
        rounded[:, k] = np.rint(left[:, k]).clip(-largest, largest)
        error = (left[:, k] - rounded[:, k]) / upper[k, k]
        left[:, k + 1 :] -= np.outer(error, upper[k, k + 1 :])
    return rounded
