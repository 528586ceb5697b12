from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from acne_edge import AcneGrader, Record
from acne_edge.errors import MissingExtraError, UsageError
from acne_edge.records.drift import (
    COUNTS,
    FEW,
    LEAST,
    PICTURES,
    STEADY,
    WINDOW,
    Result,
    check_model,
    compare,
    read_results,
    reference_of,
)
from acne_edge.reference import Reference
from tests.records.conftest import chained, lines

pytest.importorskip("scipy", reason="the extra drift is not installed")
MODEL = ("toy", "0")
MONDAY = datetime(2026, 1, 5, tzinfo=timezone.utc)


def drawn(number: int, seed: int, sharpness: float = 0.8, count: float = 10.0) -> list[dict[str, float]]:
    rng = np.random.default_rng(seed)
    return [
        {"sharpness": float(rng.normal(sharpness, 0.1)), "skin": float(rng.beta(5, 3)), "count": float(rng.gamma(2, count / 2))}
        for _ in range(number)
    ]


def results(rows: Iterable[dict[str, float]], start: datetime | None = None, days: float = 0.0, file: str = "a") -> list[Result]:
    return [
        Result(file, None if start is None else start + timedelta(days=days * i), row, MODEL if row else None)
        for i, row in enumerate(rows)
    ]


REFERENCE = Reference.of(drawn(600, 0), "drawn")


@pytest.mark.parametrize(
    ("change", "verdict", "drifted"),
    [({}, STEADY, ()), ({"sharpness": 0.65}, PICTURES, ("sharpness",)), ({"count": 30.0}, COUNTS, ("count",))],
)
def test_what_has_changed_is_named_within_fifty_photographs(
    change: dict[str, float], verdict: str, drifted: tuple[str, ...]
) -> None:
    found = compare(results(drawn(WINDOW, 1, **change)), REFERENCE)
    assert (found.verdict, found.looks[0].drifted) == (verdict, drifted)
    assert found.alarm == bool(drifted)
    for shift in found.looks[0].shifts:
        assert shift.reference_median == pytest.approx(np.median(REFERENCE.values[shift.measure]))
        assert (shift.distance > 0.3) == shift.drifted


@pytest.mark.slow
def test_a_false_alarm_in_twelve_looks_is_rare() -> None:
    alarms = [compare(results(drawn(240, seed)), REFERENCE, 20).alarm for seed in range(100, 180)]
    assert sum(alarms) <= 0.05 * len(alarms)


def test_small_weeks_are_compared_together_with_the_latest_before_them() -> None:
    rows = drawn(120, 2)
    looks = compare(results(rows, MONDAY, 0.7), REFERENCE).looks
    assert [look.name for look in looks[:3]] == ["2026-W02", "2026-W03", "2026-W04"]
    assert [(look.new, look.photographs) for look in looks[:3]] == [(10, 10), (10, 20), (10, 30)]
    assert [look.verdict for look in looks[:2]] == [FEW, STEADY]
    assert looks[-1].photographs == WINDOW
    later = compare(results([*rows, *drawn(50, 3, sharpness=0.6)], MONDAY, 0.7), REFERENCE).looks
    assert next(look.name for look in later if look.drifted) > later[11].name
    assert later[-1].verdict == PICTURES


def test_looks_are_weeks_of_the_time_or_files_or_parts() -> None:
    rows = drawn(60, 4)
    backwards = results(rows, MONDAY + timedelta(days=90), -1.0)
    weeks = compare(backwards, REFERENCE).looks
    assert {look.new for look in weeks[1:-1]} == {7}
    assert [look.name for look in weeks] == sorted(look.name for look in weeks)
    two = results(rows[:30], file="a") + results(rows[30:], file="b")
    assert [(look.name, look.new) for look in compare(two, REFERENCE).looks] == [("a", 30), ("b", 30)]
    assert [look.name for look in compare(two, REFERENCE, 25).looks] == ["1-25", "26-50", "51-75"]
    with pytest.raises(UsageError, match="only records say when"):
        compare(two, REFERENCE, "week")


