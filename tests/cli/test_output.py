"""Where results go, and how the table reads."""

from __future__ import annotations

import csv
import json
import os
import stat
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from acne_edge import AcneGrader, Failure, ImageNotFoundError, Prediction
from acne_edge.cli import output
from acne_edge.cli.options import OnUnfamiliar, Policy, Scale
from acne_edge.grader import ON_POOR_QUALITY, ON_UNFAMILIAR
from acne_edge.grading import ALIASES, SCALES
from tests import drawing
from tests.cli.conftest import Run

posix = pytest.mark.skipif(sys.platform == "win32", reason="devices and signals of POSIX")


@pytest.fixture(scope="module")
def prediction(grader: AcneGrader) -> Prediction:
    return replace(grader.predict(drawing.face(lesions=12)), path="a.jpg", unfamiliarity=0.5)


def table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *results: object, columns: int = 0) -> list[str]:
    """The lines of the table, in a terminal of that many columns (0: not a terminal)."""
    if columns:
        monkeypatch.setenv("COLUMNS", str(columns))
    else:
        monkeypatch.delenv("COLUMNS", raising=False)
    output.write(iter(results), "table")  # type: ignore[arg-type]
    return capsys.readouterr().out.splitlines()


def spoilt(prediction: Prediction, *reasons: str, abstained: str | None = None) -> Prediction:
    text = "no grade" if abstained else prediction.grade.text
    grade, quality = replace(prediction.grade, text=text), replace(prediction.quality, reasons=reasons)
    return replace(prediction, quality=quality, grade=grade, abstained=abstained, path="b.jpg")


