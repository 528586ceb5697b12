from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests import drawing
from tests.cli.conftest import Run


@pytest.fixture
def visits(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders with the photographs left.jpg and right.jpg; at the second visit there are fewer lesions on the left."""
    for folder, lesions in {"first": (40, 8), "second": (0, 8)}.items():
        (tmp_path / folder).mkdir()
        for name, n, seed in zip(("left", "right"), lesions, (1, 2), strict=True):
            file = tmp_path / folder / f"{name}.jpg"
            file.write_bytes(drawing.encode(drawing.face(n, seed, 648, 720), "JPEG", quality=90))
    return tmp_path / "first", tmp_path / "second"


def test_each_view_and_the_sum_have_a_line_and_the_pairing_is_shown(run: Run, visits: tuple[Path, Path]) -> None:
    code, out, err = run("change", *visits)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["left", "right", "sum"]
    assert max(map(len, lines[:4])) <= 80
    assert re.fullmatch(r"left: fewer; [a-z ]+ -> (mild|none counted)", lines[5])
    assert re.match(r"right: no change beyond measurement error; ", lines[6])
    assert "paired by name" in lines
    assert f"  left: {visits[0] / 'left.jpg'} -> {visits[1] / 'left.jpg'}" in lines
    assert lines[-1].startswith("interval: ")


def test_saved_results_give_what_the_photographs_give(run: Run, visits: tuple[Path, Path], tmp_path: Path) -> None:
    saved = []
    for folder in visits:
        saved.append(tmp_path / f"{folder.name}.jsonl")
        assert run("predict", folder, "--format", "jsonl", "-o", saved[-1])[0] == 0
    direct, again = (json.loads(run("change", *each, "--format", "json")[1]) for each in (visits, saved))
    assert direct == again
    assert direct["pairing"] == {"by": "name", "without_partner": []}
    assert direct["total"]["verdict"] != "cannot be compared"
    assert direct["total"]["change"] == pytest.approx(sum(view["change"] for view in direct["views"]), abs=0.02)


def test_results_of_another_model_are_told_of(run: Run, visits: tuple[Path, Path], tmp_path: Path) -> None:
    saved = []
    for folder in visits:
        saved.append(tmp_path / f"{folder.name}.jsonl")
        run("predict", folder, "--format", "jsonl", "-o", saved[-1])
        rows = [json.loads(line) for line in saved[-1].read_text().splitlines()]
        saved[-1].write_text("".join(json.dumps({**row, "model": {**row["model"], "sha256": "1" * 64}}) + "\n" for row in rows))
    code, out, err = run("change", *saved, "--format", "json")
    assert code == 0
    assert "another model's than --model" in err
    assert json.loads(out)["interval"]["rule"] == "single intervals combined"


def test_the_exit_code_says_that_nothing_could_be_compared(run: Run, visits: tuple[Path, Path]) -> None:
    file = visits[0] / "left.jpg"
    assert run("change", file, file)[0] == 5
    file.write_bytes(b"no image")
    code, out, err = run("change", *visits)
    assert code == 3
    assert str(file) in err
    assert "cannot be compared" in out


def test_visits_that_cannot_be_paired_are_refused_in_one_line(run: Run, visits: tuple[Path, Path]) -> None:
    (visits[1] / "left.jpg").rename(visits[1] / "chin.jpg")
    (visits[1] / "right.jpg").unlink()
    code, out, err = run("change", *visits)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "--pairs FILE" in err


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_page_says_the_verdict_without_a_photograph(run: Run, visits: tuple[Path, Path], tmp_path: Path, language: str) -> None:
    pytest.importorskip("jinja2", reason="the extra report is not installed")
    page = tmp_path / "change.html"
    assert run("change", *visits, "--report", page, "--language", language)[0] == 0
    text = page.read_text(encoding="utf-8")
    assert {"en": "Change between two visits", "zh": "两次就诊之间的变化"}[language] in text
    assert "left" in text
    assert "<img" not in text
    assert "http" not in text.replace("http-equiv", "")
