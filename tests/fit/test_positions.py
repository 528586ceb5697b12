from __future__ import annotations

import numpy as np

from acne_edge.fit.positions import fit_positions, measure_positions

BOXES = np.array([[0.2, 0.2, 0.3, 0.3], [0.7, 0.5, 0.8, 0.6]])


def maps(*cells: tuple[int, int, float]) -> np.ndarray:
    """One map of 10 x 10 cells with these of them: row, column, value."""
    lesion_map = np.zeros((1, 10, 10), np.float32)
    for y, x, value in cells:
        lesion_map[0, y, x] = value
    return lesion_map


def test_the_threshold_is_the_one_with_the_best_f1() -> None:
    """Two lesions are seen, and four places that are none, which are less sure."""
    seen = maps((2, 2, 0.61234), (5, 7, 0.41234), *((8, x, 0.3) for x in (0, 2, 4, 9)))
    decoding, worth = fit_positions(seen, [BOXES], "two drawn boxes")
    assert (decoding.threshold, decoding.fitted_on) == (0.412, "two drawn boxes")
    assert (worth["f1"], worth["precision"], worth["recall"], worth["threshold"]) == (1, 1, 1, 0.412)


def test_boxes_are_widened_by_half_a_cell_of_the_map() -> None:
    assert measure_positions(maps((2, 3, 0.9)), [BOXES])["recall"] == 0.5  # the cell's centre is at 0.35
    assert measure_positions(maps((2, 4, 0.9)), [BOXES])["recall"] == 0


def test_a_place_beside_its_box_is_found_but_not_inside() -> None:
    measured = measure_positions(maps((2, 3, 0.9), (5, 7, 0.8)), [BOXES])
    assert (measured["average_precision"], measured["average_precision_inside"]) == (1, 0.25)


def test_photographs_without_boxes_are_passed_over() -> None:
    both = np.concatenate([maps((2, 2, 0.9)), maps((5, 5, 0.9))])
    measured = measure_positions(both, [BOXES, None], threshold=0.5)
    assert (measured["photographs"], measured["precision"], measured["recall"]) == (1, 1, 0.5)
    assert measure_positions(both, [None, None]) == {"photographs": 0}
