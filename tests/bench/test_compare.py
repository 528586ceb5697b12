"""Comparing two benchmark reports: when runs are told apart, and what is refused."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acne_edge import UsageError
from acne_edge.bench.compare import FASTER, SAME, SLOWER, UNKNOWN, compare, contrast, read
from acne_edge.bench.table import comparison_table


def report(**contenders: Any) -> dict[str, Any]:
    """A report whose contenders have these milliseconds as totals."""
    return {
        "schema": "1.1",
        "model": {"name": "m", "version": "1.0.0", "sha256": "0" * 64},
        "environment": {"cpu": "a processor", "cores": 2},
        "image": {"sha256": "1" * 64},
        "contenders": [{"name": n, "samples_ms": {"total": list(samples)}} for n, samples in contenders.items()],
    }


def of_c(samples: list[float]) -> dict[str, Any]:
    """The same in the form of the C++ benchmark, which has one contender."""
    values = report()
    del values["contenders"]
    return values | {"samples_ms": {"total": samples}, "environment": values["environment"] | {"threads": 2}}


@pytest.fixture
def compared(tmp_path: Path) -> Any:
    """Compares two reports that are written to files."""

    def both(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
        paths = [tmp_path / "a.json", tmp_path / "b.json"]
        for path, values in zip(paths, (first, second), strict=True):
            path.write_text(json.dumps(values))
        return compare(*map(read, paths))

    return both


def noisy(median: float, n: int = 200, seed: int = 0, likeness: float = 0.0) -> list[float]:
    """Milliseconds that vary by 5 %; each is like the one before by `likeness`, their correlation."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    for i in range(1, n):
        z[i] = likeness * z[i - 1] + np.sqrt(1 - likeness**2) * z[i]
    return list(median * np.exp(0.05 * z))


def test_what_is_faster_by_a_tenth_is_told_apart(compared: Any) -> None:
    for second, verdict in ((9.0, FASTER), (11.0, SLOWER)):
        (pair,) = compared(report(sdk=noisy(10)), report(sdk=noisy(second, seed=1)))["comparisons"]
        assert pair["verdict"] == verdict
        total = pair["stages"]["total"]
        assert total["low"] < second / 10 < total["high"]
        assert total["ratio"] == pytest.approx(total["median_ms"][1] / total["median_ms"][0])


def test_two_runs_of_the_same_are_not(compared: Any) -> None:
    (pair,) = compared(report(sdk=noisy(10)), report(sdk=noisy(10, seed=1)))["comparisons"]
    assert pair["verdict"] == SAME


def test_times_that_resemble_their_neighbours_are_weaker_evidence() -> None:
    """Half of the samples may be one disturbance. In another order, the same ones would be as many independent witnesses."""

    def width(series: list[float]) -> float:
        found = contrast(np.array(series), np.array(noisy(10, seed=1)))
        return float(found["high"] - found["low"])

    series = noisy(10, likeness=0.8)
    shuffled = list(np.random.default_rng(2).permutation(series))
    assert width(series) > 1.3 * width(shuffled)


def test_few_samples_and_spread_are_warned_of(compared: Any) -> None:
    steady = [10.0, 10.1] * 50
    assert compared(report(sdk=steady), report(sdk=steady))["comparisons"][0]["warnings"] == []
    warnings = compared(report(sdk=steady[:-1]), report(sdk=noisy(10)))["comparisons"][0]["warnings"]
    assert [w.split()[:2] for w in warnings] == [["A", "has"], ["B", "varies"]]


@pytest.mark.parametrize("n", [1, 9])
def test_of_a_handful_of_samples_nothing_is_said(compared: Any, n: int) -> None:
    (pair,) = compared(report(sdk=noisy(10, n)), report(sdk=noisy(20)))["comparisons"]
    assert pair["verdict"] == UNKNOWN
    assert pair["stages"]["total"]["low"] is None