def test_the_table_keeps_its_columns_with_several_reasons(
    prediction: Prediction, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    many = spoilt(prediction, "low_resolution", "too_dark", "blurred", "no_skin")
    longest = replace(many, grade=replace(many.grade, text="moderate to very severe"), count=55.04, path="c.jpg")
    gone = Failure("d.jpg", ImageNotFoundError("no such file"))
    head, *rows = table(monkeypatch, capsys, prediction, many, longest, gone)
    at = head.index("image")
    assert [row[at : at + 5] for row in rows] == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    assert [row[at + 5 :] for row in rows] == ["", *2 * ["  [low_resolution too_dark blurred no_skin]"], "  [image_not_found]"]


def test_the_table_keeps_its_columns_in_a_narrow_terminal(
    prediction: Prediction, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    many = spoilt(prediction, "low_resolution", "too_dark", "blurred", "no_skin")
    head, *rows = table(monkeypatch, capsys, prediction, many, prediction, columns=80)
    at = head.index("image")
    assert max(map(len, (head, *rows))) <= 80
    assert [row[at:].strip() for row in rows if row[:at].strip()] == ["a.jpg", "b.jpg", "a.jpg"]
    under = [row for row in rows if not row[:at].strip()]
    assert " ".join(row.strip() for row in under) == "[low_resolution too_dark blurred no_skin]"


def test_the_table_tells_one_story(
    prediction: Prediction, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    two = replace(
        prediction,
        count=4.7,
        grade_set=(0, 1),
        grade_probs=(0.34, 0.65, 0.01, 0.0),
        grade=replace(prediction.grade, text="mild to moderate"),
    )
    none = replace(prediction, count=0.3, grade=replace(prediction.grade, text="none counted"))
    blank = spoilt(prediction, "blank", "too_dark", abstained="blank")
    unsure = spoilt(prediction, abstained="low_confidence")
    cat = spoilt(prediction, "no_skin", abstained="unfamiliar")
    _, *rows = table(monkeypatch, capsys, two, none, blank, unsure, cat, replace(cat, quality=prediction.quality))
    assert rows[0].startswith("    4.7  ")
    assert "  mild to moderate         0.99  a.jpg" in rows[0]
    assert "  none counted             -     a.jpg" in rows[1]
    assert rows[2] == "      -  -         no grade                 -     b.jpg  [blank too_dark]"
    assert rows[3].endswith("  no grade                 -     b.jpg  [low_confidence]")
    assert rows[4] == "      -  -         no grade                 -     b.jpg  [unfamiliar: no_skin]"
    assert rows[5].endswith("[unfamiliar]")


def test_a_name_with_control_characters_keeps_its_line(
    prediction: Prediction, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (_, row) = table(monkeypatch, capsys, replace(prediction, path="a\n\x1b[2Jb.jpg"))
    assert row.endswith(r"a\n\x1b[2Jb.jpg")


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv"])
def test_every_format_can_be_written_to_a_file(run: Run, photo: Path, tmp_path: Path, form: str) -> None:
    expected = run("predict", photo, "-f", form)[1]
    file = tmp_path / "out"
    assert run("predict", photo, "-f", form, "-o", file) == (0, "", "")
    assert list(tmp_path.glob("out*")) == [file]
    got = file.read_text()
    if form in ("table", "csv"):
        assert got == expected
    else:  # which hold timings
        assert json.loads(got.strip()).__class__ is json.loads(expected.strip()).__class__


def test_documents_can_be_written_to_a_file_too(run: Run, tmp_path: Path) -> None:
    assert run("info", "--output", tmp_path / "out") == (0, "", "")
    assert "manifest" in json.loads((tmp_path / "out").read_text())
    assert run("info", "--format", "table", "-o", "-")[1].splitlines()[0].split() == ["model.name", "acne-edge-s"]


def test_the_table_of_a_manifest_has_no_line_of_kilobytes(run) -> None:
    lines = run("info", "--format", "table")[1].splitlines()
    assert max(map(len, lines)) < 600
    assert next(line for line in lines if "count.weight" in line).endswith("characters: --format json has them)")


def test_a_dash_is_stdout(run: Run, photo: Path) -> None:
    assert run("predict", photo, "-f", "csv", "-o", "-")[1].startswith("path,")


def test_a_file_that_is_there_is_kept_when_the_command_fails(run: Run, photo: Path, tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    file.write_text("last week's")
    file.chmod(0o600)
    assert run("predict", photo, "-f", "csv", "-o", file, "-m", tmp_path / "none.onnx")[0] == 4
    assert file.read_text() == "last week's"
    assert list(tmp_path.glob("out*")) == [file]
    assert run("predict", photo, tmp_path / "gone.jpg", "-f", "csv", "-o", file)[0] == 3, "a photograph that fails is a result"
    with file.open() as stream:
        assert [row["error"] for row in csv.DictReader(stream)] == ["", "image_not_found"]
    if sys.platform != "win32":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@posix
def test_a_stopped_batch_keeps_the_old_file_and_what_is_done(
    run: Run, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(results, *rest):
        yield next(results)
        os.kill(os.getpid(), 15)
        yield next(results)

    count = output.Tally.count
    monkeypatch.setattr(output.Tally, "count", lambda self, results: stopped(count(self, results)))
    file = tmp_path / "out.csv"
    file.write_text("last week's")
    code, _, err = run("predict", photo, photo, "-f", "csv", "-o", file)
    assert (code, err) == (143, f"acne-edge: terminated; the results until then are in {file}.partial\n")
    assert file.read_text() == "last week's"
    lines = Path(f"{file}.partial").read_text().splitlines(keepends=True)
    assert [line.split(",")[0] for line in lines] == ["path", str(photo)]
    assert lines[-1].endswith("\n")


@posix
def test_a_full_disk_is_one_line_and_the_old_file_is_kept(
    run: Run, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("predict", photo, "-o", "/dev/full")[::2] == (1, "acne-edge: /dev/full: No space left on device\n")
    file = tmp_path / "out.csv"
    file.write_text("last week's")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device", str(file))

    monkeypatch.setattr(os, "fsync", full)
    code, _, err = run("predict", photo, "-f", "csv", "-o", file)
    assert code == 1
    assert "No space left on device" in err
    assert file.read_text() == "last week's"


def test_a_file_that_cannot_be_meant_is_refused(run: Run, photo: Path, tmp_path: Path) -> None:
    for file, why in (
        (tmp_path, "is a folder"),
        (tmp_path / "none" / "out.csv", f"no such folder: {tmp_path / 'none'}"),
        (photo, "named like a photograph"),
    ):
        code, out, err = run("predict", photo, "-o", file)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert why in err
    assert photo.stat().st_size > 1000


@pytest.mark.parametrize("form", ["table", "csv"])
def test_a_lesion_map_is_refused_where_it_would_be_lost(run: Run, photo: Path, form: str) -> None:
    code, out, err = run("predict", photo, "--lesion-map", "-f", form)
    assert (code, out) == (2, "")
    assert err == f"acne-edge: --lesion-map needs --format json or jsonl; {form} cannot hold the map\n"


def test_a_blank_photograph_gets_no_grade_and_exit_code_5(run: Run, tmp_path: Path) -> None:
    blank = tmp_path / "blank.png"
    blank.write_bytes(drawing.encode(np.zeros((200, 200, 3), np.uint8)))
    code, out, _ = run("predict", blank)
    assert code == 5
    assert "no grade" in out
    assert "mild" not in out


def test_choices_are_those_of_the_package() -> None:
    assert set(Scale.__args__) == {*SCALES, *ALIASES}  # type: ignore[attr-defined]
    assert Policy.__args__ == ON_POOR_QUALITY  # type: ignore[attr-defined]
    assert OnUnfamiliar.__args__ == ON_UNFAMILIAR  # type: ignore[attr-defined]


def test_a_drawing_gets_no_grade_unless_it_is_asked_for(
    run: Run, face: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ACNE_EDGE_ON_UNFAMILIAR")
    drawn = tmp_path / "drawn.png"
    drawn.write_bytes(drawing.encode(face))
    code, out, _ = run("predict", drawn)
    assert (code, out.splitlines()[1].split()[:3]) == (0, ["-", "-", "no"])  # an answer, not a failure
    assert out.endswith("[unfamiliar]\n")
    for policy in (["--on-unfamiliar", "warn"], []):
        code, out, _ = run("predict", *policy, drawn)
        assert code == 0
        assert out.endswith("[unfamiliar]\n")  # a warning stays
        assert "no grade" not in out
        monkeypatch.setenv("ACNE_EDGE_ON_UNFAMILIAR", "warn")
    monkeypatch.setenv("ACNE_EDGE_ON_UNFAMILIAR", "shrug")
    code, _, err = run("predict", drawn)
    assert (code, err) == (2, "acne-edge: ACNE_EDGE_ON_UNFAMILIAR is 'shrug'; choose one of: abstain, warn\n")
