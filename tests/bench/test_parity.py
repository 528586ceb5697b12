from __future__ import annotations

import numpy as np
import pytest

from acne_edge.backends.base import Outputs
from acne_edge.bench.parity import adversarial, rows, simulated_runner
from acne_edge.errors import ModelError
from tests.toy_model import SIDE


def test_adversarial_images_fit_the_network() -> None:
    images = adversarial(SIDE)
    assert set(images) == {"black", "white", "noise", "tiny", "huge"}
    assert {(i.shape, i.dtype.name) for i in images.values()} == {((1, SIDE, SIDE, 3), "uint8")}
    assert images["white"].min() == 255
    assert images["black"].max() == 0
    assert np.ptp(images["huge"]) > 200


def test_a_difference_is_judged_by_the_output_it_is_in() -> None:
    a = Outputs(np.zeros((2, 4), np.float32), np.zeros((2, 66), np.float32), np.zeros((2, 4, 4), np.float32))
    b = Outputs(a.grade_probs + 0.5, a.count_probs, a.lesion_map + 0.01)
    found = {row.output: row for row in rows("noise", a, b, {"grade_probs": 0.4, "count_probs": 0, "lesion_map": 0.1})}
    assert {name: row.ok for name, row in found.items()} == {"grade_probs": False, "count_probs": True, "lesion_map": True}
    assert found["grade_probs"].difference == 0.5


def test_outputs_that_are_not_finite_never_pass() -> None:
    a = Outputs(*(np.zeros((1, 1), np.float32) for _ in range(3)))
    b = Outputs(a.grade_probs * np.nan, a.count_probs + np.inf, a.lesion_map)
    assert [row.ok for row in rows("black", a, b, dict.fromkeys(Outputs._fields, 1e9))] == [False, False, True]


def test_a_file_that_is_no_model_cannot_be_simulated() -> None:
    with pytest.raises(ModelError, match="cannot load the model"):
        simulated_runner(b"no model")