def test_a_stage_that_was_not_gone_through_has_no_ratio() -> None:
    assert contrast(np.zeros(20), np.ones(20)) == {"median_ms": [0, 1], "ratio": None, "low": None, "high": None}


def test_contenders_are_paired_by_name_or_the_first_of_each(compared: Any) -> None:
    first = report(one=noisy(10), two=noisy(20))
    pairs = compared(first, report(two=noisy(20), three=noisy(5)))["comparisons"]
    assert [pair["contenders"] for pair in pairs] == [["two", "two"]]
    pairs = compared(first, report(three=noisy(5), four=noisy(5)))["comparisons"]
    assert [pair["contenders"] for pair in pairs] == [["one", "three"]]


def test_the_c_library_is_paired_with_itself(compared: Any) -> None:
    name = "C++ library, 2 threads"
    pairs = compared(report(sdk=noisy(10), **{name: noisy(5)}), of_c(noisy(5)))["comparisons"]
    assert [pair["contenders"] for pair in pairs] == [[name, name]]


def test_another_model_may_be_compared_and_is_told_of(compared: Any) -> None:
    other = report(sdk=noisy(10)) | {"model": {"name": "m", "version": "2.0.0", "sha256": "2" * 64}}
    assert compared(report(sdk=noisy(10)), other)["warnings"] == ["the models differ"]


def test_another_photograph_may_not(compared: Any) -> None:
    with pytest.raises(UsageError, match="different photographs"):
        compared(report(sdk=noisy(10)), report(sdk=noisy(10)) | {"image": {"sha256": "2" * 64}})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({**report(sdk=[1.0]), "schema": "2.0"}, "has schema 2.0"),
        ({"schema": "1.0", "tool": "acne-edge bench", "contenders": []}, "keeps no samples"),
        ({"schema": "1.1", "path": "a.jpg", "count": 3}, "is no JSON report"),
        ({}, "is no JSON report"),
        ([1], "is no JSON report"),
        (report(sdk=[]), "is no JSON report"),
        (report(sdk=[1.0, 0.0]), "is no JSON report"),
        (report(sdk=[1.0, -2.0]), "is no JSON report"),
        (report(sdk=[float("nan")]), "is no JSON report"),
        (report(sdk=[[1.0]]), "is no JSON report"),
        (report(), "is no JSON report"),
    ],
)
def test_what_is_no_report_is_refused_in_one_line(tmp_path: Path, values: Any, said: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps(values))
    with pytest.raises(UsageError, match=said) as refusal:
        read(tmp_path / "a.json")
    assert str(refusal.value).startswith(f"{tmp_path / 'a.json'}: ")
    assert len(str(refusal.value).splitlines()) == 1


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read(tmp_path / "a.json")


KEYS = st.sampled_from(["total", "name", "samples_ms", "sha256"])
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner),
    max_leaves=6,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([*report(sdk=[1.0]), "samples_ms"]), JSON)
def test_whatever_a_file_holds_it_is_read_or_refused(tmp_path: Path, key: str, value: Any) -> None:
    (tmp_path / "a.json").write_text(json.dumps(report(sdk=[1.0]) | {key: value}))
    with suppress(UsageError):
        assert read(tmp_path / "a.json").contenders


def test_the_command_prints_the_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    from acne_edge.cli import main as cli

    for name, median in (("a.json", 10), ("b.json", 11)):
        (tmp_path / name).write_text(json.dumps(report(sdk=noisy(median))))
    arguments = ["acne-edge", "bench", "--compare", str(tmp_path / "a.json"), str(tmp_path / "b.json")]
    monkeypatch.setattr(sys, "argv", [*arguments, "-f", "json"])
    cli.main()
    comparison = json.loads(capsys.readouterr().out)
    assert comparison["comparisons"][0]["verdict"] == SLOWER
    text = comparison_table(comparison)
    assert SLOWER in text
    assert "1.10" in text
    monkeypatch.setattr(sys, "argv", [*arguments, "--samples", "3"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert "leave --samples out" in capsys.readouterr().err
