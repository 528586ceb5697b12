from __future__ import annotations

import numpy as np
import pytest

from acne_edge.grading import HAYASHI, CountDecoding
from acne_edge.training.uncertainty import (
    HeldOut,
    abstention_threshold,
    conformal_quantile,
    cross_fit,
    fit_decoding,
    fit_uncertainty,
    measure,
)


def simulated(n: int, seed: int, sharpness: float = 1.0) -> HeldOut:
    """Predictions whose count distribution is right at sharpness 1, and too sure of itself above."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform(1, 60, n)
    k = np.arange(66)
    logits = -((k - centre[:, None]) ** 2) / (2 * 4.0**2)
    honest = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    counts = np.array([rng.choice(66, p=p) for p in honest])
    sure = honest**sharpness / (honest**sharpness).sum(1, keepdims=True)
    grades = np.array([HAYASHI.grade(c) for c in counts])
    return HeldOut(sure @ HAYASHI.bands(66), sure, sure @ k, grades, counts)


def test_the_conformal_quantile_is_the_corrected_order_statistic() -> None:
    scores = np.arange(1, 20) / 20
    assert conformal_quantile(scores, 0.9) == pytest.approx(0.9)
    assert conformal_quantile(scores[:5], 0.9) == 1.0


@pytest.mark.parametrize("sharpness", [1.0, 6.0])
def test_coverage_holds_on_new_data_even_for_a_network_that_is_too_sure(sharpness: float) -> None:
    fit, new = simulated(1500, 0, sharpness), simulated(1500, 1, sharpness)
    decoding = CountDecoding()
    result = measure(new, decoding, fit_uncertainty(fit, decoding, 0.9, "simulation"))
    assert result["interval"]["coverage"] == pytest.approx(0.9, abs=0.03)
    assert result["grade_set"]["coverage"] >= 0.87
    assert result["ece"] <= 0.05


def test_temperature_cools_a_boastful_network() -> None:
    decoding = CountDecoding()
    assert fit_uncertainty(simulated(800, 0, 6.0), decoding, 0.9, "").temperature > 1.3


def test_decoding_leans_on_the_better_source() -> None:
    data = simulated(400, 0)
    noisy_map = HeldOut(data.grade_probs, data.count_probs, data.lesions + 40, data.grades, data.counts)
    assert fit_decoding(noisy_map).map_weight == 0
    true_map = HeldOut(data.grade_probs, data.count_probs, data.counts.astype(float), data.grades, data.counts)
    assert fit_decoding(true_map).map_weight == 1


def test_cross_fitting_judges_every_image_once() -> None:
    result = cross_fit(simulated(200, 0), 0.9)
    assert result["grade"]["n"] == 200
    assert result["interval"]["coverage"] == pytest.approx(0.9, abs=0.06)


def test_the_abstention_threshold_is_where_grades_are_mostly_wrong() -> None:
    probs = np.array([[0.3, 0.3, 0.2, 0.2], [0.35, 0.3, 0.2, 0.15], [0.45, 0.25, 0.2, 0.1], [0.9, 0.1, 0, 0]])
    assert abstention_threshold(probs, np.array([3, 3, 0, 0])) == 0.35
    assert abstention_threshold(probs, np.array([0, 0, 0, 0])) == 0
