from __future__ import annotations

import json

import numpy as np
import pytest

from acne_edge.evaluation.tables import cell, changes_line, number, strict, to_json


def no_constant(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def test_json_holds_null_where_a_figure_does_not_exist_and_never_nan() -> None:
    values = {"a": float("nan"), "b": [1.5, np.float64("nan"), (2, {"c": float("nan")})], "d": None, "e": "nan", "f": True}
    expected = {"a": None, "b": [1.5, None, [2, {"c": None}]], "d": None, "e": "nan", "f": True}
    assert strict(values) == expected
    assert json.loads(to_json(values), parse_constant=no_constant) == expected
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json({"loss": float("inf")})


def test_cells_have_intervals_and_shares_are_in_percent() -> None:
    figure = {"value": 0.8241, "low": 0.801, "high": 0.845}
    assert cell("accuracy", figure) == "82.4 [80.1, 84.5]"
    assert cell("recall_2", figure) == "82.4 [80.1, 84.5]"
    assert cell("mae", figure) == "0.82 [0.80, 0.84]"
    assert cell("ece", figure) == "0.82", "as in tables that are older than the interval's end"
    assert cell("ece", {"value": 0.03, "low": None, "high": None}) == "0.03"
    assert cell("recall_3", dict.fromkeys(("value", "low", "high"))) == "-"
    assert (number(2.345, 1), number(None)) == ("2.3", "-")


def test_changes_stand_on_one_line_with_their_signs() -> None:
    changes = {
        "accuracy_drop": {"value": -0.0076, "low": -0.0196, "high": 0.0055},
        "grade_flips": {"value": 0.0, "low": 0, "high": 0},
    }
    line = "accuracy_drop -0.0076 [-0.0196, +0.0055]  grade_flips +0.0000 [+0.0000, +0.0000]"
    assert changes_line(changes) == line
