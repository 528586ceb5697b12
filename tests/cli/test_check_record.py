from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from acne_edge.records.check import check
from tests.cli.conftest import Run
from tests.records.conftest import lines


@pytest.fixture
def study(run: Run, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A record of one photograph and one failure, as `predict` writes it, in the current folder."""
    monkeypatch.chdir(tmp_path)
    assert run("predict", photo.name, "none.jpg", "--record", "study.jsonl")[0] == 3
    return Path("study.jsonl")


def test_a_record_that_is_whole_is_said_to_be_and_what_that_means(run: Run, study: Path) -> None:
    code, out, err = run("check-record", study)
    assert (code, err) == (0, "")
    head = lines(study)[-1]["hash"]
    assert "2 photographs: 1 graded, 0 abstained on, 1 failed\n" in out
    assert f"chain: whole; every line is as it was written\nhead: {head}\n" in out
    assert "A chain cannot show that the whole file was rewritten" in out
    assert "--rerun predicts them again" in out
    assert max(map(len, out.splitlines())) <= 80
    code, out, _ = run("check-record", study, "--head", head)
    assert (code, "filed head: that of line 3; 0 lines added since" in out, "cannot show" in out) == (0, True, False)


def test_changes_are_named_and_end_with_exit_code_6(run: Run, study: Path) -> None:
    study.write_bytes(study.read_bytes().replace(b'"hayashi"', b'"banded_"'))
    code, out, err = run("check-record", study)
    assert (code, err) == (6, "")
    assert "CHANGED: line 2 was changed: it does not fit its hash\n" in out
    code, out, _ = run("check-record", study, "--format", "json")
    told = json.loads(out)
    assert (code, told["whole"], told["faults"][0]["line"]) == (6, False, 2)
    assert run("check-record", study, "--head", "0" * 64)[0] == 6
    assert run("check-record", study, "--consort")[0] == 6


def test_photographs_are_predicted_again(run: Run, study: Path, photo: Path) -> None:
    code, out, _ = run("check-record", study, "--rerun")
    assert (code, "predicted again: 1 as recorded" in out, "without a file: 1 result" in out) == (0, True, True)
    photo.write_bytes(photo.read_bytes() + b"x")
    code, out, _ = run("check-record", study, "--rerun")
    assert (code, "DIFFERENT: line 2, face.jpg: another file has this name now\n" in out) == (6, True)
    code, out, _ = run("check-record", study, "--photos", ".", "--format", "json")
    assert (code, json.loads(out)["rerun"]["absent"]) == (0, 1)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--head", "abc"], "64 hexadecimal digits"),
        (["--model", "x.onnx"], "--model goes with --rerun or --photos"),
        (["--consort", "--rerun"], "alone"),
    ],
)
def test_options_that_make_no_sense_are_refused(run: Run, study: Path, arguments: list[str], says: str) -> None:
    code, out, err = run("check-record", study, *arguments)
    assert (code, out, says in err, err.count("\n")) == (2, "", True, 1)


def test_counts_of_people_stand_beside_the_models(run: Run, study: Path) -> None:
    code, out, _ = run("add-count", study, "face.jpg", "--by", "R1", "--count", 12, "--grade", "moderate", "--comment", "scars")
    assert (code, out) == (0, "study.jsonl: 1 count by R1 added\n")
    line = lines(study)[-1]
    assert (line["by"], line["count"], line["grade"], line["scale"], line["comment"]) == ("R1", 12, 1, "hayashi", "scars")
    assert line["sha256"] == lines(study)[1]["sha256"]
    Path("list.csv").write_text("file,count,grade\nface.jpg,9,moderate\n")
    assert run("add-count", study, "--list", "list.csv", "--by", "R2")[0] == 0
    out = run("check-record", study)[1]
    assert "2 counts by 2 readers, of 1 photograph\n" in out
    assert "R1, 1 photograph" in run("check-record", study, "--consort")[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ["face.jpg", "--count", "3"],
        ["--by", "R1", "--count", "3"],
        ["face.jpg", "--by", "R1"],
        ["face.jpg", "--by", "R1", "--list", "list.csv"],
        ["other.jpg", "--by", "R1", "--count", "3"],
    ],
)
def test_a_count_that_says_too_little_is_refused_and_changes_nothing(run: Run, study: Path, arguments: list[str]) -> None:
    before = study.read_bytes()
    code, out, err = run("add-count", study, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert study.read_bytes() == before


def test_no_record_is_begun_by_a_count(run: Run, tmp_path: Path) -> None:
    code, _, err = run("add-count", tmp_path / "none.jsonl", "a.jpg", "--by", "R1", "--count", 3)
    assert (code, "No such file" in err, list(tmp_path.glob("*.jsonl"))) == (2, True, [])


def test_a_record_in_use_is_one_line_and_exit_code_2(run: Run, study: Path, photo: Path) -> None:
    from acne_edge import Record

    with Record(study):
        code, out, err = run("predict", photo, "--record", study)
    assert (code, out) == (2, "")
    assert err == "acne-edge: study.jsonl: another process is recording there; wait for it, or name another file\n"


def test_a_line_that_was_cut_short_is_told_of(run: Run, study: Path, photo: Path) -> None:
    study.write_bytes(study.read_bytes()[:-20])
    assert "the last line is cut short" in run("check-record", study)[1]
    _, _, err = run("predict", photo, "--record", study)
    assert "study.jsonl: its last line was cut short" in err
    code, out, _ = run("check-record", study)
    assert (code, "1 line had been cut short by a crash, and removed" in out) == (0, True)


def test_a_saved_batch_is_recorded_and_resumed_photographs_are_not_recorded_twice(run: Run, photo: Path, tmp_path: Path) -> None:
    more = photo.with_name("more.jpg")
    more.write_bytes(photo.read_bytes() + b"\0")
    save, study = tmp_path / "out", tmp_path / "study.jsonl"
    assert run("predict", photo, "--save", save, "--record", study)[0] == 0
    assert run("predict", photo, more, "--save", save, "--resume", "--record", study)[0] == 0
    assert [line["result"]["path"] for line in lines(study)[1:]] == ["face.jpg", "more.jpg"]
    assert check(study).whole


def test_standard_input_is_recorded_by_its_sum(photo: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "acne_edge", "predict", "-", "--record", str(tmp_path / "study.jsonl")]
    subprocess.run(command, input=photo.read_bytes(), check=True, capture_output=True)
    line = lines(tmp_path / "study.jsonl")[1]
    assert (line["result"]["path"], line["bytes"]) == ("-", photo.stat().st_size)


def test_watch_records_what_it_predicts(photo: Path, tmp_path: Path) -> None:
    folder, study = tmp_path / "hot", tmp_path / "study.jsonl"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(photo.read_bytes())
    (folder / "b.jpg").write_bytes(b"no image")
    command = [sys.executable, "-m", "acne_edge", "watch", str(folder), "--settle", "0", "--record", str(study)]
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    watching = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    assert watching.stdout is not None
    told = [json.loads(watching.stdout.readline()) for _ in range(2)]
    recorded = [line["result"] for line in lines(study)[1:]]
    watching.send_signal(signal.SIGTERM)
    assert watching.wait(30) == 0
    watching.stdout.close()
    assert [Path(t["path"]).name for t in told] == [Path(r["path"]).name for r in recorded] == ["a.jpg", "b.jpg"]
    assert recorded[0]["count"] == told[0]["count"]
    assert check(study).whole


def test_frames_of_a_camera_are_not_recorded(run: Run, tmp_path: Path) -> None:
    code, _, err = run("watch", "--camera", "0", "--record", tmp_path / "study.jsonl")
    assert (code, "leaves no file" in err) == (2, True)


def test_a_batch_that_is_killed_is_recorded_up_to_its_last_result(photo: Path, tmp_path: Path) -> None:
    folder, study = tmp_path / "photos", tmp_path / "study.jsonl"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number:02}.jpg").write_bytes(photo.read_bytes() + bytes([number]))
    command = [sys.executable, "-m", "acne_edge", "predict", str(folder), "--format", "jsonl", "--record", str(study)]
    batch = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert batch.stdout is not None
    told = [json.loads(batch.stdout.readline()) for _ in range(5)]
    time.sleep(0.01)
    batch.send_signal(signal.SIGKILL)
    told += [json.loads(line) for line in batch.stdout if line.endswith("}\n")]
    batch.wait()
    batch.stdout.close()
    recorded = {line.content["result"]["path"] for line in _whole(study)}
    assert {Path(t["path"]).relative_to(tmp_path).as_posix() for t in told} <= recorded
    assert check(study).whole


def _whole(study: Path):
    from acne_edge.records import chain

    return [line for line in chain.lines(study) if line.kind == chain.PHOTOGRAPH]
