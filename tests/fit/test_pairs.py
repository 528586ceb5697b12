from __future__ import annotations

import numpy as np
import pytest

from acne_edge.difference import Counted, difference
from acne_edge.fit.pairs import LEVELS, MOST, fit_pairs, pairs_of, scores


def drawn(seed: int, groups: int = 400) -> tuple[np.ndarray, Counted, np.ndarray]:
    """Groups of two photographs with nearly the same truth: (groups, counts with intervals, truth)."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), 2)
    truth = rng.integers(0, 40, groups).repeat(2) + rng.integers(0, 6, 2 * groups)
    noise = 1 + 0.15 * truth
    count = np.maximum(0, truth + rng.normal(0, noise))
    half = 1.645 * (1 + 0.15 * count)
    return group, Counted(count, np.floor(np.maximum(0, count - half)), np.ceil(count + half)), truth


def test_each_group_weighs_the_same_and_a_large_one_gives_few_pairs() -> None:
    pairs = pairs_of(np.array([0] * 30 + [1, 1] + [2] + [3] * 3))
    weight = {g: pairs.weight[pairs.group == g].sum() for g in (0, 1, 3)}
    assert weight == pytest.approx({0: 1, 1: 1, 3: 1})
    assert set(pairs.group) == {0, 1, 3}, "one photograph is no pair"
    assert (pairs.group == 0).sum() == MOST
    assert (pairs.first != pairs.second).all()


def test_intervals_hold_the_difference_of_new_pairs() -> None:
    group, counted, truth = drawn(0)
    pairs = pairs_of(group)
    constants = fit_pairs(scores(counted, truth, pairs), pairs, "drawn")
    group, counted, truth = drawn(1)
    pairs, holds = pairs_of(group), []
    for a, b in zip(pairs.first, pairs.second, strict=True):
        before, after = (Counted(*(np.asarray(part)[i] for part in counted)) for i in (a, b))
        found = difference([before], [after], 0.9, constants)
        holds.append(found.low <= truth[b] - truth[a] <= found.high)
    assert np.mean(holds) == pytest.approx(0.9, abs=0.045)


def test_a_group_of_many_bad_pairs_counts_as_one() -> None:
    pairs = pairs_of(np.concatenate([np.arange(200).repeat(2), np.full(5, 999)]))
    found = np.where(pairs.group == 999, 50.0, 0.5)
    assert fit_pairs(found, pairs, "").factor(0.9) == pytest.approx(0.5, abs=1e-3)


def test_the_quantile_counts_one_group_more_than_there_are() -> None:
    pairs = pairs_of(np.arange(19).repeat(2))
    found = np.arange(1, 20) / 20
    constants = fit_pairs(found, pairs, "")
    assert constants.factor(0.9) == pytest.approx(0.9, abs=1e-3)
    assert constants.scores[-1] == pytest.approx(0.95, abs=1e-3), "more than so few groups can tell"
    assert constants.levels == LEVELS
