from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from acne_edge.errors import ModelError, UsageError
from acne_edge.grading import (
    BANDED,
    HAYASHI,
    CountCorrection,
    CountDecoding,
    Familiarity,
    Uncertainty,
    combine_grades,
    count_interval,
    count_scores,
    decode_count,
    describe,
    find_scale,
    interpret,
    median,
    temper,
)

BINS = 66


def distribution(size: int) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.float64, size, elements=st.floats(1e-6, 1)).map(lambda a: a / a.sum())


def peak(count: int, width: float = 3.0) -> np.ndarray:
    p = np.exp(-((np.arange(BINS) - count) ** 2) / (2 * width**2))
    return p / p.sum()


@pytest.mark.parametrize(
    ("scale", "count", "grade"),
    [(HAYASHI, c, g) for c, g in [(0, 0), (5, 0), (5.4, 0), (5.5, 1), (6, 1), (20, 1), (21, 2), (50, 2), (51, 3), (900, 3)]]
    + [(BANDED, c, g) for c, g in [(0, 0), (19, 0), (20, 1), (50, 1), (51, 2), (65, 2), (66, 3)]],
)
def test_a_grade_is_a_band_of_the_count(scale, count: float, grade: int) -> None:
    assert scale.grade(count) == grade


@pytest.mark.parametrize("scale", [HAYASHI, BANDED])
def test_bands_put_every_count_into_one_grade(scale) -> None:
    bands = scale.bands(80)
    np.testing.assert_array_equal(bands.sum(1), 1)
    assert [int(row.argmax()) for row in bands] == [scale.grade(c) for c in range(80)]


def test_scales_are_found_by_name() -> None:
    assert find_scale("hayashi") is HAYASHI
    with pytest.raises(UsageError, match="hayashi, banded"):
        find_scale("pantone")


def test_count_is_read_off_the_distribution_and_the_map() -> None:
    p = peak(12)
    assert decode_count(p, 99.0, CountDecoding("mean", 0.0)) == pytest.approx(12, abs=0.01)
    assert decode_count(p, 99.0, CountDecoding("median", 0.0)) == pytest.approx(12, abs=0.01)
    assert decode_count(p, 20.0, CountDecoding("median", 0.25)) == pytest.approx(14, abs=0.01)
    assert decode_count(p, 20.0, CountDecoding("mean", 1.0)) == 20


def test_a_median_moves_with_the_distribution_and_not_by_whole_lesions() -> None:
    assert median(np.array([0.0, 0.5, 0.5])) == pytest.approx(1.5)
    assert median(np.array([0.0, 0.501, 0.499])) == pytest.approx(1.5, abs=0.01)
    assert median(np.array([0.0, 0.499, 0.501])) == pytest.approx(1.5, abs=0.01)
    assert median(np.array([0.0, 0.25, 0.5, 0.25])) == pytest.approx(2)
    assert median(np.eye(66)[0]) == 0
    assert median(np.eye(66)[65]) == 65


def test_the_grade_head_speaks_on_its_own_scale_only() -> None:
    head, p = np.array([0.0, 0.0, 0.0, 1.0]), peak(30)
    both = CountDecoding(head_weight=0.5)
    assert combine_grades(head, p, HAYASHI, HAYASHI, both)[3] == pytest.approx(0.5, abs=1e-3)
    assert combine_grades(head, p, HAYASHI, BANDED, both)[3] == 0


@given(distribution(4), st.floats(0.2, 5))
def test_temperature_keeps_the_order(p: np.ndarray, t: float) -> None:
    q = temper(p, t)
    assert q.sum() == pytest.approx(1)
    assert q[p.argmax()] == pytest.approx(q.max())
    np.testing.assert_allclose(temper(p, 1.0), p, atol=1e-9)


def test_scores_are_zero_at_the_median_and_one_in_the_tails() -> None:
    scores = count_scores(peak(30))
    assert scores.argmin() == 30
    assert scores[0] == pytest.approx(1)
    assert scores[65] == pytest.approx(1)


