from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from acne_edge.evaluation.labels import Label
from acne_edge.evaluation.outcome import (
    REASONS,
    Graded,
    Outcome,
    changes,
    changes_with_intervals,
    figures,
    notes,
    per_grade,
    summary,
    with_intervals,
)
from acne_edge.grading import CountDecoding, Uncertainty
from acne_edge.prediction import CountInterval, Grade, ImageSize, ModelInfo, Prediction
from acne_edge.quality import Quality
from tests.simulation import simulated


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    """What a device makes of a simulated network."""
    data = simulated(120, 0)
    return Outcome.of_outputs(data, data.interpret(CountDecoding(), Uncertainty(grade_quantile=0.8)))


def small() -> Outcome:
    """Four photographs, one a grade, of which the last is given the third."""
    sets = [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0]]
    return Outcome(
        true_grade=np.arange(4),
        true_count=np.array([3, 10, 30, 60]),
        grade=np.array([0, 1, 2, 2]),
        count=np.array([3.0, 12.0, 30.0, 50.0]),
        low=np.array([1, 8, 31, 40]),
        high=np.array([5, 14, 40, 60]),
        grade_probs=np.eye(4),
        grade_set=np.array(sets, bool),
        abstained=np.array([False, False, False, True]),
        head_grade=np.arange(4),
        band_grade=np.zeros(4, int),
    )


def test_each_figure_of_a_case_that_is_counted_by_hand() -> None:
    found = figures(small())
    assert (found["accuracy_head"], found["accuracy_count"], found["accuracy"]) == (1, 0.25, 0.75)
    assert [found[f"recall_{g}"] for g in range(4)] == [1, 1, 1, 0]
    assert (found["balanced_accuracy"], found["qwk"]) == (
        0.75,
        pytest.approx(1 - 1 / (20 * 4 / 16 + 16 * 2 / 16 - 2 / 4), abs=0.1),
    )
    assert (found["mae"], found["rmse"], found["bias"]) == (3, np.sqrt(26), -2)
    assert found["loa_low"] < found["bias"] < found["loa_high"]
    assert 0.9 < found["icc"] < 1
    assert (found["interval_coverage"], found["interval_width"]) == (0.75, 9.75)
    assert (found["grade_set_coverage"], found["grade_set_size"]) == (0.75, 1.25)
    assert found["abstained"] == 0.25


def test_the_tables_average_is_the_mean_over_grades_and_the_errors_are_of_each_grade() -> None:
    rows = per_grade(small())
    assert [row["MAE"] for row in rows] == [0, 2, 0, 10, 3]
    assert [row["SE"] for row in rows] == [1, 1, 1, 0, 0.75]


def test_predictions_of_a_device_give_the_same_figures_as_outputs_but_for_the_heads(outcome: Outcome) -> None:
    labels = [
        Label(f"{i}.jpg", int(g), int(c)) for i, (g, c) in enumerate(zip(outcome.true_grade, outcome.true_count, strict=True))
    ]
    predictions = [
        Prediction(
            count=float(outcome.count[i]),
            count_interval=CountInterval(0.9, int(outcome.low[i]), int(outcome.high[i])),
            grade=Grade(int(outcome.grade[i]), "", ""),
            grade_probs=tuple(outcome.grade_probs[i]),
            grade_set=tuple(np.flatnonzero(outcome.grade_set[i])),
            scale="hayashi",
            quality=Quality(0, 0, 0, 0, 0, 0, 0, ()),
            abstained="low_confidence" if outcome.abstained[i] else None,
            image=ImageSize(0, 0),
            lesions=(),
            model=ModelInfo("", "", "", ""),
            timings={},
        )
        for i in range(len(outcome))
    ]
    again = figures(Outcome.of_predictions(labels, predictions))
    assert again == {name: value for name, value in figures(outcome).items() if name not in ("accuracy_head", "accuracy_count")}


def test_photographs_are_taken_and_joined_with_all_that_is_known_of_them(outcome: Outcome) -> None:
    parts = [outcome.take(np.arange(40)), outcome.take(np.arange(40, 120))]
    joined = Outcome.join(parts)
    for field in fields(Outcome):
        np.testing.assert_array_equal(getattr(joined, field.name), getattr(outcome, field.name))
    assert len(outcome.take(np.array([3, 3, 1]))) == 3
    unknown = Outcome.join([parts[0], replace(parts[1], head_grade=None)])
    assert unknown.head_grade is None
    assert unknown.take(np.arange(5)).head_grade is None


