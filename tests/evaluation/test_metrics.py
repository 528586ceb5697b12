from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acne_edge.evaluation import metrics

sklearn_metrics = pytest.importorskip("sklearn.metrics")

TRUTH = [0, 0, 1, 1, 1, 2, 3, 3]
GUESS = [0, 1, 1, 1, 2, 2, 3, 1]


def test_grade_metrics_of_a_small_case() -> None:
    m = metrics.grade_metrics(TRUTH, GUESS, 4)
    assert m["accuracy"] == 5 / 8
    assert m["confusion"][3] == [0, 1, 0, 1]
    assert m["per_grade"]["precision"] == [1, 0.5, 0.5, 1]
    assert m["per_grade"]["SE"] == pytest.approx([0.5, 2 / 3, 1, 0.5])
    assert m["per_grade"]["SP"] == pytest.approx([1, 3 / 5, 6 / 7, 1])
    assert m["per_grade"]["YI"] == pytest.approx([0.5, 2 / 3 - 2 / 5, 6 / 7, 0.5])


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=12, max_size=60))
def test_agreement_with_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, guess = zip(*(pairs + [(g, g) for g in range(4)]), strict=True)
    m = metrics.grade_metrics(truth, guess, 4)
    assert m["qwk"] == pytest.approx(sklearn_metrics.cohen_kappa_score(truth, guess, weights="quadratic"))
    assert m["balanced_accuracy"] == pytest.approx(sklearn_metrics.balanced_accuracy_score(truth, guess))
    assert m["average"]["precision"] == pytest.approx(sklearn_metrics.precision_score(truth, guess, average="macro"))


def test_a_grade_without_cases_has_no_sensitivity() -> None:
    m = metrics.grade_metrics([0, 1], [0, 1], 4)
    assert np.isnan(m["per_grade"]["SE"][3])
    assert m["average"]["SE"] == 1


def test_count_metrics() -> None:
    assert metrics.count_metrics([1, 2, 3], [1, 4, 7]) == {"mae": 2, "rmse": pytest.approx(np.sqrt(20 / 3)), "bias": 2}
    assert all(np.isnan(value) for value in metrics.count_metrics([], []).values())


def test_agreement_is_that_of_the_example_of_shrout_and_fleiss() -> None:
    ratings = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]  # 1979, table 2
    assert metrics.agreement(ratings) == pytest.approx(0.29, abs=0.005)  # table 4


def test_agreement_falls_with_a_bias_that_no_correlation_would_show() -> None:
    counts = np.arange(20.0)
    assert metrics.agreement(np.stack([counts, counts], 1)) == pytest.approx(1)
    assert metrics.agreement(np.stack([counts, counts + 10], 1)) < 0.5
    assert abs(metrics.agreement(np.random.default_rng(0).normal(size=(2000, 2)))) < 0.1
    assert np.isnan(metrics.agreement([[3, 3]]))
    assert np.isnan(metrics.agreement([[3, 3], [3, 3]]))


def test_limits_of_agreement_are_those_of_the_example_of_bland_and_altman() -> None:
    wright = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]  # l/min, Lancet 1986
    mini = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]
    low, high = metrics.limits_of_agreement(mini, wright)
    assert (low + high) / 2 == pytest.approx(-2.1, abs=0.05)
    assert (high - low) / (2 * 1.96) == pytest.approx(38.8, abs=0.05)
    assert np.isnan(metrics.limits_of_agreement([1], [2])).all()


def test_ece_is_zero_for_honest_and_large_for_boastful_confidence() -> None:
    truth = np.array([0] * 80 + [1] * 20)
    honest = np.tile([0.8, 0.2], (100, 1))
    assert metrics.expected_calibration_error(truth, honest, bins=1) == pytest.approx(0)
    boastful = np.tile([0.99, 0.01], (100, 1))
    assert metrics.expected_calibration_error(truth, boastful, bins=1) == pytest.approx(0.19)


def test_what_chance_makes_of_the_ece_is_the_mean_gap_of_its_bins_and_nothing_where_nothing_is_left_to_chance() -> None:
    def gap(n: int, p: float = 0.8) -> float:
        """Mean absolute deviation of a share of `n`."""
        return sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) * abs(k / n - p) for k in range(n + 1))

    for images in (100, 1000):
        chance = metrics.ece_if_calibrated(np.tile([0.8, 0.2], (images, 1)), bins=10)
        assert chance == pytest.approx(gap(images // 10), rel=0.05)
    assert metrics.ece_if_calibrated(np.tile([1.0, 0.0], (100, 1))) == 0


def test_risk_falls_with_coverage_where_confidence_is_worth_something() -> None:
    curve = metrics.risk_coverage([True, True, False, False], [0.9, 0.8, 0.7, 0.6])
    assert curve["coverage"] == [0.25, 0.5, 0.75, 1.0]
    assert curve["risk"] == pytest.approx([0, 0, 1 / 3, 1 / 2])
    assert curve["aurc"] == pytest.approx((1 / 3 + 1 / 2) / 4)
