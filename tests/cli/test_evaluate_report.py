from __future__ import annotations

from pathlib import Path

import pytest

from acne_edge.evaluation.annotated import AnnotatedPhotograph, AnnotatedSet, Mark, Reading, write_annotated
from tests import drawing
from tests.cli.conftest import Run

pytest.importorskip("jinja2", reason="the extra report is not installed")
pytest.importorskip("matplotlib", reason="the extra report is not installed")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        (folder / f"secret{number}.jpg").write_bytes(drawing.encode(drawing.face(3 * number, number, 288, 320), "JPEG"))
    (folder / "broken.jpg").write_bytes(b"no image")
    return folder


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    file = tmp_path / "labels.csv"
    file.write_text("file,count,source\nsecret0.jpg,0,clinic\nbroken.jpg,1,clinic\nsecret1.jpg,3,\nsecret2.jpg,6,street\n")
    return file


def test_a_page_comes_with_the_figures(run: Run, photos: Path, labels: Path, tmp_path: Path) -> None:
    page = tmp_path / "my report.html"
    code, out, _ = run("evaluate", photos, labels, "--report", page, "--format", "table")
    assert code == 3, "one photograph is broken"
    assert "3 photographs, 1 failed" in out
    text = page.read_text(encoding="utf-8")
    assert "3 measured, 1 could not be used" in text
    assert f"acne-edge evaluate {photos} {labels} --report" in text
    assert "clinic" in text
    assert "secret0" not in text
    assert "<img" not in text


def test_faces_are_shown_with_the_marks_of_an_annotated_set(run: Run, photos: Path, tmp_path: Path) -> None:
    reading = Reading(2, None, (Mark(0.4, 0.4, 0.1, 0.1), Mark(0.6, 0.6, 0.1, 0.1)), "Dr A")
    photographs = tuple(AnnotatedPhotograph(f"secret{n}.jpg", 288, 320, (reading,)) for n in range(3))
    write_annotated(tmp_path / "set.json", AnnotatedSet(photographs))
    page = tmp_path / "r.html"
    assert run("evaluate", photos, tmp_path / "set.json", "--report", page, "--faces", "--language", "zh")[0] == 0
    text = page.read_text(encoding="utf-8")
    assert text.count("<img") == 3
    assert text.count("人工 2 个方框") == 3
    assert "secret0.jpg" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--faces",), "--faces goes with --report"),
        (("--report", "r.html", "--perturb"), "--predictions and --report cannot be combined with --perturb"),
        (("--report", "r.pdf"), "r.pdf: a page is a .html or .htm file"),
        (("--report", "nowhere/r.html"), "no such folder: nowhere"),
        (("--report", "r.html", "--language", "xx"), "'xx' is not one of 'en', 'zh'"),
    ],
)
def test_what_cannot_be_meant_is_refused(run: Run, photos: Path, labels: Path, options: tuple[str, ...], message: str) -> None:
    code, _, err = run("evaluate", photos, labels, *options)
    assert code == 2
    assert message in err
