from __future__ import annotations

import numpy as np
import pytest

from acne_edge.fit.constants import decode_counts
from acne_edge.fit.correction import corrected, fit_correction
from acne_edge.grading import CountCorrection, CountDecoding
from tests.simulation import simulated


def counts(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """True counts, and those of a device that is right on average."""
    rng = np.random.default_rng(seed)
    found = rng.uniform(1, 60, n)
    return np.maximum(0, np.round(found + rng.normal(0, 1 + 0.12 * found))).astype(int), found


def test_a_camera_that_shows_half_the_lesions_is_corrected() -> None:
    truth, found = counts(300)
    correction = fit_correction(found / 2, truth)
    assert correction.factor == pytest.approx(2, rel=0.1)
    assert correction.power == pytest.approx(1, abs=0.1)


def test_a_good_model_is_hardly_changed_and_less_so_by_few_photographs() -> None:
    truth, found = counts(300)
    assert fit_correction(found, truth).factor == pytest.approx(1, abs=0.06)
    few = [abs(np.log(fit_correction(found[:n] / 2, truth[:n]).factor)) for n in (2, 10, 300)]
    assert few == sorted(few), "what few photographs say is shrunk towards no correction"


def test_corrected_outputs_have_corrected_counts_and_the_same_labels() -> None:
    data = simulated(50, 0)
    after = corrected(data, CountCorrection(0.5, 1.0))
    np.testing.assert_allclose(after.count_probs.sum(1), 1)
    np.testing.assert_allclose(after.lesions, data.lesions / 2)
    before = decode_counts(data, CountDecoding())
    np.testing.assert_allclose(decode_counts(after, CountDecoding()), before / 2, atol=0.15)
    assert (after.counts == data.counts).all()