@given(distribution(BINS), st.floats(0, 1), st.floats(0, 65))
def test_an_interval_holds_the_count_and_grows_with_the_quantile(p: np.ndarray, quantile: float, count: float) -> None:
    low, high = count_interval(p, count, quantile)
    assert 0 <= low <= count <= high <= BINS
    wider = count_interval(p, count, min(1.0, quantile + 0.2))
    assert wider[0] <= low
    assert wider[1] >= high


def read(grade_probs: np.ndarray, count_probs: np.ndarray, **constants: float | tuple[float, ...]):
    return interpret(
        grade_probs,
        count_probs,
        0.0,
        native=HAYASHI,
        scale=HAYASHI,
        decoding=CountDecoding(),
        uncertainty=Uncertainty(**constants),
    )


def test_interpretation_of_a_clear_case() -> None:
    result = read(np.array([0.0, 0.98, 0.02, 0.0]), peak(12, 1.5), count_quantile=0.9, grade_quantile=0.9)
    assert result.count == pytest.approx(12, abs=0.1)
    assert (result.grade, result.grade_set, result.abstained) == (1, (1,), None)
    assert result.interval[0] in (9, 10)
    assert result.interval[1] in (14, 15)


def test_the_quantiles_of_a_band_hold_from_its_first_lesion_on() -> None:
    def at(count: float):
        one_hot = np.eye(4)[HAYASHI.grade(count)] * 0.4 + 0.15
        return read(one_hot, peak(count, 3), count_quantile=(0.0, 0.5, 0.9, 0.99), grade_quantile=(0.0, 0.3, 0.3, 0.95))

    narrow, wide = at(20.4), at(20.6)
    assert np.diff(narrow.interval) < np.diff(wide.interval)
    assert np.diff(at(3).interval) == 1  # no count is that central, so only those around it
    assert len(at(60).grade_set) > 1
    assert len(at(30).grade_set) == 1


def test_a_doubtful_grade_lists_its_rivals_and_abstains_below_the_threshold() -> None:
    doubt = np.array([0.5, 0.5, 0.0, 0.0])
    result = read(doubt, (peak(4, 1) + peak(8, 1)) / 2, grade_quantile=0.8, abstain_below=0.6)
    assert result.grade_set == (0, 1)
    assert result.abstained == "low_confidence"


def test_what_lies_beyond_the_threshold_is_unfamiliar_whatever_its_grade() -> None:
    def far(unfamiliarity: float | None, threshold: float | None, policy: str = "abstain", **constants: float):
        return interpret(
            np.array([0.0, 0.98, 0.02, 0.0]), peak(12, 1.5), 12.0, native=HAYASHI, scale=HAYASHI, decoding=CountDecoding(),
            uncertainty=Uncertainty(**constants), unfamiliarity=unfamiliarity,
            familiarity=None if threshold is None else Familiarity(threshold), on_unfamiliar=policy,
        )  # fmt: skip

    assert (far(3.0, 2.0).unfamiliarity, far(3.0, 2.0).abstained) == (1.5, "unfamiliar")
    assert (far(2.0, 2.0).unfamiliarity, far(2.0, 2.0).abstained) == (1.0, None)
    assert far(3.0, 2.0, abstain_below=1.0).abstained == "unfamiliar"
    assert (far(3.0, 2.0, policy="warn").unfamiliarity, far(3.0, 2.0, policy="warn").abstained) == (1.5, None)
    assert far(3.0, 2.0, policy="warn", abstain_below=1.0).abstained == "low_confidence"
    assert far(1.0, 2.0, abstain_below=1.0).abstained == "low_confidence"
    assert (far(3.0, None).unfamiliarity, far(3.0, None).abstained) == (None, None)  # a model that does not tell
    for broken in (np.nan, np.inf):
        with pytest.raises(ModelError, match="not finite numbers"):
            far(broken, 2.0)


