"""Rounds weights so that the errors of an output's weights cancel, instead of each to its nearest integer (GPTQ)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from acne_edge import console
from calibration.ranges import layers, observed
from export.quantize import Recipe, candidates, channel_axis, channel_scale

BATCH = 8
ROWS = 1024  # rows of a layer's input that are sampled from each batch
BLOCK = 64  # weights that are rounded before their errors are passed on to later weights, in one product
DAMPING = 0.01  # share of the mean variance that is added to every input's


def covariances(graph: onnx.ModelProto, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    """For each layer that a recipe may quantise, the covariance [K, K] of the K inputs of one output's weighted sum.

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
    starts = range(0, len(images), BATCH)
    for start in console.progress(iter(starts), "measuring covariances of inputs", len(starts)):
        values = dict(zip(names, session.run(names, {"image": images[start : start + BATCH]}), strict=True))
        for node in nodes:
            rows = _rows(node, torch.from_numpy(values[node.input[0]]), shapes[node.input[1]])
            first, second, number = sums.get(node.name, (torch.zeros(1), torch.zeros(1), 0))
            sums[node.name] = (first + rows.sum(0).double(), second + (rows.T @ rows).double(), number + len(rows))
    found = {}
    for name, (first, second, number) in sums.items():
        mean = first / number
        found[name] = (second / number - torch.outer(mean, mean)).numpy()
    return found


def _rows(node: onnx.NodeProto, value: torch.Tensor, weight: tuple[int, ...]) -> torch.Tensor:
    """A regular sample of a layer's input, [rows, K]: for a convolution, a row is the input patch of one output position."""
    if node.op_type == "Conv":
        given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        pads, strides = given.get("pads", [0] * 4), given.get("strides", [1, 1])
        columns = torch.nn.functional.unfold(value, weight[2:], padding=tuple(pads[:2]), stride=tuple(strides)).transpose(1, 2)
    else:
        columns = value.reshape(1, -1, value.shape[-1])
    images, places, _ = columns.shape
    sample = torch.arange(0, images * places, max(1, images * places // ROWS) | 1)  # odd: see `calibration.ranges.collect`
    return columns[sample // places, sample % places]


def round_weights(
    graph: onnx.ModelProto, recipe: Recipe, covariance: Mapping[str, NDArray[np.float64]]
) -> dict[str, NDArray[np.int8]]:
    """Each layer's weights as integers, in their own shape, for `quantize`.

    Only the error's variance is minimised here, because the bias corrects its mean.
    """
    constants = {tensor.name: tensor for tensor in graph.graph.initializer}
    found = {}
    nodes = [node for node in layers(graph) if node.name in covariance]
    for node in console.progress(iter(nodes), "rounding weights", len(nodes)):
        weight = numpy_helper.to_array(constants[node.input[1]])
        axis = channel_axis(node)
        scale = channel_scale(weight, axis, recipe)
        rows = np.moveaxis(weight / scale, axis, 0)
        integers = compensated(rows.reshape(len(rows), -1), covariance[node.name], recipe.largest_weight)
        found[node.name] = np.moveaxis(integers.reshape(rows.shape), 0, axis).astype(np.int8)
    return found


def compensated(weights: NDArray[np.floating], covariance: NDArray[np.float64], largest: int) -> NDArray[np.float64]:
    """Round [C, K], in units of steps, to integers in -largest..largest; weights not yet rounded compensate each error.

    Frantar et al., GPTQ, ICLR 2023, eq. 2-3 and algorithm 1. `covariance` [K, K] is the inputs'.
    """
    variance = np.diag(covariance).mean()
    if not variance > 0:  # inputs that never vary
        return np.rint(weights).clip(-largest, largest)
    upper = _inverse_factor(covariance + np.eye(len(covariance)) * DAMPING * variance)
    left = np.array(weights.T, np.float64, order="C")  # [K, C]
    rounded = np.empty_like(left)
    for start in range(0, len(left), BLOCK):
        block = slice(start, min(start + BLOCK, len(left)))
        errors = np.empty_like(left[block])
        for k in range(block.start, block.stop):
            rounded[k] = np.rint(left[k]).clip(-largest, largest)
            errors[k - start] = (left[k] - rounded[k]) / upper[k, k]
            left[k + 1 : block.stop] -= np.outer(upper[k, k + 1 : block.stop], errors[k - start])
        left[block.stop :] -= upper[block, block.stop :].T @ errors
    return rounded.T


def _inverse_factor(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The upper triangular U of a positive definite matrix A [K, K] for which U' U is the inverse of A.

    With A = R R', R upper triangular, U is the inverse of R. R is the Cholesky factor of A with both axes reversed, reversed
    back.
    """
    lower = torch.linalg.cholesky(torch.from_numpy(matrix).flip(0, 1))
    identity = torch.eye(len(matrix), dtype=torch.float64)
    return torch.linalg.solve_triangular(lower.flip(0, 1), identity, upper=True).numpy()  # type: ignore[no-any-return]
