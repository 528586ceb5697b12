from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from acne_edge.framing import Box
from acne_edge.positions import MOST, Lesion, locate, moved

MAPS = arrays.arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.floats(0, 2, width=32))


def map_of(shape: tuple[int, int], cells: dict[tuple[int, int], float]) -> np.ndarray:
    """A map that holds these cells, by row and column, and nothing else."""
    lesion_map = np.zeros(shape, np.float32)
    for place, value in cells.items():
        lesion_map[place] = value
    return lesion_map


def test_a_lesion_stands_at_the_centre_of_mass_of_the_highest_cell_and_its_four_neighbours() -> None:
    (lesion,) = locate(map_of((10, 20), {(4, 8): 0.5, (4, 9): 0.25, (3, 8): 0.125}), 0.3)
    assert lesion.score == 0.875
    assert lesion.x == pytest.approx((8.5 + 0.25 / 0.875) / 20)
    assert lesion.y == pytest.approx((4.5 - 0.125 / 0.875) / 10)


def test_a_cell_at_a_corner_lies_half_a_cell_within_the_frame() -> None:
    assert locate(map_of((4, 8), {(0, 0): 1}), 0.3) == ((0.5 / 8, 0.5 / 4, 1.0),)
    assert locate(map_of((4, 8), {(3, 7): 1}), 0.3) == ((7.5 / 8, 3.5 / 4, 1.0),)


def test_two_lesions_side_by_side_are_two_in_two_places() -> None:
    """A rule that wants a lesion to be higher than all cells around it finds one of them."""
    first, second = locate(map_of((8, 8), {(4, 3): 0.9, (4, 4): 0.8, (4, 5): 0.3}), 0.3)
    assert first == pytest.approx(((3.5 + 0.1) / 8, 4.5 / 8, 1.0))
    assert second == pytest.approx(((4.5 + 0.3) / 8, 4.5 / 8, 1.0))


def test_what_lies_around_a_lesion_is_no_second_one() -> None:
    assert len(locate(map_of((8, 8), {(4, 3): 0.7, (4, 4): 0.3, (3, 3): 0.2}), 0.3)) == 1


def test_a_cell_that_holds_three_lesions_gives_three() -> None:
    assert [round(lesion.score, 3) for lesion in locate(map_of((5, 5), {(2, 2): 2.5}), 0.3)] == [1, 1, 0.5]


def test_what_is_under_the_threshold_is_no_lesion_and_what_reaches_it_is_one() -> None:
    lesion_map = map_of((6, 6), {(1, 1): 0.5, (4, 4): 0.25})
    assert [lesion.score for lesion in locate(lesion_map, 0.25)] == [0.5, 0.25]
    assert [lesion.score for lesion in locate(lesion_map, 0.26)] == [0.5]


def test_the_best_come_first_and_equals_in_row_order() -> None:
    lesions = locate(map_of((9, 9), {(0, 4): 0.5, (4, 0): 0.75, (4, 8): 0.5, (8, 4): 0.5}), 0.3)
    assert [(round(9 * y - 0.5), round(9 * x - 0.5)) for x, y, _ in lesions] == [(4, 0), (0, 4), (4, 8), (8, 4)]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_map_that_is_no_map_holds_nothing(value: float) -> None:
    assert locate(map_of((5, 5), {(1, 1): 1, (3, 3): value}), 0.1) == ()
    assert locate(np.zeros((5, 5), np.float32), 0.0) == ()


def test_a_negative_cell_counts_as_nothing() -> None:
    assert locate(map_of((5, 5), {(2, 2): 0.5, (2, 3): -1}), 0.1) == ((0.5, 0.5, 0.5),)


def test_a_map_of_a_million_lesions_ends() -> None:
    assert len(locate(np.full((4, 4), 1e6, np.float32), 0.3)) == MOST


@settings(max_examples=200)
@given(MAPS, st.floats(0, 1))
def test_lesions_lie_in_the_frame_and_account_for_no_more_than_the_map_holds(lesion_map: np.ndarray, threshold: float) -> None:
    lesions = locate(lesion_map, threshold)
    assert all(0 <= x <= 1 and 0 <= y <= 1 and threshold <= score <= 1 for x, y, score in lesions)
    assert [lesion.score for lesion in lesions] == sorted((lesion.score for lesion in lesions), reverse=True)
    assert sum(lesion.score for lesion in lesions) <= lesion_map.sum(dtype=np.float64) + 1e-6


@settings(max_examples=100)
@given(MAPS, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_only_leaves_lesions_out(lesion_map: np.ndarray, a: float, b: float) -> None:
    few, many = locate(lesion_map, max(a, b)), locate(lesion_map, min(a, b))
    assert few == tuple(lesion for lesion in many if lesion.score >= max(a, b))


def test_what_was_found_in_a_part_is_placed_in_the_whole() -> None:
    (lesion,) = moved([Lesion(0.5, 0.25, 0.75)], Box(100, 40, 300, 80), 400, 100)
    assert lesion == (0.5, 0.5, 0.75)
