from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from acne_edge.evaluation.outcome import figures
from acne_edge.fit.outputs import LabelledOutputs
from acne_edge.training.calibrate import Postprocessing, calibrated, cross_fits, cross_fitted, fit_calibration
from acne_edge.training.model import OutputCalibration
from tests.simulation import simulated


def test_calibration_undoes_a_grade_heads_wrong_idea_of_how_common_the_grades_are() -> None:
    fit, new = simulated(1500, 0), simulated(1500, 1)
    prior = np.array([40.0, 8, 1, 1])

    def tilted(data: LabelledOutputs) -> LabelledOutputs:
        probs = data.grade_probs * prior
        return replace(data, grade_probs=probs / probs.sum(1, keepdims=True))

    def accuracy(data: LabelledOutputs) -> float:
        return float((data.grade_probs.argmax(1) == data.grades).mean())

    calibration = fit_calibration(tilted(fit))
    assert accuracy(tilted(new)) < accuracy(new) - 0.03
    assert accuracy(calibrated(tilted(new), calibration)) == pytest.approx(accuracy(new), abs=0.01)
    np.testing.assert_allclose(calibrated(new, calibration).grade_probs.sum(1), 1, rtol=1e-5)


def test_calibration_undoes_counts_that_are_too_low_and_too_vague() -> None:
    fit, new = simulated(1500, 0), simulated(1500, 1)

    def spoiled(data: LabelledOutputs) -> LabelledOutputs:
        probs = np.sqrt(data.count_probs) * np.exp(-np.arange(66) / 6)
        return replace(data, count_probs=probs / probs.sum(1, keepdims=True), lesions=0.5 * data.lesions)

    def error(data: LabelledOutputs) -> float:
        return float(np.abs(data.count_probs @ np.arange(66) - data.counts).mean())

    assert error(spoiled(new)) > error(new) + 1
    assert error(calibrated(spoiled(new), fit_calibration(spoiled(fit)))) == pytest.approx(error(new), abs=0.15)


def test_calibration_does_not_blow_up_what_hardly_differs_between_images() -> None:
    data = simulated(300, 0)
    rng = np.random.default_rng(2)
    same = replace(data, lesions=10 + 1e-4 * rng.standard_normal(300))
    same = replace(same, grade_probs=np.full((300, 4), 0.25) + 1e-5 * rng.standard_normal((300, 4)))
    rounded = replace(same, grade_probs=same.grade_probs + 1e-7, lesions=same.lesions * (1 + 1e-7))
    calibration = fit_calibration(same)
    for name in ("grade_probs", "count_probs"):
        before, after = (getattr(calibrated(d, calibration), name) for d in (same, rounded))
        np.testing.assert_allclose(after, before, atol=1e-5)


def test_a_calibration_survives_json_and_starts_as_none_at_all() -> None:
    data = simulated(300, 0)
    calibration = fit_calibration(data)
    again = OutputCalibration.from_dict(json.loads(json.dumps(calibration.to_dict())))
    assert again is not None
    np.testing.assert_array_equal(calibrated(data, again).grade_probs, calibrated(data, calibration).grade_probs)
    untouched = calibrated(data, OutputCalibration(4, 66))
    np.testing.assert_allclose(untouched.grade_probs, data.grade_probs, atol=1e-3)
    np.testing.assert_allclose(untouched.count_probs, data.count_probs, atol=1e-3)
    assert OutputCalibration.from_dict(None) is None


def test_grades_are_left_as_they_are_where_one_was_never_seen() -> None:
    data = simulated(300, 0)
    few = data.take(np.flatnonzero(data.grades > 0))
    np.testing.assert_allclose(calibrated(few, fit_calibration(few)).grade_probs, few.grade_probs, atol=1e-3)


Fits = list[tuple[np.ndarray, Postprocessing]]


@pytest.fixture(scope="module")
def data() -> LabelledOutputs:
    return simulated(150, 0)


@pytest.fixture(scope="module")
def fits(data: LabelledOutputs) -> Fits:
    return list(cross_fits(data))


@pytest.fixture
def _fitted_once(fits: Fits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acne_edge.training.calibrate.cross_fits", lambda *_: iter(fits))


def test_each_image_is_judged_once_and_all_grades_are_in_each_fold(data: LabelledOutputs, fits: Fits) -> None:
    assert sorted(np.concatenate([test for test, _ in fits])) == list(range(150))
    assert all(len(set(data.grades[test])) == 4 for test, _ in fits)
    np.testing.assert_array_equal(fits[0][0], next(cross_fits(data))[0])
    assert not np.array_equal(fits[0][0], next(cross_fits(data, seed=1))[0])


@pytest.mark.usefixtures("_fitted_once")
def test_cross_fitting_gives_the_images_in_their_order_each_by_constants_of_others(data: LabelledOutputs, fits: Fits) -> None:
    outcome = cross_fitted(data)
    np.testing.assert_array_equal(outcome.true_count, data.counts)
    assert figures(outcome)["interval_coverage"] == pytest.approx(0.9, abs=0.07)
    for test, constants in fits:
        np.testing.assert_array_equal(constants.outcome(data.take(test)).count, outcome.count[test])


@pytest.mark.usefixtures("_fitted_once")
def test_another_version_is_judged_by_the_constants_of_the_first(data: LabelledOutputs, fits: Fits) -> None:
    other = replace(data, lesions=data.lesions + 5)
    judged = cross_fitted(data, judged=other)
    for test, constants in fits:
        np.testing.assert_array_equal(constants.outcome(other.take(test)).count, judged.count[test])
    assert not np.array_equal(judged.count, cross_fitted(data).count)