def test_every_figure_has_an_interval_but_those_of_which_samples_say_nothing(outcome: Outcome) -> None:
    found = with_intervals([outcome], repeats=30)
    assert set(found) == {*figures(outcome), "ece", "ece_if_calibrated"}
    for name, figure in found.items():
        if name.startswith("ece"):
            assert (figure["low"], figure["high"]) == (None, None)
        else:
            assert figure["value"] == figures(outcome)[name]
            assert figure["low"] <= figure["high"]
    assert notes({"figures": found}) == {
        f"figures.{name}.{end}": REASONS["ece"] for name in ("ece", "ece_if_calibrated") for end in ("low", "high")
    }


def test_of_several_outcomes_a_figure_is_the_mean(outcome: Outcome) -> None:
    other = replace(outcome, count=outcome.count + 2, grade=np.zeros(len(outcome), int))
    found = with_intervals([outcome, other], repeats=2)
    for name in ("mae", "accuracy", "icc"):
        assert found[name]["value"] == pytest.approx((figures(outcome)[name] + figures(other)[name]) / 2)


def test_the_summary_of_a_manifest_holds_the_same_figures(outcome: Outcome) -> None:
    found, flat = summary(outcome), figures(outcome)
    assert (found["grade"]["n"], found["grade"]["accuracy"], found["count"]["icc"]) == (120, flat["accuracy"], flat["icc"])
    assert found["count"]["limits_of_agreement"] == {"low": flat["loa_low"], "high": flat["loa_high"]}
    assert found["interval"] == {"coverage": flat["interval_coverage"], "width": flat["interval_width"]}
    assert found["ece_if_calibrated"] > 0


def test_a_figure_that_does_not_exist_is_none_and_the_notes_say_why() -> None:
    mild = small().take(np.array([0, 0]))
    report = {**summary(mild), "figures": with_intervals([mild], repeats=5)}
    why = notes(report)
    assert report["grade"]["qwk"] is None
    assert why["grade.qwk"] == "all photographs have one grade and were given that grade"
    assert report["grade"]["per_grade"]["SE"] == [1, None, None, None]
    assert why["grade.per_grade.SE.1"] == "no photograph is of this grade"
    assert why["grade.per_grade.precision.3"] == "no photograph was given this grade"
    assert why["grade.per_grade.SP.0"] == "every photograph is of this grade"
    assert report["count"]["icc"] is report["figures"]["icc"]["value"] is None
    assert "two photographs" in why["figures.icc.low"]
    assert "grade.per_grade.SE.0" not in why
    one = small().take(np.array([0]))
    assert "two photographs" in notes(summary(one))["count.limits_of_agreement.low"]
    assert per_grade(one)[1]["MAE"] is None


def test_every_null_has_a_documented_reason() -> None:
    for index in ([0], [0, 0], [3, 3, 3], [0, 1], [2]):
        part = small().take(np.array(index))
        report = {**summary(part), "figures": with_intervals([part], repeats=5), "rows": per_grade(part)}
        assert set(notes(report).values()) <= set(REASONS.values())


def test_changes_are_for_the_worse_and_paired() -> None:
    before = Graded(np.array([0, 1, 2, 3] * 5), np.array([3, 10, 30, 60] * 5), np.array([0, 1, 2, 2] * 5), np.full(20, 20.0))
    after = replace(before, grade=np.array([1, 1, 2, 3] * 5), count=before.count + 1)
    found = changes(before, after)
    assert (found["accuracy_drop"], found["grade_flips"]) == (0, 0.5)
    assert found["mae_increase"] == pytest.approx(0)
    assert found["qwk_drop"] == -changes(after, before)["qwk_drop"]
    same = changes_with_intervals([(before, before)], repeats=5)
    assert all(set(change.values()) == {0.0} for change in same.values())
    mild = replace(before.take(np.zeros(4, int)))
    assert changes(mild, mild)["qwk_drop"] == 0, "one grade only is full agreement"


def test_a_second_view_of_a_photograph_is_no_second_photograph() -> None:
    rng = np.random.default_rng(0)
    before = Graded(rng.integers(0, 4, 40), rng.integers(0, 60, 40), rng.integers(0, 4, 40), rng.uniform(0, 60, 40))
    after = replace(before, grade=rng.integers(0, 4, 40), count=rng.uniform(0, 60, 40))
    once = changes_with_intervals([(before, after)], repeats=50)
    twice = changes_with_intervals([(Graded.join([before] * 2), Graded.join([after] * 2))], repeats=50, views=2)
    for name, change in once.items():
        assert twice[name] == pytest.approx(change)
