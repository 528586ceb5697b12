from __future__ import annotations

import numpy as np
import pytest

from acne_edge.evaluation.bootstrap import bootstrap


def test_an_interval_holds_the_value_and_narrows_with_more_images() -> None:
    rng = np.random.default_rng(0)
    right = rng.random(2000) < 0.8

    def width(n: int) -> float:
        f = bootstrap(lambda index: {"accuracy": float(right[:n][index].mean())}, n)["accuracy"]
        assert f["value"] == right[:n].mean()
        assert f["low"] < f["value"] < f["high"]
        return f["high"] - f["low"]

    assert width(50) == pytest.approx(2 * 1.96 * np.sqrt(0.16 / 50), rel=0.25)
    assert width(2000) == pytest.approx(2 * 1.96 * np.sqrt(0.16 / 2000), rel=0.25)


def test_an_interval_holds_the_truth_as_often_as_it_says() -> None:
    inside, trials = 0, 100
    for trial in range(trials):
        errors = np.random.default_rng(trial).normal(2.0, 3.0, 80)
        f = bootstrap(lambda index, e=errors: {"bias": float(e[index].mean())}, 80, repeats=200)["bias"]
        inside += f["low"] <= 2.0 <= f["high"]
    assert 0.88 <= inside / trials <= 0.99


def test_a_figure_without_cases_is_none_and_not_an_error() -> None:
    f = bootstrap(lambda index: {"recall": float("nan")}, 5, repeats=10)["recall"]
    assert f == {"value": None, "low": None, "high": None}


def test_samples_without_the_figure_are_left_out() -> None:
    of_grade = np.array([True] + [False] * 4)  # a third of the samples have none of them
    f = bootstrap(lambda index: {"recall": 1.0 if of_grade[index].any() else float("nan")}, 5, repeats=50)["recall"]
    assert f == {"value": 1.0, "low": 1.0, "high": 1.0}


def test_the_same_photographs_are_drawn_for_every_version() -> None:
    drawn: list[list[np.ndarray]] = [[], []]
    for seen in drawn:
        bootstrap(lambda index, seen=seen: seen.append(index) or {"n": 0.0}, 7, repeats=20)
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert len(drawn[0]) == 21
    assert drawn[0][0].tolist() == list(range(7)), "first all of them"
