from __future__ import annotations

import re

import numpy as np
import pytest

from acne_edge.report import charts

TEXTS = {"alt": "Dots & lines", "x": "标注 <x>", "y": "y", "bias": "mean", "upper": "up", "lower": "down"}
TRUTH, COUNT = np.array([0, 5, 20, 60]), np.array([1.0, 4.0, 25.0, 50.0])


def every_chart() -> dict[str, str]:
    shares = [charts.wilson(3, 4), charts.wilson(4, 4)]
    return {
        "a": charts.scatter("a", TRUTH, COUNT, (0, 6, 21, 51), TEXTS),
        "b": charts.bland_altman("b", TRUTH, COUNT, (-12.0, 10.0), TEXTS),
        "c": charts.reliability("c", [0.6, 0.9], shares, TEXTS),
        "d": charts.coverage("d", ["0-5", "6-20", "21+"], [*shares, None], 0.9, TEXTS),
    }


def test_a_chart_has_a_name_the_pages_colours_and_no_ids_of_another() -> None:
    found = every_chart()
    ids = [i for svg in found.values() for i in re.findall(r'\bid="([^"]+)"', svg)]
    assert len(set(ids)) == len(ids)
    for name, svg in found.items():
        assert svg.startswith('<svg class="chart" role="img"')
        assert f'<title id="{name}-title">Dots &amp; lines</title>' in svg
        assert set(re.findall(r'href="#([a-z])-', svg)) <= {name}
        assert not re.search(r"#[0-9a-f]{6}", svg), "a fixed colour is wrong in the light or in the dark"
        assert "var(--dot)" in svg
        assert "&lt;x&gt;" in svg or name == "d"
        assert "<style" not in svg
        assert "http" not in svg.replace("http://www.w3.org", "")


def test_every_photograph_is_a_dot() -> None:
    dots = re.findall(r"<use[^>]*var\(--dot\)", every_chart()["a"])
    assert len(dots) == len(TRUTH)


def test_lines_without_a_value_are_left_out() -> None:
    with_limits = every_chart()["b"]
    without = charts.bland_altman("b", TRUTH[:1], COUNT[:1], (float("nan"), float("nan")), TEXTS)
    assert [word in with_limits for word in (">mean<", ">up<", ">down<")] == [True] * 3
    assert [word in without for word in (">mean<", ">up<", ">down<")] == [True, False, False]


def test_equal_figures_give_equal_charts() -> None:
    assert every_chart() == every_chart()


@pytest.mark.parametrize(("hits", "n", "low", "high"), [(5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (0, 20, 0.0, 0.1611)])
def test_wilsons_interval(hits: int, n: int, low: float, high: float) -> None:
    """Values of R: binom::binom.wilson."""
    share = charts.wilson(hits, n)
    assert (share.value, share.n) == (hits / n, n)
    assert (share.low, share.high) == pytest.approx((low, high), abs=1e-3)


def test_a_timeline_tells_flagged_photographs_by_shape_and_events_by_number() -> None:
    from datetime import date

    days, counts = [date(2026, 1, 1), date(2026, 2, 1)], np.array([[10.0, 7, 14], [4, 2, 7]])
    texts = {"alt": "left", "x": "", "y": "lesions"}
    plain, flagged = (charts.timeline("t", days, counts, [False, f], (0, 6), [date(2026, 1, 5)], texts) for f in (False, True))
    assert ">E1</text>" in plain
    assert plain != flagged
    assert "2026-02-01" in plain
