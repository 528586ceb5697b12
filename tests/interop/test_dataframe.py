from __future__ import annotations

import sys

import numpy as np
import pytest

import acne_edge
from acne_edge import AcneGrader, MissingExtraError
from acne_edge.prediction import COLUMNS


def test_a_data_frame_has_a_row_a_result_and_the_columns_of_the_csv(grader: AcneGrader, face: np.ndarray) -> None:
    pytest.importorskip("pandas")
    results = list(grader.predict_many([face, "missing.jpg"]))
    frame = acne_edge.to_dataframe(results)
    assert tuple(frame.columns) == COLUMNS
    assert frame["count"][0] == results[0].to_dict()["count"]
    assert frame["error"].tolist()[1] == "image_not_found"
    assert frame["count"].isna().tolist() == [False, True]
    assert frame["count"].dtype == np.float64
    assert frame["path"].tolist()[1] == "missing.jpg"


def test_a_data_frame_of_nothing_has_the_columns() -> None:
    pytest.importorskip("pandas")
    assert tuple(acne_edge.to_dataframe([]).columns) == COLUMNS


def test_without_pandas_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"acne-edge\[pandas\]"):
        acne_edge.to_dataframe([])
