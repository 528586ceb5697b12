from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acne_edge.reference import Reference
from tests.cli.conftest import Run
from tests.toy_model import make_manifest, toy_model

pytest.importorskip("onnx", reason="the toy model is made with onnx")
pytest.importorskip("scipy", reason="the extra drift is not installed")


def rows(number: int, seed: int, sharpness: float = 0.8, version: str = "0") -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return [
        {
            "path": f"{seed}-{i}.jpg",
            "count": round(float(rng.gamma(2, 5)), 2),
            "quality": {
                "brightness": 120.0,
                "clipped": 0.0,
                "sharpness": round(float(rng.normal(sharpness, 0.1)), 3),
                "noise": 0.2,
                "colour_detail": 0.7,
                "skin": 0.6,
            },
            "abstained": None,
            "model": {"name": "toy", "version": version},
        }
        for i in range(number)
    ]


def saved(file: Path, values: list[dict[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(value) + "\n" for value in values))
    return file


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A model with a reference of what `rows` draws."""
    model = tmp_path / "toy.onnx"
    measured = [{"sharpness": row["quality"]["sharpness"], "count": row["count"]} for row in rows(300, 0)]
    model.write_bytes(toy_model(make_manifest(reference=Reference.of(measured, "300 drawn"))))
    return model


def test_the_exit_code_and_a_line_a_look_say_what_has_drifted(run: Run, toy: Path, tmp_path: Path) -> None:
    first, second = saved(tmp_path / "a.jsonl", rows(50, 1)), saved(tmp_path / "b.jsonl", rows(50, 2, sharpness=0.6))
    code, out, err = run("drift", first, "-m", toy)
    assert (code, err) == (0, "")
    assert "no drift: intervals can be trusted as far as this shows" in out
    code, out, err = run("drift", first, second, "-m", toy)
    assert (code, err) == (7, "")
    assert out.splitlines()[2].startswith(str(second))
    assert "other pictures" in out.splitlines()[2]
    assert " sharpness 0.597, 0.80" in out.splitlines()[2]
    assert "intervals may no longer hold" in out
    assert out.splitlines()[-1] == "reference: 300 drawn"


def test_only_the_last_looks_are_judged_if_one_asks_for_that(run: Run, toy: Path, tmp_path: Path) -> None:
    first, second = saved(tmp_path / "a.jsonl", rows(50, 2, sharpness=0.6)), saved(tmp_path / "b.jsonl", rows(60, 1))
    assert run("drift", first, second, "-m", toy)[0] == 7
    assert run("drift", first, second, "-m", toy, "--last", "1")[0] == 0


def test_json_holds_the_same(run: Run, toy: Path, tmp_path: Path) -> None:
    file = saved(tmp_path / "a.jsonl", rows(45, 2, sharpness=0.6))
    code, out, _ = run("drift", file, "-m", toy, "--by", "25", "--format", "json")
    found = json.loads(out)
    assert code == 7
    assert (found["schema"], found["verdict"]) == ("1.0", "other pictures")
    assert [look["name"] for look in found["looks"]] == ["1-25", "26-50"]
    assert found["looks"][1]["drifted"] == ["sharpness"]
    assert found["looks"][1]["measures"]["sharpness"]["drifted"]
    assert found["reference"] == {"photographs": 300, "fitted_on": "300 drawn"}


def test_earlier_results_can_be_the_reference(run: Run, tmp_path: Path) -> None:
    first, second = saved(tmp_path / "a.jsonl", rows(50, 1)), saved(tmp_path / "b.jsonl", rows(50, 2, sharpness=0.6))
    assert run("drift", second, "--reference", first)[0] == 7
    assert run("drift", saved(tmp_path / "c.jsonl", rows(50, 3)), "--reference", first)[0] == 0
    other = saved(tmp_path / "other.jsonl", rows(50, 2, version="1"))
    code, out, err = run("drift", other, "--reference", first)
    assert (code, out) == (2, "")
    assert "made by toy 1, but the reference is of toy 0" in err


def test_what_is_missing_or_wrong_is_said_in_one_line(run: Run, tmp_path: Path) -> None:
    model, file = tmp_path / "toy.onnx", saved(tmp_path / "a.jsonl", rows(50, 1))
    model.write_bytes(toy_model())
    for arguments, message in (
        (("-m", model), "toy.onnx: has no reference; adapt writes one"),
        (("--by", "month"), "--by month: expected week, file, or a number"),
        (("--reference", file, "--by", "week"), "only records say when"),
        (("--reference", tmp_path), "expected a record or results"),
        (("--reference", file, "--report", tmp_path / "page.txt"), "a page is a .html or .htm or .pdf file"),
    ):
        code, out, err = run("drift", file, *arguments)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert message in err


@pytest.mark.parametrize(
    ("language", "title"), [("en", "Photographs and counts against the reference"), ("zh", "照片与计数同参考数据的比较")]
)
def test_a_page_says_the_same(run: Run, toy: Path, tmp_path: Path, language: str, title: str) -> None:
    pytest.importorskip("jinja2", reason="the extra report is not installed")
    file, page = saved(tmp_path / "<a>.jsonl", rows(50, 2, sharpness=0.6)), tmp_path / "drift.html"
    assert run("drift", file, "-m", toy, "--report", page, "--language", language)[0] == 7
    text = page.read_text(encoding="utf-8")
    assert title in text
    assert "&lt;a&gt;.jsonl" in text
    assert {"en": "other pictures", "zh": "照片有变化"}[language] in text
    assert "http" not in text.replace("http-equiv", "")
