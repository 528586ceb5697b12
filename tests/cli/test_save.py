from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from acne_edge import AcneGrader, prediction
from acne_edge import image as images
from acne_edge.cli import main as cli
from acne_edge.cli.save import SavedBatch
from acne_edge.errors import AcneEdgeError, UsageError
from tests import drawing, schema


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three photographs, two of which have the same name in different folders."""
    folder = tmp_path / "photos"
    for number, name in enumerate(("left/face.jpg", "right/face.jpg", "other.png")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(drawing.encode(drawing.face(5, number, 200, 240), "PNG" if path.suffix == ".png" else "JPEG"))
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Run the command line: (exit code, stdout, stderr)."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["acne-edge", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return call


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "predictions.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_batch_is_kept_as_pictures_json_lines_and_a_table(run, photos: Path, tmp_path: Path) -> None:
    code, out, _ = run("predict", photos, "--save", tmp_path / "out", "--format", "jsonl")
    assert code == 0
    kept = records(tmp_path / "out")
    assert [{k: v for k, v in record.items() if k != "picture"} for record in kept] == [json.loads(o) for o in out.splitlines()]
    for record in kept:
        schema.check(record)
        with Image.open(tmp_path / "out" / record["picture"]) as picture:
            assert picture.width == 200
            assert picture.height > 240
    rows = table(tmp_path / "out")
    assert [(row["path"], row["picture"]) for row in rows] == [(r["path"], r["picture"]) for r in kept]
    assert [float(row["count"]) for row in rows] == [r["count"] for r in kept]


def test_pictures_of_the_same_name_do_not_collide(run, photos: Path, tmp_path: Path) -> None:
    run("predict", photos, "--save", tmp_path / "out")
    names = [r["picture"] for r in records(tmp_path / "out")]
    assert sorted(names) == ["face-2.marked.jpg", "face.marked.jpg", "other.marked.jpg"]
    assert {p.name for p in (tmp_path / "out").iterdir()} == {*names, "predictions.jsonl", "predictions.csv"}


def test_files_that_are_there_are_never_overwritten(run, photos: Path) -> None:
    """Neither photographs, in whose folder the batch is kept, nor a file that happens to have a picture's name in capitals."""
    (photos / "OTHER.MARKED.jpg").write_bytes(drawing.encode(drawing.face(1), "JPEG"))
    before = {p: p.read_bytes() for p in photos.rglob("*") if p.is_file()}
    assert run("predict", photos / "other.png", "--save", photos)[0] == 0
    assert {p: p.read_bytes() for p in before} == before
    assert records(photos)[0]["picture"] == "other-2.marked.jpg"


def test_a_batch_is_not_begun_over_another(run, photos: Path, tmp_path: Path) -> None:
    for name in ("predictions.jsonl", "predictions.csv"):
        (tmp_path / name).write_text("mine\n")
        code, out, err = run("predict", photos, "--save", tmp_path)
        assert (code, out) == (2, "")
        assert f"{name}: exists already; resume the batch with --resume" in err
        assert (tmp_path / name).read_text() == "mine\n"
        (tmp_path / name).unlink()


def test_a_failed_photograph_is_kept_as_a_failure_and_done_again(run, photos: Path, tmp_path: Path) -> None:
    missing = photos / "late.jpg"
    assert run("predict", photos / "other.png", missing, "--save", tmp_path / "out")[0] == 3
    assert [r.get("error", {}).get("code") for r in records(tmp_path / "out")] == [None, "image_not_found"]
    shutil.copy(photos / "left" / "face.jpg", missing)
    code, out, err = run("predict", photos / "other.png", missing, "--save", tmp_path / "out", "--resume", "--format", "jsonl")
    assert code == 0
    assert [json.loads(line)["path"] for line in out.splitlines()] == [str(missing)]
    assert "1 photographs are done, 1 are not" in err
    assert [r["path"] for r in records(tmp_path / "out")] == [str(photos / "other.png"), str(missing)]
    assert [row["path"] for row in table(tmp_path / "out")] == [str(photos / "other.png"), str(missing)]


