from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from acne_edge import AcneGrader, Prediction, compare_visits
from acne_edge.errors import ImageDecodeError, UsageError
from acne_edge.followup.change import FEWER, INCOMPARABLE, MORE, SAME
from acne_edge.prediction import Failure
from tests.followup.conftest import PAIRS

Row = Callable[..., dict[str, Any]]


@pytest.mark.parametrize(
    ("after", "verdict"), [((5, 3, 8), FEWER), ((62, 55, 65), MORE), ((28, 22, 34), SAME)], ids=["fewer", "more", "same"]
)
def test_a_change_is_one_only_if_its_interval_does_not_hold_0(row: Row, after: tuple[float, int, int], verdict: str) -> None:
    found = compare_visits([row(30, 24, 36)], [row(*after, path="b.jpg")], pairs=PAIRS)
    change = found.total
    assert change.verdict == found.views[0].verdict == verdict
    assert change.difference is not None
    assert (change.difference.low > 0 or change.difference.high < 0) == (verdict != SAME)
    assert change.percent == pytest.approx(100 * (after[0] - 30) / 30)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"quality": {"reasons": ["blurred"]}}, ("followup", "blurred")),
        ({"abstained": "blank"}, ("followup", "blank")),
        ({"abstained": "unfamiliar"}, ("followup", "unfamiliar")),
        ({"model": {"sha256": "1" * 64}}, ("both", "other_model")),
        ({"scale": "banded"}, ("both", "other_scale")),
        ({"path": "a.jpg"}, ("both", "same_photograph")),
    ],
)
def test_what_cannot_be_compared_has_no_change_and_says_why(row: Row, fields: dict[str, Any], code: tuple[str, str]) -> None:
    found = compare_visits([row(30, 24, 36)], [{**row(5, 3, 8, path="b.jpg"), **fields}], pairs=PAIRS)
    for change in (found.views[0], found.total):
        assert change.verdict == INCOMPARABLE
        assert change.difference is None
        assert change.obstacles == (code,)


def test_a_grade_that_is_not_sure_says_nothing_against_the_count(row: Row) -> None:
    assert (
        compare_visits([row(30, 24, 36)], [row(5, 3, 8, "b.jpg", abstained="low_confidence")], pairs=PAIRS).total.verdict == FEWER
    )


def test_one_view_that_cannot_be_compared_leaves_the_others_and_no_sum(row: Row) -> None:
    failed = Failure("c.jpg", ImageDecodeError("no image"))
    found = compare_visits([row(30, 24, 36), row(9, 5, 12, "b.jpg")], [row(5, 3, 8, "d.jpg"), failed], pairs=PAIRS)
    assert [view.verdict for view in found.views] == [FEWER, INCOMPARABLE]
    assert found.total.verdict == INCOMPARABLE
    assert found.total.counts is None
    assert found.total.obstacles == (("followup", ImageDecodeError.code),)


def test_no_percentage_of_nothing(row: Row) -> None:
    assert compare_visits([row(0.2, 0, 2)], [row(8, 5, 11, "b.jpg")], pairs=PAIRS).total.percent is None


def test_visits_of_different_size_are_refused(row: Row) -> None:
    with pytest.raises(UsageError, match="1 photographs at the first visit and 2 at the second"):
        compare_visits([row(1, 0, 2)], [row(1, 0, 2)] * 2)
    with pytest.raises(UsageError, match="not a result of acne-edge predict"):
        compare_visits([{"path": "a.jpg"}], [row(1, 0, 2)])


def test_predictions_and_their_saved_form_give_the_same(grader: AcneGrader, face: Any) -> None:
    p: Prediction = grader.predict(face)
    before, after = replace(p, path="a.jpg"), replace(p, path="b.jpg")
    assert compare_visits([before], [after], pairs=PAIRS) == compare_visits([before.to_dict()], [after.to_dict()], pairs=PAIRS)
    assert compare_visits([before], [after], pairs=PAIRS).total.verdict == SAME


def test_the_json_form_says_which_rule_made_the_interval(row: Row) -> None:
    rows = [row(30, 24, 36)], [row(5, 3, 8, "b.jpg")]
    assert compare_visits(*rows).to_dict()["interval"] == {"rule": "single intervals combined", "fitted_on": None}
    fitted = compare_visits(*rows, pairs=PAIRS).to_dict()
    assert fitted["interval"] == {"rule": "pairs", "fitted_on": "drawn pairs"}
    assert fitted["total"]["verdict"] == FEWER
    assert fitted["views"][0]["change_interval"]["level"] == 0.9
