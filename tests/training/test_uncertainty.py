from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from acne_edge.grading import HAYASHI, CountDecoding
from acne_edge.training.model import OutputCalibration
from acne_edge.training.uncertainty import (
    LabelledOutputs,
    abstention_threshold,
    conformal_quantile,
    cross_fit,
    fit_calibration,
    fit_decoding,
    fit_uncertainty,
    measure,
)


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


def test_the_conformal_quantile_is_the_corrected_order_statistic() -> None:
    scores = np.arange(1, 20) / 20
    assert conformal_quantile(scores, 0.9) == pytest.approx(0.9)
    assert conformal_quantile(scores[:5], 0.9) == 1.0


@pytest.mark.parametrize("sharpness", [1.0, 2.0])
def test_coverage_holds_on_new_data_even_for_a_network_that_is_too_sure(sharpness: float) -> None:
    fit, new = simulated(1500, 0, sharpness), simulated(1500, 1, sharpness)
    decoding = CountDecoding()
    result = measure(new, decoding, fit_uncertainty(fit, decoding, 0.9, "simulation"))
    assert result["interval"]["coverage"] == pytest.approx(0.9, abs=0.03)
    assert result["grade_set"]["coverage"] >= 0.87
    assert result["ece"] <= 0.05


def test_temperature_cools_a_boastful_network() -> None:
    decoding = CountDecoding()
    assert fit_uncertainty(simulated(800, 0, 2.0), decoding, 0.9, "").temperature > 1.1


def test_decoding_leans_on_the_better_source() -> None:
    data = simulated(400, 0)
    noisy_map = LabelledOutputs(data.grade_probs, data.count_probs, data.lesions + 40, data.grades, data.counts)
    assert fit_decoding(noisy_map).map_weight == 0
    true_map = LabelledOutputs(data.grade_probs, data.count_probs, data.counts.astype(float), data.grades, data.counts)
    assert fit_decoding(true_map).map_weight == 1


def test_calibration_undoes_a_grade_heads_wrong_idea_of_how_common_the_grades_are() -> None:
    fit, new = simulated(1500, 0), simulated(1500, 1)
    prior = np.array([40.0, 8, 1, 1])

    def tilted(data: LabelledOutputs) -> LabelledOutputs:
        probs = data.grade_probs * prior
        return replace(data, grade_probs=probs / probs.sum(1, keepdims=True))

    def accuracy(data: LabelledOutputs) -> float:
        return float((data.grade_probs.argmax(1) == data.grades).mean())

    calibration = fit_calibration(tilted(fit))
    assert accuracy(tilted(new)) < accuracy(new) - 0.03
    assert accuracy(tilted(new).calibrated(calibration)) == pytest.approx(accuracy(new), abs=0.01)
    np.testing.assert_allclose(new.calibrated(calibration).grade_probs.sum(1), 1, rtol=1e-5)


def test_calibration_undoes_counts_that_are_too_low_and_too_vague() -> None:
    fit, new = simulated(1500, 0), simulated(1500, 1)

    def spoiled(data: LabelledOutputs) -> LabelledOutputs:
        probs = np.sqrt(data.count_probs) * np.exp(-np.arange(66) / 6)
        return replace(data, count_probs=probs / probs.sum(1, keepdims=True), lesions=0.5 * data.lesions)

    def error(data: LabelledOutputs) -> float:
        return float(np.abs(data.count_probs @ np.arange(66) - data.counts).mean())

    assert error(spoiled(new)) > error(new) + 1
    assert error(spoiled(new).calibrated(fit_calibration(spoiled(fit)))) == pytest.approx(error(new), abs=0.15)


def test_calibration_does_not_blow_up_what_hardly_differs_between_images() -> None:
    data = simulated(300, 0)
    rng = np.random.default_rng(2)
    same = replace(data, lesions=10 + 1e-4 * rng.standard_normal(300))
    same = replace(same, grade_probs=np.full((300, 4), 0.25) + 1e-5 * rng.standard_normal((300, 4)))
    rounded = replace(same, grade_probs=same.grade_probs + 1e-7, lesions=same.lesions * (1 + 1e-7))
    calibration = fit_calibration(same)
    for name in ("grade_probs", "count_probs"):
        before, after = (getattr(d.calibrated(calibration), name) for d in (same, rounded))
        np.testing.assert_allclose(after, before, atol=1e-5)


def test_a_calibration_survives_json_and_starts_as_none_at_all() -> None:
    data = simulated(300, 0)
    calibration = fit_calibration(data)
    again = OutputCalibration.from_dict(json.loads(json.dumps(calibration.to_dict())))
    assert again is not None
    np.testing.assert_array_equal(data.calibrated(again).grade_probs, data.calibrated(calibration).grade_probs)
    untouched = data.calibrated(OutputCalibration(4, 66))
    np.testing.assert_allclose(untouched.grade_probs, data.grade_probs, atol=1e-3)
    np.testing.assert_allclose(untouched.count_probs, data.count_probs, atol=1e-3)
    assert OutputCalibration.from_dict(None) is None


def test_grades_are_left_as_they_are_where_one_was_never_seen() -> None:
    data = simulated(300, 0)
    few = data.take(np.flatnonzero(data.grades > 0))
    np.testing.assert_allclose(few.calibrated(fit_calibration(few)).grade_probs, few.grade_probs, atol=1e-3)


def test_cross_fitting_judges_every_image_once() -> None:
    result = cross_fit(simulated(200, 0), 0.9)
    assert result["grade"]["n"] == 200
    assert result["interval"]["coverage"] == pytest.approx(0.9, abs=0.06)


def test_the_abstention_threshold_is_where_grades_are_mostly_wrong() -> None:
    probs = np.array([[0.3, 0.3, 0.2, 0.2], [0.35, 0.3, 0.2, 0.15], [0.45, 0.25, 0.2, 0.1], [0.9, 0.1, 0, 0]])
    assert abstention_threshold(probs, np.array([3, 3, 0, 0])) == 0.45
    assert abstention_threshold(probs, np.array([0, 0, 0, 0])) == 0