def test_one_photograph_of_each_folder_is_enough_where_a_folder_is_a_person() -> None:
    persons = [[row] * 5 for row in drawn(12, 7)]  # whose photographs are all alike
    found = [result._replace(folder=f"{i}") for i, rows in enumerate(persons) for result in results(rows)]
    every, single = (compare(found, REFERENCE, 30, one_a_folder=one).looks for one in (False, True))
    assert [(look.new, look.photographs) for look in every] == [(30, 30), (30, 50)]
    assert [(look.new, look.photographs) for look in single] == [(6, 6), (6, 12)]
    again = [result._replace(file="later") for result in found]
    assert [look.new for look in compare([*found, *again], REFERENCE, one_a_folder=True).looks] == [12, 12]


def test_without_scipy_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    with pytest.raises(MissingExtraError, match=r"acne-edge\[drift\]"):
        compare(results(drawn(30, 5)), REFERENCE)


def test_failures_are_counted_and_not_compared() -> None:
    look = compare(results([*drawn(30, 5), {}, {}]), REFERENCE).looks[0]
    assert (look.new, look.failed, look.photographs) == (30, 2, 30)


def test_a_measure_that_few_photographs_have_is_left_out() -> None:
    rows = drawn(30, 6)
    for row in rows[: 31 - LEAST]:
        del row["count"]
    assert "count" not in {shift.measure for shift in compare(results(rows), REFERENCE).looks[0].shifts}


def test_a_record_gives_times_and_each_photograph_once(grader: AcneGrader, photos: Path, tmp_path: Path) -> None:
    file = tmp_path / "study.jsonl"
    with Record(file) as record:
        predicted = [r for _ in range(2) for r in record.predict_many(grader, photos)]
    found = read_results(file)
    assert len(found) == 4
    assert all(result.at is not None and result.at.tzinfo is not None for result in found)
    good = [result for result in found if result.measures]
    assert len(good) == 3
    told = next(r for r in predicted if r.ok and r.path.endswith("c.jpg"))
    assert good[-1].measures["sharpness"] == told.quality.to_dict()["sharpness"]
    assert good[-1].measures["count"] == round(told.count, 2)
    assert good[-1].model == (grader.model.name, grader.model.version)


def test_saved_results_give_the_same_without_times(grader: AcneGrader, photos: Path, tmp_path: Path) -> None:
    file, record = tmp_path / "saved.jsonl", tmp_path / "study.jsonl"
    with Record(record) as kept:
        rows = [result.to_dict() for result in kept.predict_many(grader, photos)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [(r.at, r.measures, r.model) for r in read_results(file)] == [
        (None, r.measures, r.model) for r in read_results(record)
    ]


def test_what_is_no_result_is_refused_in_one_line(study: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a record or results"):
        read_results(tmp_path / "nowhere.jsonl")
    other = tmp_path / "other.jsonl"
    other.write_text('{"path": "a.jpg", "count": 3}\n')
    with pytest.raises(UsageError, match=r"other\.jsonl: has a result of another form"):
        read_results(other)
    content = lines(study)
    content[1]["at"] = "yesterday"
    chained(study, content)
    with pytest.raises(UsageError, match=r"study\.jsonl: has a result of another form"):
        read_results(study)


def test_results_of_another_model_are_refused() -> None:
    rows = results(drawn(3, 0))
    check_model(rows, MODEL)
    with pytest.raises(UsageError, match="a: made by toy 0, but the reference is of toy 1"):
        check_model(rows, ("toy", "1"))


def test_earlier_results_are_a_reference_if_they_are_enough() -> None:
    assert reference_of(results(drawn(LEAST, 0)), "spring.jsonl").fitted_on == f"{LEAST} photographs of spring.jsonl"
    with pytest.raises(UsageError, match="19 photographs are too few"):
        reference_of(results([*drawn(LEAST - 1, 0), {}]), "spring.jsonl")
