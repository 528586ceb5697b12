from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from export.gate import BUDGET, EvaluationSet, granularity, losses, strain
from export.parity import Decoded


def labelled(grades: list[int], counts: list[float], reference: Decoded | None = None) -> EvaluationSet:
    """Black images with these labels; the float model reads the labels, or the `reference`, off them."""
    reference = reference or Decoded(np.array(counts, float), np.array(grades))
    return EvaluationSet(np.zeros((len(grades), 1, 1, 3), np.uint8), np.array(grades), np.array(counts), reference)


def test_losses_are_what_they_say() -> None:
    grades, counts = [0, 1, 2, 3] * 25, [3.0, 12.0, 30.0, 55.0] * 25
    truth = labelled(grades, counts)
    worse = Decoded(np.array(counts) + 0.5, np.array([1, *grades[1:]]))
    lost = losses(worse, truth)
    assert lost["accuracy_drop"]["value"] == pytest.approx(0.01)
    assert lost["grade_flips"]["value"] == pytest.approx(0.01)
    assert lost["mae_increase"]["value"] == pytest.approx(0.5)
    assert 0.003 < lost["qwk_drop"]["value"] < 0.01
    assert {name: loss["budget"] for name, loss in lost.items()} == BUDGET
    assert strain(lost) == pytest.approx(5)


def test_a_better_model_loses_nothing_but_flips() -> None:
    grades, counts = np.array([0, 1, 2, 3] * 25), np.array([3.0, 12.0, 30.0, 55.0] * 25)
    wrong = Decoded(counts + 1.0, np.where(np.arange(100) < 8, 0, grades))
    lost = losses(Decoded(counts, grades), labelled(list(grades), list(counts), wrong))
    assert lost["accuracy_drop"]["value"] == pytest.approx(-0.06)
    assert lost["mae_increase"]["value"] == pytest.approx(-1)
    assert lost["grade_flips"]["value"] == pytest.approx(0.06)
    assert strain(lost) == pytest.approx(3)


@pytest.mark.slow
def test_the_interval_covers_the_loss_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    inside, trials, share = 0, 60, 0.1
    for _ in range(trials):
        grades = rng.integers(0, 4, 120)
        flipped = rng.random(120) < share
        candidate = Decoded(np.zeros(120), np.where(flipped, (grades + 1) % 4, grades))
        flips = losses(candidate, labelled(list(grades), [0.0] * 120), resamples=200)["grade_flips"]
        assert flips["low"] <= flips["value"] <= flips["high"]
        inside += flips["low"] <= share <= flips["high"]
    assert 0.85 <= inside / trials <= 1
    assert flips["high"] - flips["low"] < 0.2


def test_one_grade_only_is_full_agreement() -> None:
    same = Decoded(np.full(10, 3.0), np.zeros(10, np.int64))
    assert losses(same, labelled([0] * 10, [3.0] * 10, same))["qwk_drop"]["value"] == 0


def test_a_small_set_says_what_one_image_is_worth() -> None:
    assert granularity("judge", 167) == "judge: 167 images, one is 0.60 points: at most 0 lost in net, 3 flipped"
    assert granularity("choice", 400) == "choice: 400 images, one is 0.25 points: at most 2 lost in net, 8 flipped"


def test_a_second_view_of_a_photograph_is_no_second_photograph() -> None:
    grades = [0, 1, 2, 3] * 20
    changed = Decoded(np.zeros(160), np.array([1, *grades[1:]] * 2))
    once = losses(Decoded(np.zeros(80), changed.grades[:80]), labelled(grades, [0.0] * 80))
    twice = losses(changed, replace(labelled(grades * 2, [0.0] * 160), views=2))
    assert twice == once


def test_a_loss_of_just_the_budget_is_within_it() -> None:
    grades = [0, 1, 2, 3] * 150
    flipped = Decoded(np.zeros(600), np.array([1, 1, 2, 3, 1, 1, 2, 3, 1, 1, 2, 3, *grades[12:]]))
    assert strain(losses(flipped, labelled(grades, [0.0] * 600))) == 1
