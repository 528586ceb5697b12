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


@pytest.mark.parametrize("n", [500, 999, 1200])
def test_the_abstention_threshold_is_the_highest_below_which_no_more_than_the_share_lies(n: int) -> None:
    confidence = np.random.default_rng(0).permutation(np.linspace(0.5, 1, n))
    probs = np.stack([confidence, 1 - confidence], 1)
    threshold = abstention_threshold(probs, 0.01)
    assert 0 < (confidence < threshold).sum() <= n // 100 < (confidence < threshold + 0.002).sum()


def test_a_threshold_from_less_than_five_photographs_would_be_chance() -> None:
    assert abstention_threshold(simulated(499, 0).grade_probs, 0.01) == 0
    assert abstention_threshold(simulated(500, 0).grade_probs, 0.01) > 0


def test_new_photographs_lose_their_grade_about_as_often_as_those_it_was_fitted_on() -> None:
    fit, new = simulated(1500, 0), simulated(1500, 1)
    uncertainty = fit_uncertainty(fit, CountDecoding(), 0.9, "")
    abstained = [r.abstained for r in new.interpret(CountDecoding(), uncertainty)]
    assert 3 <= abstained.count("low_confidence") <= 35
