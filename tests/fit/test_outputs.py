from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from acne_edge.errors import UsageError
from acne_edge.evaluation.labels import Label
from acne_edge.fit.outputs import LabelledOutputs, OutOfFold, first_of_each
from tests.simulation import simulated


def test_outputs_stand_beside_the_labels_and_the_map_is_summed() -> None:
    outputs = {
        "grade_probs": np.full((2, 4), 0.25, np.float32),
        "count_probs": np.full((2, 66), 1 / 66, np.float32),
        "lesion_map": np.full((2, 3, 5), 0.5, np.float32),
    }
    data = LabelledOutputs.of(outputs, [Label("a.jpg", 1, 7), Label("b.jpg", 3, 60)])
    assert data.lesions.tolist() == [7.5, 7.5]
    assert (data.grades.tolist(), data.counts.tolist()) == ([1, 3], [7, 60])
    assert {data.grade_probs.dtype, data.count_probs.dtype, data.lesions.dtype} == {np.dtype(np.float64)}


def test_a_photograph_of_two_folds_is_kept_of_the_first() -> None:
    first, second = simulated(3, 0), simulated(3, 1)
    joined = OutOfFold.join({2: (first, ["a", "b", "c"]), 4: (second, ["d", "b", "e"])}, {"lr": 1.0})
    assert joined.names == ["a", "b", "c", "d", "e"]
    assert joined.folds.tolist() == [2, 2, 2, 4, 4]
    np.testing.assert_array_equal(joined.data.lesions, np.concatenate([first.lesions, second.lesions[[0, 2]]]))
    assert first_of_each(["x", "y", "x", "y", "z"]).tolist() == [0, 1, 4]


def test_a_file_gives_back_what_was_saved_and_refuses_other_settings(tmp_path: Path) -> None:
    data = simulated(5, 0)
    OutOfFold(data, list("abcde"), np.array([1, 1, 2, 2, 2]), {"lr": 0.1}).save(tmp_path / "f.npz")
    again = OutOfFold.load(tmp_path / "f.npz")
    assert (again.names, again.folds.tolist(), again.settings) == (list("abcde"), [1, 1, 2, 2, 2], {"lr": 0.1})
    np.testing.assert_allclose(again.data.count_probs, data.count_probs, rtol=1e-6, atol=1e-30)
    again.check({"lr": 0.1, "epochs": 3})
    assert not again.grouped
    with pytest.raises(UsageError, match=r"its lr is 0\.2, not 0\.1"):
        again.check({"lr": 0.2})


def test_grouped_folds_may_stand_for_a_run_that_held_nothing_out() -> None:
    found = OutOfFold(simulated(2, 0), ["a", "b"], np.array([1, 2]), {"lr": 0.1, "protocol": "grouped"})
    assert found.grouped
    found.check({"lr": 0.1, "protocol": "official"})


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b'{"a": 1}'])
def test_another_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "f.npz").write_bytes(content)
    with pytest.raises(UsageError, match=r"f\.npz: not out-of-fold predictions"):
        OutOfFold.load(tmp_path / "f.npz")
