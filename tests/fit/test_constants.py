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
    mondrian_quantile,
    rescaled_quantile,
)
from acne_edge.fit.outputs import LabelledOutputs
from acne_edge.grading import CountDecoding, Uncertainty, count_scores, temper
from tests.simulation import simulated


def test_the_conformal_quantile_is_the_corrected_order_statistic() -> None:
    scores = np.arange(1, 20) / 20
    assert conformal_quantile(scores, 0.9) == pytest.approx(0.9)
    assert conformal_quantile(scores[:5], 0.9) == 1.0


def test_bands_with_few_photographs_share_a_quantile_with_their_neighbours() -> None:
    def quantiles(*sizes: int) -> float | tuple[float, ...]:
        """Each photograph's score is a tenth of its band and a hundredth of its place in it."""
        bands = np.repeat(np.arange(len(sizes)), sizes)
        scores = np.concatenate([0.1 * band + 0.05 * np.arange(n) / n for band, n in enumerate(sizes)])
        return mondrian_quantile(scores, bands, len(sizes), 0.9)

    apart = quantiles(60, 60, 60, 60)
    assert isinstance(apart, tuple)
    assert apart == pytest.approx([0.045, 0.145, 0.245, 0.345], abs=0.003)
    _, second, third, fourth = quantiles(60, 60, 59, 59)  # type: ignore[misc]
    assert second < third == fourth
    first, second, third, fourth = quantiles(59, 60, 60, 60)  # type: ignore[misc]
    assert first == second < third < fourth
    assert isinstance(quantiles(30, 30, 0, 0), float)
    assert isinstance(quantiles(59, 0, 0, 60), float)
    assert isinstance(quantiles(10, 10, 10, 10), float)


def test_many_lesions_are_covered_as_often_as_few() -> None:
    """The network is sure of low counts and too sure of high ones."""
    fit, new = (
        LabelledOutputs.join([few.take(few.counts <= 20), many.take(many.counts > 20)])
        for few, many in ((simulated(4000, seed, 1.0), simulated(1000, seed + 2, 3.0)) for seed in (0, 1))
    )
    decoding = CountDecoding()
    by_band = fit_uncertainty(fit, decoding, 0.9, "simulation")
    by_one = replace(by_band, count_quantile=conformal_quantile(_scores(fit), 0.9))

    def coverage(uncertainty: Uncertainty, lesions: float) -> float:
        """Of the photographs on which so many are counted, or more."""
        results = [
            (r, true) for r, true in zip(new.interpret(decoding, uncertainty), new.counts, strict=True) if r.count >= lesions
        ]
        return float(np.mean([r.interval[0] <= true <= r.interval[1] for r, true in results]))

    assert coverage(by_one, 0) == pytest.approx(0.9, abs=0.03)
    assert coverage(by_one, 20.5) < 0.84
    assert coverage(by_band, 0) == pytest.approx(0.9, abs=0.03)
    assert coverage(by_band, 20.5) == pytest.approx(0.9, abs=0.04)


def _scores(data: LabelledOutputs) -> np.ndarray:
    return count_scores(data.count_probs)[np.arange(len(data.counts)), np.minimum(data.counts, data.count_probs.shape[1] - 1)]


def test_few_photographs_keep_the_bands_apart_that_many_told() -> None:
    rng = np.random.default_rng(0)
    bands = np.repeat([0, 1], 200)
    earlier = (0.8, 0.96)
    scores = 1 - (1 - np.array(earlier)[bands]) ** rng.exponential(0.5, 400)  # log(1 - score) / log(1 - q), exponential
    low, high = rescaled_quantile(scores, bands, earlier, 0.9)
    power = 0.5 * np.log(10)  # of which 90 % are smaller
    assert (low, high) == pytest.approx((1 - 0.2**power, 1 - 0.04**power), abs=0.03)
    assert (scores <= np.array([low, high])[bands]).mean() == pytest.approx(0.9, abs=0.01)
    assert rescaled_quantile(scores[:5], bands[:5], earlier, 0.9) == (1.0, 1.0)
    told = Uncertainty(count_quantile=(0.5, 0.7, 0.8, 0.9), grade_quantile=0.7)
    refitted = fit_uncertainty(simulated(40, 0), CountDecoding(), 0.9, "", told)
    assert np.diff(refitted.count_quantile).min() >= 0
    assert isinstance(refitted.grade_quantile, float)


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
