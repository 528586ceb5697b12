from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acne_edge.difference import Counted, PairUncertainty, arms, difference

PAIRS = PairUncertainty((0.5, 0.9, 0.99), (0.3, 0.9, 2.0), "drawn pairs")
counts = st.tuples(st.floats(0, 60), st.floats(0, 15), st.floats(0, 15)).map(
    lambda v: Counted(v[0], int(max(0, v[0] - v[1])), int(np.ceil(v[0] + v[2])))
)


def test_arms_are_combined_by_the_root_of_the_squares_each_with_the_end_that_it_meets() -> None:
    down, up = arms(Counted(10, 8, 14), Counted(20, 15, 21))
    assert float(down) == pytest.approx(np.hypot(20 - 15 + 0.5, 14 - 10 + 0.5))
    assert float(up) == pytest.approx(np.hypot(21 - 20 + 0.5, 10 - 8 + 0.5))


def test_the_interval_is_the_arms_times_the_factor() -> None:
    found = difference([Counted(30, 24, 36)], [Counted(6, 3, 9)], 0.9, PAIRS)
    reach = 0.9 * np.hypot(3.5, 6.5)
    assert found[:4] == (-24, 0.9, np.ceil(-24 - reach), np.floor(-24 + reach))
    assert found.fewer is not None
    assert found.fewer > 0.99


@given(counts, counts)
def test_turning_the_visits_round_turns_the_difference_round(a: Counted, b: Counted) -> None:
    there, back = difference([a], [b], 0.9, PAIRS), difference([b], [a], 0.9, PAIRS)
    assert (there.low, there.high) == (-back.high, -back.low)
    assert there.low <= there.change <= there.high
    assert there.fewer is not None
    assert back.fewer is not None
    assert there.fewer + back.fewer == pytest.approx(1)
    assert (there.fewer > 0.5) == (there.change < 0) or there.fewer == pytest.approx(0.5)


def test_without_constants_the_single_intervals_are_combined_and_the_level_is_bonferronis() -> None:
    one = difference([Counted(30, 24, 36)], [Counted(6, 3, 9)], 0.9, None)
    assert one == (-24, 0.8, 3 - 36, 9 - 24, None)
    two = difference([Counted(30, 24, 36)] * 2, [Counted(6, 3, 9)] * 2, 0.9, None)
    assert two == (-48, 0.6, -66, -30, None)


def test_the_arms_of_views_are_added() -> None:
    one = difference([Counted(30, 20, 40)], [Counted(30, 20, 40)], 0.9, PAIRS)
    two = difference([Counted(30, 20, 40)] * 2, [Counted(30, 20, 40)] * 2, 0.9, PAIRS)
    assert two.high == pytest.approx(2 * one.high, abs=2)
    assert two.fewer == one.fewer == 0.5
