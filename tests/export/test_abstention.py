from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from acne_edge.errors import UsageError
from acne_edge.evaluation.outcome import Outcome
from acne_edge.fit.outputs import OutOfFold
from acne_edge.training.studies import compare
from export.abstention import USED, abstention, curve, scores, table
from tests.simulation import simulated

PHOTOGRAPHS = 20


@pytest.fixture
def outcome() -> Outcome:
    """Twenty photographs, all graded 0; the surer, the narrower the interval. The two least sure are wrong, by 9 lesions."""
    sure = np.linspace(0.55, 0.95, PHOTOGRAPHS)
    wrong = np.arange(PHOTOGRAPHS) < 2
    count = np.where(wrong, 12, 3)
    return Outcome(
        true_grade=wrong.astype(np.int64),
        true_count=count,
        grade=np.zeros(PHOTOGRAPHS, np.int64),
        count=np.full(PHOTOGRAPHS, 3.0),
        low=np.zeros(PHOTOGRAPHS, np.int64),
        high=np.arange(PHOTOGRAPHS)[::-1],
        grade_probs=np.stack([sure, 1 - sure], 1),
        grade_set=np.ones((PHOTOGRAPHS, 2), bool),
        abstained=np.zeros(PHOTOGRAPHS, bool),
    )


def test_the_curve_measures_the_surest_photographs(outcome: Outcome) -> None:
    found = {row["share"]: (row["accuracy"]["value"], row["mae"]["value"]) for row in curve([outcome], repeats=5)}
    assert found[1.0] == pytest.approx((0.9, 0.9))
    assert found[0.95] == pytest.approx((18 / 19, 9 / 19))
    assert found[0.9] == (1, 0)


def test_a_score_that_orders_photographs_alike_gains_nothing_and_one_that_orders_them_otherwise_loses(outcome: Outcome) -> None:
    found = scores([outcome], 0.9, repeats=5)
    assert USED not in found
    assert found["width of the count interval"]["accuracy"] == {"value": 0, "low": 0, "high": 0}
    assert found["entropy of the grades"]["accuracy"]["value"] == 0
    backwards = Outcome(**{**vars(outcome), "high": outcome.high[::-1]})
    worse = scores([backwards], 0.9, repeats=5)["width of the count interval"]
    assert worse["accuracy"]["value"] == pytest.approx(16 / 18 - 1)
    assert worse["mae"]["value"] == pytest.approx(1)


@pytest.mark.slow
def test_the_patch_holds_the_threshold_and_what_it_gains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "DIVISIONS", 1)
    names = [f"{i}.jpg" for i in range(200)]
    OutOfFold(simulated(200, 0), names, np.repeat([1, 2], 100), {}).save(tmp_path / "out_of_fold.npz")
    patch = abstention(tmp_path / "out_of_fold.npz", tmp_path / "patch.json", repeats=20)
    written = json.loads((tmp_path / "patch.json").read_text())
    assert set(written) == {"uncertainty", "metrics"}
    assert written["uncertainty"] == {"abstain_below": patch["uncertainty"]["abstain_below"]}
    found = written["metrics"]["abstention"]
    assert found["split"].startswith("200 photographs, each predicted by one of 2 networks")
    assert 0 <= found["withheld"]["value"] <= 0.03, "thresholds are fitted on other photographs"
    assert found["curve"][0]["accuracy"]["value"] <= found["curve"][-1]["accuracy"]["value"]
    shown = table(patch).splitlines()
    assert shown[0].startswith(f"no grade below a probability of {patch['uncertainty']['abstain_below']:.3f}")
    assert sum(line.startswith("| 99 % |") for line in shown) == 1


def test_a_file_that_holds_no_predictions_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.npz").write_bytes(b"no")
    with pytest.raises(UsageError, match=r"no\.npz: not out-of-fold predictions"):
        abstention(tmp_path / "no.npz", tmp_path / "patch.json")
    assert not (tmp_path / "patch.json").exists()