def test_a_resumed_batch_does_what_is_cut_off_or_lacks_its_picture_and_nothing_else(run, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("predict", photos, "--save", out)
    lines = (out / "predictions.jsonl").read_text().splitlines(keepends=True)
    (out / json.loads(lines[1])["picture"]).unlink()
    (out / json.loads(lines[2])["picture"]).unlink()
    (out / "predictions.jsonl").write_text("".join(lines[:2]) + lines[2][:100])  # killed while it was written
    (out / "predictions.csv").write_text("path,cou")
    kept = out / json.loads(lines[0])["picture"]
    before = (kept.read_bytes(), kept.stat().st_mtime_ns)
    assert run("predict", photos, "--save", out, "--resume")[0] == 0
    assert (kept.read_bytes(), kept.stat().st_mtime_ns) == before
    again = records(out)
    assert sorted(r["path"] for r in again) == sorted(json.loads(line)["path"] for line in lines)
    assert sorted(r["picture"] for r in again) == sorted(json.loads(line)["picture"] for line in lines)
    assert [row["path"] for row in table(out)] == [r["path"] for r in again]
    assert all((out / r["picture"]).is_file() for r in again)


def test_a_finished_batch_has_nothing_to_go_on_with(run, photos: Path, tmp_path: Path) -> None:
    run("predict", photos, "--save", tmp_path / "out")
    before = (tmp_path / "out" / "predictions.jsonl").read_text()
    code, _, err = run("predict", photos, "--save", tmp_path / "out", "--resume")
    assert code == 0
    assert "3 photographs are done, 0 are not" in err
    assert (tmp_path / "out" / "predictions.jsonl").read_text() == before


def test_a_batch_kept_beside_its_photographs_is_not_predicted_itself(run, photos: Path) -> None:
    run("predict", photos, "--save", photos)
    code, _, err = run("predict", photos, "--save", photos, "--resume")
    assert code == 0
    assert "3 photographs are done, 0 are not" in err


def test_resume_begins_a_batch_where_there_is_none(run, photos: Path, tmp_path: Path) -> None:
    assert run("predict", photos, "--save", tmp_path / "out", "--resume")[0] == 0
    assert len(records(tmp_path / "out")) == 3
    code, _, err = run("predict", photos, "--resume")
    assert code == 2
    assert "--resume needs --save DIR, the batch to resume" in err


def test_a_batch_by_another_model_or_scale_is_not_gone_on_with(run, photos: Path, tmp_path: Path) -> None:
    run("predict", photos / "other.png", "--save", tmp_path / "out")
    code, out, err = run("predict", photos, "--save", tmp_path / "out", "--resume", "--scale", "banded")
    assert (code, out) == (2, "")
    assert "by another model or on another scale" in err
    assert len(records(tmp_path / "out")) == 1


def test_what_is_no_batch_is_not_gone_on_with(run, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "predictions.jsonl").write_text('{"my": "notes"}\n')
    code, _, err = run("predict", photos, "--save", tmp_path, "--resume")
    assert code == 2
    assert "predictions.jsonl:1: not a line of a batch" in err
    assert (tmp_path / "predictions.jsonl").read_text() == '{"my": "notes"}\n'
    assert not list(tmp_path.glob(".*"))


def test_a_model_that_is_refused_leaves_no_folder(run, photos: Path, tmp_path: Path) -> None:
    assert run("predict", photos, "--save", tmp_path / "out", "--model", tmp_path / "none.onnx")[0] == 4
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_one_line(run, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, out, err = run("predict", photos, "--save", tmp_path / "file" / "out")
    assert (code, out) == (1, "")
    assert "a batch cannot be kept there" in err
    assert err.count("\n") == 1


def test_a_picture_that_cannot_be_drawn_costs_the_picture_alone(
    run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: object, *_: object, **__: object) -> bytes:
        raise AcneEdgeError("too long")

    monkeypatch.setattr(prediction.Prediction, "picture", refuse)
    code, out, err = run("predict", photos / "other.png", "--save", tmp_path / "out", "--format", "jsonl")
    assert code == 3
    assert json.loads(out)["count"] >= 0
    assert "other.png: no picture: too long" in err
    assert [(r["picture"], "error" in r) for r in records(tmp_path / "out")] == [(None, False)]


def test_bytes_on_stdin_get_a_picture_too(run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (photos / "other.png").open() as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        assert run("predict", "-", "--save", tmp_path / "out")[0] == 0
    assert (tmp_path / "out" / "stdin.marked.jpg").is_file()


def test_a_picture_takes_one_decode_more(
    photos: Path, tmp_path: Path, grader: AcneGrader, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[object] = []
    decode = images._from_bytes
    monkeypatch.setattr(images, "_from_bytes", lambda data, *rest: decoded.append(data) or decode(data, *rest))
    paths = [str(p) for p in sorted(photos.rglob("*.*"))]
    assert len(list(SavedBatch(tmp_path / "out").keep(grader.predict_many(paths)))) == 3
    assert len(decoded) == 2 * 3


def test_results_of_a_batch_come_in_order(photos: Path, tmp_path: Path, grader: AcneGrader) -> None:
    paths = [str(photos / "other.png"), "missing.jpg", str(photos / "left" / "face.jpg")] * 4
    kept = list(SavedBatch(tmp_path / "out").keep(grader.predict_many(paths)))
    assert [r.path for r in kept] == [r["path"] for r in records(tmp_path / "out")] == paths


def test_a_batch_that_is_killed_keeps_what_was_done(photos: Path, tmp_path: Path) -> None:
    """Killed without notice after its first lines; then it goes on, and each photograph is there once."""
    many = tmp_path / "many"
    many.mkdir()
    for number in range(40):
        shutil.copy(photos / "other.png", many / f"{number:02}.png")
    command = [sys.executable, "-m", "acne_edge", "predict", str(many), "--save", str(tmp_path / "out")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    file = tmp_path / "out" / "predictions.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (file.exists() and file.read_bytes().count(b"\n") >= 3):
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = file.read_bytes().count(b"\n")
    assert 3 <= kept < 40
    subprocess.run([*command, "--resume"], check=True, capture_output=True)
    assert sorted(r["path"] for r in records(tmp_path / "out")) == [str(many / f"{number:02}.png") for number in range(40)]
    assert sorted(p.name for p in (tmp_path / "out").glob("*.jpg")) == [f"{number:02}.marked.jpg" for number in range(40)]


def test_a_batch_in_a_folder_that_is_made_meanwhile_is_refused(photos: Path, tmp_path: Path, grader: AcneGrader) -> None:
    one, other = SavedBatch(tmp_path / "out"), SavedBatch(tmp_path / "out")
    list(one.keep(grader.predict_many([str(photos / "other.png")])))
    with pytest.raises((AcneEdgeError, UsageError), match="cannot be kept there"):
        list(other.keep(grader.predict_many([str(photos / "other.png")])))
