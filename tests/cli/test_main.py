from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from acne_edge import grader, models
from acne_edge import image as images
from acne_edge.cli import main as cli
from acne_edge.cli import output
from acne_edge.cli.predict import SHORT_BATCH, predict
from acne_edge.errors import AcneEdgeError
from acne_edge.evaluation.labels import list_hash, read_labels
from acne_edge.evaluation.learned import encoded
from tests import drawing, schema
from tests.test_image import png_header


def test_the_table_shows_count_interval_and_grade(run, photo: Path) -> None:
    code, out, err = run("predict", photo)
    assert (code, err) == (0, "")
    head, row = out.splitlines()
    assert head.split()[:3] == ["lesions", "interval", "grade"]
    assert row.endswith(f"{photo}  [unfamiliar]")  # it is drawn


def test_jsonl_prints_one_object_a_line_and_nothing_else(run, photo: Path) -> None:
    code, out, err = run("predict", photo, "missing.jpg", photo, "--format", "jsonl")
    records = [json.loads(line) for line in out.splitlines()]
    assert code == 3
    for record in records:
        schema.check(record)
    assert [r.get("error", {}).get("code") for r in records] == [None, "image_not_found", None]
    assert err == "acne-edge: missing.jpg: no such file\n"
    assert "lesion_map" not in records[0]


def test_json_is_a_list(run, photo: Path) -> None:
    code, out, _ = run("predict", photo, photo, "--format", "json", "--lesion-map")
    records = json.loads(out)
    assert code == 0
    assert len(records) == 2
    assert np.shape(records[0]["lesion_map"]) == (32, 32)  # at an eighth of the network's 256 pixels


def test_csv_has_one_row_an_image(run, photo: Path) -> None:
    code, out, _ = run("predict", photo, "missing.jpg", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 3
    assert [r["error"] for r in rows] == ["", "image_not_found"]
    assert float(rows[0]["low"]) <= float(rows[0]["count"]) <= float(rows[0]["high"])


def test_directories_and_globs_are_expanded(run, photo: Path) -> None:
    (photo.parent / "sub").mkdir()
    (photo.parent / "sub" / "b.PNG").write_bytes(drawing.encode(drawing.face(3)))
    (photo.parent / "notes.txt").write_text("no image")
    code, out, _ = run("predict", photo.parent, "--format", "jsonl")
    assert code == 0
    assert [Path(json.loads(line)["path"]).name for line in out.splitlines()] == ["face.jpg", "b.PNG"]
    code, out, _ = run("predict", photo.parent / "f*.jpg", "--format", "jsonl")
    assert (code, len(out.splitlines())) == (0, 1)


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv"])
def test_stdin_is_a_dash_in_the_arguments_and_in_the_output(run, photo: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(photo.read_bytes())))
    code, out, _ = run("predict", "-", "--format", form)
    assert code == 0
    shown = {
        "table": lambda: out.split()[-2],
        "json": lambda: json.loads(out)[0]["path"],
        "jsonl": lambda: json.loads(out)["path"],
        "csv": lambda: next(csv.DictReader(io.StringIO(out)))["path"],
    }
    assert shown[form]() == "-"


class Endless(io.RawIOBase):
    """Zeros without end."""

    def __init__(self) -> None:
        self.given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:
        self.given += len(buffer)
        return len(buffer)


def test_stdin_without_an_end_is_refused_at_the_limit(run, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_BYTES", 2_000_000)
    endless = Endless()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(endless)))
    code, out, err = run("predict", photo, "-", photo, "--format", "jsonl")
    assert code == 3
    assert err == "acne-edge: -: more than 2 MB on stdin\n"
    assert [json.loads(line)["path"] for line in out.splitlines()] == [str(photo), "-", str(photo)]
    assert endless.given < 2_100_000


