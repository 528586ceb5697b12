"""Outputs of a network that the tests simulate, with the labels that follow from them."""

from __future__ import annotations

import numpy as np

from acne_edge.fit.outputs import LabelledOutputs
from acne_edge.grading import HAYASHI


def simulated(n: int, seed: int, sharpness: float = 1.0) -> LabelledOutputs:
    """Predictions whose count distribution is right at sharpness 1, and too sure of itself above."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform(1, 60, n)
    k = np.arange(66)
    logits = -((k - centre[:, None]) ** 2) / (2 * 4.0**2)
    honest = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    counts = np.array([rng.choice(66, p=p) for p in honest])
    sure = honest**sharpness / (honest**sharpness).sum(1, keepdims=True)
    grades = np.array([HAYASHI.grade(c) for c in counts])
    return LabelledOutputs(sure @ HAYASHI.bands(66), sure, sure @ k, grades, counts)
