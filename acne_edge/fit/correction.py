"""Fits a monotone correction of counts for another camera or population, on few photographs, with numpy alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acne_edge.fit.outputs import LabelledOutputs
from acne_edge.grading import PIVOT, CountCorrection

# How far from none a correction is expected to lie, in logarithms: a standard deviation of 30 % at the pivot, and of the power.
FACTOR_SPREAD, POWER_SPREAD = 0.3, 0.15
LEAST_NOISE = 0.25  # of the root of a count: that of a Poisson number is 1/4 as a variance
STEPS, ROUNDS = 31, 4  # of the search, which narrows the grid a round


def fit_correction(counts: NDArray[np.float64], truth: NDArray[np.integer], fitted_on: str = "") -> CountCorrection:
    """The likeliest correction of the counts [N] towards the true ones [N], shrunk towards none.

    It minimises the squared errors of the roots of the counts, whose noise is about the same for all counts (Anscombe 1948),
    divided by their variance, plus the penalty of a normal prior on the logarithms of factor and power.
    """
    root, count = np.sqrt(truth.astype(np.float64)), np.maximum(counts, 0.0)
    logs = np.zeros(2)
    for _ in range(2):  # the noise is what the first correction leaves; before it, a shift counts as noise
        noise = max(LEAST_NOISE, float(((_moved(count, logs[0], logs[1]) - root) ** 2).mean()))
        logs = _likeliest(count, root, noise)
    return CountCorrection(round(float(np.exp(logs[0])), 4), round(float(np.exp(logs[1])), 4), fitted_on)


def _moved(count: NDArray[np.float64], factor: Any, power: Any) -> Any:
    """The roots of the corrected counts; factor and power are logarithms, and may be grids [..., 1]."""
    return np.sqrt(PIVOT * np.exp(factor) * (count / PIVOT) ** np.exp(power))


def _likeliest(count: NDArray[np.float64], root: NDArray[np.float64], noise: float) -> NDArray[np.float64]:
    """The logarithms [2] of factor and power with the least loss, by a search on grids that become finer."""
    centre, reach = np.zeros(2), np.array([3 * FACTOR_SPREAD, 3 * POWER_SPREAD])
    for _ in range(ROUNDS):
        factor, power = (np.linspace(c - r, c + r, STEPS) for c, r in zip(centre, reach, strict=True))
        f, p = np.meshgrid(factor, power, indexing="ij")
        misfit = ((_moved(count, f[..., None], p[..., None]) - root) ** 2).sum(-1) / noise
        loss = misfit + (f / FACTOR_SPREAD) ** 2 + (p / POWER_SPREAD) ** 2
        best = np.unravel_index(int(np.argmin(loss)), loss.shape)
        centre, reach = np.array([factor[best[0]], power[best[1]]]), reach * 4 / STEPS
    return centre


def corrected(data: LabelledOutputs, correction: CountCorrection) -> LabelledOutputs:
    """The same photographs after the correction."""
    lesions = np.array([correction(float(value)) for value in data.lesions])
    return replace(data, count_probs=correction.moved(data.count_probs).astype(np.float64), lesions=lesions)
