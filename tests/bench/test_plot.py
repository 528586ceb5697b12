from __future__ import annotations

import sys
from pathlib import Path

import pytest

from acne_edge import MissingExtraError, UsageError
from acne_edge.bench import plot

SERIES = {"a": {"decode": [1.0, 2.0], "total": [3.0, 4.0]}, "b": {"inference": [2.0], "total": [2.5]}}


@pytest.mark.parametrize(("kind", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_a_picture_is_written_in_the_kind_that_its_name_says(tmp_path: Path, kind: str, magic: bytes) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra report")
    plot.save(tmp_path / f"out.{kind}", SERIES, "a machine")
    assert (tmp_path / f"out.{kind}").read_bytes().startswith(magic)


def test_names_stages_and_totals_stand_in_it(tmp_path: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib", reason="needs the extra report")
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        plot.save(tmp_path / "out.svg", SERIES, "a machine")
    text = (tmp_path / "out.svg").read_text()
    for word in ("a machine", ">a<", ">b<", ">decode<", ">inference<", ">rest<", ">3.5<", ">2.5<"):
        assert word in text.replace("> ", ">"), word


def test_predictions_are_numbered_by_whole_numbers(tmp_path: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib", reason="needs the extra report")
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        plot.save(tmp_path / "out.svg", {"a": {"decode": [1.0] * 3, "total": [30.0] * 3}}, "a machine")
    text = (tmp_path / "out.svg").read_text().replace("> ", ">")
    assert [number for number in ("1", "2", "3", "1.5", "1.25", "1.50") if f">{number}<" in text] == ["1", "2", "3"]


def test_what_cannot_be_drawn_is_refused_before_anything_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"\.png, \.svg or \.pdf"):
        plot.check(tmp_path / "out.gif")
    with pytest.raises(UsageError, match="no folder"):
        plot.check(tmp_path / "none" / "out.png")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"acne-edge\[report\]"):
        plot.check(tmp_path / "out.png")
