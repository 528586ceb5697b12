from __future__ import annotations

import numpy as np
import pytest

from acne_edge.evaluation.localisation import localisation, match

NO_BOXES = np.zeros((0, 4))
TWO = np.array([[0.1, 0.1, 0.2, 0.2], [0.6, 0.6, 0.7, 0.7]])
FOUR = [(0.15, 0.15, 0.5), (0.16, 0.16, 0.9), (0.71, 0.65, 0.3), (0.4, 0.4, 0.8)]


def test_a_box_is_hit_once_by_the_surest_that_lies_in_it() -> None:
    assert match(FOUR, TWO, slack=0.0).tolist() == [False, True, False, False]


def test_slack_widens_the_boxes() -> None:
    assert match(FOUR, TWO, slack=0.02).tolist() == [False, True, True, False]


def test_of_several_boxes_the_one_whose_middle_is_nearest_is_taken() -> None:
    nested = np.array([[0.0, 0.0, 1.0, 1.0], [0.15, 0.1, 0.25, 0.2]])
    assert match([(0.2, 0.15, 0.9), (0.2, 0.16, 0.8), (0.2, 0.17, 0.7)], nested, 0.0).tolist() == [True, True, False]


def test_a_point_is_hit_within_the_slack() -> None:
    assert match([(0.52, 0.5, 1.0)], np.array([[0.5, 0.5, 0.5, 0.5]]), slack=0.03).all()
    assert not match([(0.54, 0.5, 1.0)], np.array([[0.5, 0.5, 0.5, 0.5]]), slack=0.03).any()


def test_without_a_box_nothing_is_hit_and_without_a_position_nothing_hits() -> None:
    assert not match(FOUR, NO_BOXES, 0.1).any()
    assert match([], TWO, 0.1).shape == (0,)


def test_perfect_positions_and_useless_ones() -> None:
    perfect = localisation([[(0.15, 0.15, 0.9), (0.65, 0.65, 0.8)]], [TWO], 0.0)
    assert (perfect["average_precision"], perfect["f1"], perfect["precision"], perfect["recall"]) == (1, 1, 1, 1)
    assert (perfect["photographs"], perfect["lesions"], perfect["positions"], perfect["threshold"]) == (1, 2, 2, 0.8)
    useless = localisation([[(0.9, 0.15, 0.9), (0.65, 0.1, 0.8)]], [TWO], 0.0)
    assert (useless["average_precision"], useless["f1"]) == (0, 0)


def test_average_precision_is_the_area_under_the_raised_precision() -> None:
    """Right, wrong, right, of three lesions: precision 1, 1/2, 2/3 at recall 1/3, 1/3, 2/3; raised 1, 2/3, 2/3."""
    boxes = np.concatenate([TWO, [[0.8, 0.1, 0.9, 0.2]]])
    found = localisation([[(0.15, 0.15, 0.9), (0.4, 0.4, 0.8), (0.65, 0.65, 0.7)]], [boxes], 0.0)
    assert found["average_precision"] == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 3)
    assert (found["f1"], found["threshold"]) == (pytest.approx(2 / 3), 0.7)


def test_photographs_are_ranked_together() -> None:
    """The sure and wrong position of the second photograph stands before the right one of the first."""
    found = localisation([[(0.15, 0.15, 0.4)], [(0.4, 0.4, 0.9)]], [TWO[:1], NO_BOXES], 0.0)
    assert found["average_precision"] == 0.5


def test_at_a_given_threshold_what_lies_under_it_does_not_count() -> None:
    found = localisation([FOUR], [TWO], 0.02, threshold=0.5)
    assert (found["positions"], found["precision"], found["recall"]) == (3, pytest.approx(1 / 3), 0.5)
    assert found["threshold"] == 0.5


def test_what_cannot_be_measured_is_nan() -> None:
    nothing = localisation([[]], [TWO], 0.0)
    assert (nothing["average_precision"], nothing["f1"], nothing["recall"]) == (0, 0, 0)
    assert np.isnan(nothing["precision"])
    clear = localisation([FOUR], [NO_BOXES], 0.0, threshold=0.5)
    assert np.isnan(clear["average_precision"])
    assert clear["precision"] == 0
