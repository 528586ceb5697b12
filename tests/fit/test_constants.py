from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from acne_edge.evaluation.outcome import Outcome, calibration, figures
from acne_edge.fit.constants import (
    abstention_threshold,
    conformal_quantile,
    decode_counts,
    fit_decoding,
    fit_temperature,
    fit_uncertainty,
)
from acne_edge.grading import CountDecoding, temper
from tests.simulation import simulated


def test_the_conformal_quantile_is_the_corrected_order_statistic() -> None:
    scores = np.arange(1, 20) / 20
    assert conformal_quantile(scores, 0.9) == pytest.approx(0.9)
    assert conformal_quantile(scores[:5], 0.9) == 1.0


@pytest.mark.parametrize("sharpness", [1.0, 2.0])
def test_coverage_holds_on_new_data_even_for_a_network_that_is_too_sure(sharpness: float) -> None:
    fit, new = simulated(1500, 0, sharpness), simulated(1500, 1, sharpness)
    decoding = CountDecoding()
    outcome = Outcome.of_outputs(new, new.interpret(decoding, fit_uncertainty(fit, decoding, 0.9, "simulation")))
    assert figures(outcome)["interval_coverage"] == pytest.approx(0.9, abs=0.03)
    assert figures(outcome)["grade_set_coverage"] >= 0.87
    assert calibration(outcome)["ece"] <= 0.05


def test_temperature_cools_a_boastful_network() -> None:
    boastful = simulated(800, 0, 2.0)
    assert fit_uncertainty(boastful, CountDecoding(), 0.9, "").temperature > 1.1
    honest = simulated(2000, 0)
    temperature = fit_temperature(honest.grade_probs, honest.grades)
    assert temperature == pytest.approx(1, abs=0.2)
    assert fit_temperature(temper(honest.grade_probs, 0.5), honest.grades) == pytest.approx(2 * temperature, rel=0.02)


def test_decoding_leans_on_the_better_source() -> None:
    data = simulated(400, 0)
    assert fit_decoding(replace(data, lesions=data.lesions + 40)).map_weight == 0
    perfect_map = replace(data, lesions=data.counts.astype(float))
    decoding = fit_decoding(perfect_map)
    assert decoding.map_weight == 1
    np.testing.assert_allclose(decode_counts(perfect_map, decoding), data.counts)


def test_the_abstention_threshold_is_where_grades_are_mostly_wrong() -> None:
    probs = np.array([[0.3, 0.3, 0.2, 0.2], [0.35, 0.3, 0.2, 0.15], [0.45, 0.25, 0.2, 0.1], [0.9, 0.1, 0, 0]])
    assert abstention_threshold(probs, np.array([3, 3, 0, 0])) == 0.45
    assert abstention_threshold(probs, np.array([0, 0, 0, 0])) == 0