def test_a_grade_set_is_never_empty() -> None:
    result = read(np.array([0.4, 0.6, 0.0, 0.0]), peak(6), grade_quantile=0.0)
    assert result.grade_set == (result.grade,)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("output", ["grade_probs", "count_probs", "lesions"])
@pytest.mark.parametrize("map_weight", [0.0, 0.5])
def test_outputs_that_are_no_numbers_are_no_result(output: str, broken: float, map_weight: float) -> None:
    values = {"grade_probs": np.full(4, 0.25), "count_probs": peak(12), "lesions": 12.0}
    if output == "lesions":
        values["lesions"] = broken
    else:
        values[output][1] = broken
    with pytest.raises(ModelError, match="not finite numbers"):
        interpret(
            **values,
            native=HAYASHI,
            scale=HAYASHI,
            decoding=CountDecoding(map_weight=map_weight),
            uncertainty=Uncertainty(),
        )


def test_an_absurd_count_is_no_result() -> None:
    with pytest.raises(ModelError, match="not finite numbers"):
        interpret(
            np.full(4, 0.25),
            peak(12),
            1e30,
            native=HAYASHI,
            scale=HAYASHI,
            decoding=CountDecoding(map_weight=0.5),
            uncertainty=Uncertainty(),
        )


@given(distribution(4), distribution(BINS), st.floats(0, 80))
def test_interpretation_is_consistent_for_any_output(g: np.ndarray, c: np.ndarray, lesions: float) -> None:
    result = interpret(
        g, c, lesions, native=HAYASHI, scale=HAYASHI, decoding=CountDecoding(map_weight=0.5), uncertainty=Uncertainty()
    )
    assert result.interval[0] <= result.count <= result.interval[1]
    assert result.grade in result.grade_set
    assert result.grade_probs.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("grade_set", "count", "abstained", "text"),
    [
        ((0, 1), 4.7, None, "mild to moderate"),
        ((1,), 9.0, None, "moderate"),
        ((1, 2, 3), 30.0, None, "moderate to very severe"),
        ((0, 2), 6.0, None, "mild to severe"),
        ((0,), 0.5, None, "mild"),
        ((0,), 0.49, None, "none counted"),
        ((0, 1), 0.2, "low_confidence", "no grade"),
        ((0,), 3.0, "blank", "no grade"),
    ],
)
def test_the_words_say_what_is_possible(grade_set: tuple[int, ...], count: float, abstained: str | None, text: str) -> None:
    assert describe(HAYASHI.labels, grade_set, count, abstained) == text


@given(st.floats(0.3, 3), st.floats(0.5, 2), st.integers(0, 100))
def test_a_corrected_distribution_is_one_and_rises_with_the_factor(factor: float, power: float, seed: int) -> None:
    probs = np.random.default_rng(seed).dirichlet(np.ones(66) * 0.2, 3)
    moved = CountCorrection(factor, power).moved(probs)
    assert moved.shape == probs.shape
    assert (moved >= -1e-12).all()
    np.testing.assert_allclose(moved.sum(1), 1)
    more = CountCorrection(1.1 * factor, power).moved(probs)
    assert (np.cumsum(more, 1) <= np.cumsum(moved, 1) + 1e-9).all()


def test_no_correction_changes_nothing_and_clear_skin_stays_clear() -> None:
    probs = np.random.default_rng(0).dirichlet(np.ones(66), 2)
    np.testing.assert_allclose(CountCorrection().moved(probs), probs, atol=1e-12)
    np.testing.assert_array_equal(CountCorrection(2.0).moved(np.eye(66)[0]), np.eye(66)[0])
    assert CountCorrection(2.0, 1.0)(7) == pytest.approx(14)
    assert CountCorrection(1.5, 2.0)(10) == pytest.approx(15)