@pytest.mark.skipif(sys.platform == "win32", reason="redirections of POSIX")
def test_a_closed_stdin_is_one_line_and_exit_code_3() -> None:
    command = ["bash", "-c", '"$0" -m acne_edge predict - -f csv <&-', sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (3, "acne-edge: -: stdin is closed\n")


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_batch_that_is_typed_at_a_terminal_fills_the_file_and_leaves_the_screen_to_the_progress(
    tmp_path: Path, form: str
) -> None:
    import pty

    (tmp_path / "in").mkdir()
    for i in range(SHORT_BATCH + 1):
        (tmp_path / "in" / f"{i}.png").write_bytes(drawing.encode(drawing.face(seed=i, width=64, height=64)))
    terminal, side = pty.openpty()
    with (tmp_path / "out").open("wb") as out:
        command = [sys.executable, "-m", "acne_edge", "predict", str(tmp_path / "in"), "-f", form]
        done = subprocess.run(command, stdin=side, stdout=out, stderr=side, timeout=120)
    os.close(side)
    os.close(terminal)
    text = (tmp_path / "out").read_text()
    rows = json.loads(text) if form == "json" else list(csv.DictReader(io.StringIO(text)))
    assert (done.returncode, len(rows)) == (0, SHORT_BATCH + 1)


def test_a_batch_that_is_stopped_leaves_json_that_can_be_read(run, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(results, *rest):
        yield next(results)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    count = output.Tally.count
    monkeypatch.setattr(output.Tally, "count", lambda self, results: stopped(count(self, results)))
    code, out, err = run("predict", photo, photo, "--format", "json")
    assert (code, err) == (143, "acne-edge: terminated\n")
    assert [r["path"] for r in json.loads(out)] == [str(photo)]


def spoilt(tmp_path: Path, face: np.ndarray, kind: str) -> Path:
    """A file, or path, that holds no usable image."""
    path = tmp_path / f"{kind}.jpg"
    small = np.zeros((1, 1, 3), np.uint8)
    contents = {
        "text": b"a text file called .jpg",
        "truncated": drawing.encode(face, "JPEG")[:9000],
        "zero bytes": b"",
        "1x1": drawing.encode(small),
        "bomb": png_header(20_000, 10_000),
    }
    if kind in contents:
        path.write_bytes(contents[kind])
    elif kind == "empty directory":
        path.mkdir()
    return path


@pytest.mark.parametrize("kind", ["missing", "empty directory", "text", "truncated", "zero bytes", "1x1", "bomb"])
def test_a_bad_input_is_one_line_and_exit_code_3(run, tmp_path: Path, face: np.ndarray, photo: Path, kind: str) -> None:
    bad = spoilt(tmp_path, face, kind)
    code, out, err = run("predict", bad, photo, "--format", "jsonl")
    assert code == 3
    assert err.startswith(f"acne-edge: {bad}: ")
    assert err.count("\n") == 1
    assert [("error" in json.loads(line)) for line in out.splitlines()] == [True, False]


@pytest.mark.parametrize("mode", ["I;16", "CMYK", "P", "RGBA", "L", "1"])
def test_unusual_modes_are_read(run, tmp_path: Path, face: np.ndarray, mode: str) -> None:
    picture = Image.fromarray(face)
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    else:
        picture = picture.convert(mode)
    file = tmp_path / ("x.tif" if mode == "CMYK" else "x.png")
    picture.save(file)
    assert run("predict", file)[0] == 0


def test_an_unreadable_model_is_exit_code_4(run, photo: Path, tmp_path: Path) -> None:
    junk = tmp_path / "junk.onnx"
    junk.write_bytes(b"junk")
    for model in (junk, tmp_path / "missing.onnx", tmp_path):
        code, out, err = run("predict", photo, "--model", model)
        assert (code, out) == (4, "")
        assert err.startswith("acne-edge: ")
        assert err.count("\n") == 1


def test_a_tampered_model_is_exit_code_4(run, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = next(iter(models.index()))
    (tmp_path / str(models.index()[name]["file"])).write_bytes(models.load_model().data[:-1] + b"\0")
    monkeypatch.setattr(models, "FOLDER", str(tmp_path))
    code, _, err = run("predict", photo)
    assert code == 4
    assert "not the one that was shipped" in err


def test_all_abstained_is_exit_code_5(run, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsure(*args, **kwargs):
        return replace(interpret(*args, **kwargs), abstained="low_confidence")

    interpret = grader.interpret
    monkeypatch.setattr(grader, "interpret", unsure)
    code, out, _ = run("predict", photo)
    assert code == 5
    assert "no grade" in out
    assert "[low_confidence: unfamiliar]" in out


@pytest.mark.parametrize(
    "arguments",
    [("predict",), ("predict", "a.jpg", "--format", "xml"), ("predict", "a.jpg", "--backend", "abacus"), ("nonsense",)],
)
def test_bad_usage_is_exit_code_2(run, arguments: tuple[str, ...]) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(28, "No space left on device", "/full"), "acne-edge: /full: No space left on device\n"),
        (ZeroDivisionError("division by zero"), "acne-edge: internal error: ZeroDivisionError: division by zero"),
    ],
)
def test_what_nobody_foresaw_is_one_line_and_exit_code_1(
    run, photo: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, says: str
) -> None:
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(grader, "interpret", fail)
    code, out, err = run("predict", photo, "--format", "jsonl")
    assert (code, out) == (1, "")
    assert err.startswith(says)
    assert err.count("\n") == 1


def test_debug_shows_the_trace(run, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["acne-edge", "--debug", "predict", str(photo), "--model", "missing.onnx"])
    with pytest.raises(AcneEdgeError):
        cli.main()


def test_info_shows_the_manifest(run) -> None:
    code, out, _ = run("info")
    shown = json.loads(out)
    assert code == 0
    assert shown["manifest"]["schema"] == "1.1"
    assert shown["model"]["backend"].startswith("onnxruntime:")


@pytest.mark.parametrize("arguments", [["predict", "a.jpg"], ["--debug", "predict"]])
def test_only_the_command_that_is_called_is_built(arguments: list[str]) -> None:
    assert [c.callback for c in cli.application(arguments).registered_commands] == [predict]
    for others in ([], ["--help"], ["predcit"]):
        assert len(cli.application(others).registered_commands) == len(cli.DEVICE_COMMANDS + cli.RESEARCH_COMMANDS) > 8


def test_evaluate_measures_a_labelled_list(run, tmp_path: Path, photo: Path) -> None:
    labels = tmp_path / "list.txt"
    labels.write_text("face.jpg 1 20\n")
    code, out, err = run("evaluate", tmp_path, labels)
    assert (code, err) == (0, "")
    result = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert (result["images"], result["failed"], result["grade"]["n"]) == (1, 0, 1)
    assert result["grade"]["per_grade"]["SE"][0] is None
    assert result["notes"]["grade.per_grade.SE.0"] == "no photograph is of this grade"


def test_evaluate_says_of_how_many_there_is_no_grade_and_when_an_interval_says_nothing(
    run, tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = tmp_path / "list.txt"
    labels.write_text("face.jpg 1 20\n")
    _, out, _ = run("evaluate", tmp_path, labels, "--format", "table")
    assert re.search(r"^without a grade, % +0\.0 \[0\.0, 0\.0\]$", out, re.MULTILINE)
    assert out.endswith("An interval whose ends are equal says nothing: all photographs agree in that.\n")
    monkeypatch.setenv("ACNE_EDGE_ON_UNFAMILIAR", "abstain")
    _, out, _ = run("evaluate", tmp_path, labels, "--format", "table")
    assert re.search(r"^without a grade, % +100\.0 ", out, re.MULTILINE)


def test_evaluate_names_what_failed_and_exits_3(run, tmp_path: Path, photo: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    labels = tmp_path / "list.txt"
    labels.write_text("missing.jpg 0 1\nface.jpg 1 20\nbroken.jpg 0 1\n")
    code, out, err = run("evaluate", tmp_path, labels, "--format", "json")
    assert code == 3
    assert [("missing.jpg" in line, "broken.jpg" in line) for line in err.splitlines()] == [(True, False), (False, True)]
    assert (json.loads(out)["images"], json.loads(out)["failed"]) == (1, 2)
    labels.write_text("broken.jpg 0 1\n")
    code, out, err = run("evaluate", tmp_path, labels, "--format", "json")
    assert (code, out) == (3, "")
    assert "none of the 1 listed photographs can be used" in err


def test_evaluate_warns_of_a_list_that_the_model_has_learned(
    run, tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = tmp_path / "list.txt"
    labels.write_text("face.jpg 1 20\n")
    own = {"train": {"n": 1, "sha256": list_hash(read_labels(labels))}}
    manifest = replace(grader.AcneGrader.load().manifest, training={"lists": own})
    monkeypatch.setattr(grader.AcneGrader, "manifest", manifest)
    code, out, err = run("evaluate", tmp_path, labels, "--format", "json")
    assert (code, json.loads(out)["list"]["learned"]) == (0, "train")
    assert err.startswith("acne-edge: ")
    assert "was trained on exactly this list" in err


@pytest.mark.parametrize("option", [[], pytest.param(["--perturb"], marks=pytest.mark.slow)])
def test_evaluate_says_how_many_photographs_the_model_has_learned(
    option: list[str], run, tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = tmp_path / "list.txt"
    labels.write_text("face.jpg 1 20\n")
    manifest = replace(grader.AcneGrader.load().manifest, training={"fingerprints": {"train": encoded([photo])}})
    monkeypatch.setattr(grader.AcneGrader, "manifest", manifest)
    code, out, err = run("evaluate", tmp_path, labels, "--format", "json", *option)
    assert (code, json.loads(out)["list"]["photographs"]) == (0, {"train": 1, "val": 0})
    assert "of these 1 photographs, acne-edge-s has learned 1: the figures flatter" in err


def test_evaluate_reads_its_labels_from_stdin(run, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for text, code, said in (
        (b"\xef\xbb\xbffile;count\r\nface.jpg;20\r\n", 0, ""),
        (b'{"images": []}', 2, "is read from a .json file"),
    ):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
        done = run("evaluate", photo.parent, "-", "--format", "json")
        assert (done[0], said in done[2]) == (code, True), done
    assert done[2].count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("info", "--model", "-"),
        ("bench", "--image", "-"),
        ("bench", "--model", "-"),
        ("engine", "-"),
        ("predict", "x", "-m", "-"),
    ],
)
def test_what_is_not_read_from_stdin_says_so(run, arguments: tuple[str, ...]) -> None:
    code, _, err = run(*arguments)
    assert (code, "-: is not read from stdin; name a file" in err, err.count("\n")) == (2, True, 1), err


@pytest.mark.parametrize("text", ["", "face.jpg 1\n", "face.jpg one 20\n", "face.jpg 7 20\n", "missing.jpg 1 20\n"])
def test_evaluate_refuses_a_bad_list(run, tmp_path: Path, photo: Path, text: str) -> None:
    labels = tmp_path / "list.txt"
    labels.write_text(text)
    code, _, err = run("evaluate", tmp_path, labels, "--format", "json")
    assert code == 2
    assert err.count("\n") == 1


def test_evaluate_prints_a_table_and_keeps_a_row_a_photograph(run, tmp_path: Path, photo: Path) -> None:
    (tmp_path / "labels.csv").write_text("count;file\n20;face.jpg\n1;missing.jpg\n")
    code, out, _ = run("evaluate", tmp_path, tmp_path / "labels.csv", "-f", "table", "--predictions", tmp_path / "rows.csv")
    assert code == 3
    lines = out.splitlines()
    assert "1 photographs, 1 failed" in lines[0]
    assert lines[2].startswith("grades right, %")
    assert all(len(line) <= 80 for line in lines[1:3])
    rows = list(csv.DictReader(io.StringIO((tmp_path / "rows.csv").read_text())))
    assert [(r["file"], r["true_count"], r["true_grade"], r["error"]) for r in rows] == [
        ("face.jpg", "20", "1", ""),
        ("missing.jpg", "1", "0", "image_not_found"),
    ]
    assert float(rows[0]["count"]) >= 0


@pytest.mark.slow
def test_evaluate_shows_how_steady_the_answers_are(run, tmp_path: Path, photo: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,count\nface.jpg,20\n")
    code, out, err = run("evaluate", tmp_path, tmp_path / "labels.csv", "--perturb", "-f", "table")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[2].split() == ["nothing", "0.00", "0.00", *lines[2].split()[3:]]
    assert [line[:17].strip() for line in lines[3:6]] == ["JPEG quality 50", "WebP quality 80", "320 px"]
    assert max(map(len, lines)) <= 80
    code, out, _ = run("evaluate", tmp_path, tmp_path / "labels.csv", "--perturb")
    assert code == 0
    assert json.loads(out)["rows"][0]["row"] == "nothing"
    code, _, err = run("evaluate", tmp_path, tmp_path / "labels.csv", "--perturb", "--predictions", tmp_path / "x.csv")
    assert code == 2
    assert "cannot be combined with --perturb" in err
