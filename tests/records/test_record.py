from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from acne_edge import AcneGrader, Record
from acne_edge import image as images
from acne_edge.errors import AcneEdgeError, ImageDecodeError, UsageError
from acne_edge.image import NotedFile
from acne_edge.records import chain
from acne_edge.records.check import check
from tests import drawing, schema
from tests.records.conftest import lines

WRITER = """
import sys
from types import SimpleNamespace
from acne_edge import ImageDecodeError, Failure, Record

model = SimpleNamespace(name="m", version="1", sha256="0" * 64, backend="onnxruntime")
grader = SimpleNamespace(model=model, settings={"scale": None, "on_poor_quality": "warn"})
with Record(sys.argv[1]) as record:
    while True:
        record.add(grader, Failure("a.jpg", ImageDecodeError("x" * 2000)), b"bytes")
        print(record.head, flush=True)
"""


def test_a_photograph_is_a_line_with_all_that_made_its_result(study: Path, photos: Path, grader: AcneGrader) -> None:
    header, a, b, bad, c = lines(study)
    assert (header["format"], header["version"], header["previous"]) == (chain.FORMAT, chain.VERSION, None)
    for line, name in ((a, "a.jpg"), (b, "b.jpg"), (bad, "bad.jpg"), (c, "sub/c.jpg")):
        data = (photos / name).read_bytes()
        assert (line["sha256"], line["bytes"]) == (hashlib.sha256(data).hexdigest(), len(data))
        assert line["result"]["path"] == f"photos/{name}"
        assert line["model"] == vars(grader.model)
        assert line["settings"] == {
            "backend": "auto", "threads": 0, "strict": False, "scale": None, "on_poor_quality": "warn",
            "on_unfamiliar": "warn",
        }  # fmt: skip
        assert {"acne-edge", "numpy", "pillow", "onnxruntime", "python", "cpu"} <= set(line["software"])
        assert line["at"].endswith("Z")
        schema.check(line["result"])
    assert bad["result"]["error"]["code"] == "image_decode"
    assert a["result"]["quality"]["reasons"] == grader.predict(photos / "a.jpg").to_dict()["quality"]["reasons"]


def test_the_sum_is_of_the_bytes_that_were_decoded_not_of_the_file_as_it_is_later(
    grader: AcneGrader, photos: Path, tmp_path: Path
) -> None:
    before = (photos / "a.jpg").read_bytes()
    noted = NotedFile(photos / "a.jpg")
    result = grader.try_predict(noted)
    (photos / "a.jpg").write_bytes(b"another file")
    with Record(tmp_path / "study.jsonl") as record:
        record.add(grader, result, noted)
    assert lines(tmp_path / "study.jsonl")[1]["sha256"] == hashlib.sha256(before).hexdigest()


def test_a_file_that_changes_between_two_reads_is_refused(photos: Path) -> None:
    """A framed JPEG may be decoded twice."""
    noted = NotedFile(photos / "a.jpg")
    images.read(noted)
    images.read(noted)
    (photos / "a.jpg").write_bytes((photos / "b.jpg").read_bytes())
    with pytest.raises(ImageDecodeError, match=r"a\.jpg: the file changed while it was read"):
        images.read(noted)


def test_bytes_have_a_sum_and_no_name_and_pixels_have_neither(grader: AcneGrader, photos: Path, tmp_path: Path) -> None:
    data = (photos / "a.jpg").read_bytes()
    with Record(tmp_path / "study.jsonl") as record:
        record.predict(grader, data)
        record.predict(grader, drawing.face(width=200, height=240))
        record.predict(grader, tmp_path / "nowhere.jpg")
    told = [(line["sha256"], line["bytes"], line["result"]["path"]) for line in lines(tmp_path / "study.jsonl")[1:]]
    assert told == [(hashlib.sha256(data).hexdigest(), len(data), None), (None, None, None), (None, None, "nowhere.jpg")]


def test_a_result_comes_when_its_line_is_on_the_disk(
    grader: AcneGrader, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(descriptor))
    with Record(tmp_path / "study.jsonl") as record:
        begun = len(synced)
        for number, _ in enumerate(record.predict_many(grader, photos), 1):
            assert len(lines(tmp_path / "study.jsonl")) == 1 + number
            assert len(synced) == begun + number


def test_no_folder_outside_the_records_own_is_named(grader: AcneGrader, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    with Record(tmp_path / "records" / "study.jsonl") as record:
        record.predict(grader, photos / "a.jpg")
        record.predict(grader, photos / "none" / "a.jpg")
    assert str(tmp_path) not in (tmp_path / "records" / "study.jsonl").read_text()
    assert [line["result"]["path"] for line in lines(tmp_path / "records" / "study.jsonl")[1:]] == ["a.jpg", "a.jpg"]


def test_a_record_is_gone_on_with(study: Path, photos: Path, grader: AcneGrader) -> None:
    before = study.read_bytes()
    with Record(study) as record:
        head = record.head
        record.predict(grader, photos / "a.jpg")
        assert record.head != head == lines(study)[4]["hash"] == lines(study)[5]["previous"]
    assert study.read_bytes().startswith(before)
    assert check(study).whole


def test_a_record_cut_at_any_byte_is_recognised_and_gone_on_with(study: Path, tmp_path: Path) -> None:
    whole = study.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    cut = tmp_path / "cut.jsonl"
    places = {0, 1, 2, 7, 8, ends[0] - 1, *ends, *(end - 1 for end in ends), *range(ends[-2], len(whole), 37)}
    for place in sorted(places):
        cut.write_bytes(whole[:place])
        kept = max((end for end in ends if end <= place), default=0)
        with Record(cut) as record:
            assert record.cut == place - kept
        after = cut.read_bytes()
        assert after.startswith(whole[:kept]), place
        assert check(cut).whole, place
        assert check(cut).tally.cuts == (1 if record.cut else 0)
        if record.cut:
            told = lines(cut)[-1]
            assert (told["kind"], told["bytes"]) == (chain.CUT, place - kept)
            assert told["sha256"] == hashlib.sha256(whole[kept:place]).hexdigest()


@pytest.mark.slow
def test_a_record_cut_at_every_byte(study: Path, tmp_path: Path) -> None:
    whole = study.read_bytes()
    cut = tmp_path / "cut.jsonl"
    for place in range(len(whole)):
        cut.write_bytes(whole[:place])
        with Record(cut) as record:
            assert record.cut == place - (whole.rfind(b"\n", 0, place) + 1)
        assert check(cut).whole, place


def test_a_kill_loses_no_line_that_was_told_of(tmp_path: Path) -> None:
    study = tmp_path / "study.jsonl"
    for round_ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(study)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        told = [writer.stdout.readline().strip() for _ in range(20 + round_)]
        writer.send_signal(signal.SIGKILL)
        told += [line.strip() for line in writer.stdout if len(line) == 65]
        writer.wait()
        writer.stdout.close()
        found = {line.hash for line in chain.lines(study)}
        assert set(told) <= found
        assert check(study).whole
        Record(study).close()
    assert check(study).whole


def test_two_processes_cannot_have_one_record(study: Path) -> None:
    with Record(study), pytest.raises(UsageError, match=r"study\.jsonl: another process is recording there"):
        Record(study)
    Record(study).close()


def test_what_another_program_has_written_meanwhile_is_not_written_over(study: Path, grader: AcneGrader, photos: Path) -> None:
    with Record(study) as record:
        with study.open("ab") as other:
            other.write(b"{}\n")
        before = study.read_bytes()
        with pytest.raises(UsageError, match="another program"):
            record.predict(grader, photos / "a.jpg")
    assert study.read_bytes() == before


def test_a_full_disk_leaves_whole_lines_and_one_error(
    study: Path, grader: AcneGrader, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = study.read_bytes()
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        return write(descriptor, data[:100])

    with Record(study) as record:
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            with pytest.raises(AcneEdgeError, match="No space left"):
                record.predict(grader, photos / "a.jpg")
        assert study.read_bytes() == before
        record.predict(grader, photos / "a.jpg")  # there is room again
    assert check(study).whole


def test_threads_may_share_a_record(grader: AcneGrader, photos: Path, tmp_path: Path) -> None:
    with Record(tmp_path / "study.jsonl") as record:
        threads = [threading.Thread(target=record.predict, args=(grader, photos / "a.jpg")) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    checked = check(tmp_path / "study.jsonl")
    assert (checked.whole, checked.tally.graded + checked.tally.abstained) == (True, 6)


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"path,count\n", "no record"), (b"path,count", "no record"), (b"\xff\xd8\xff", "no record"), (b"{}\n", "no record")],
)
def test_another_file_is_refused_and_left_alone(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "results.csv"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=says):
        Record(path)
    assert path.read_bytes() == content


def test_a_record_whose_last_line_was_changed_is_not_added_to(study: Path) -> None:
    changed = study.read_bytes().replace(b'"count":0', b'"count":9').replace(b"sub/c.jpg", b"sub/d.jpg")
    study.write_bytes(changed)
    with pytest.raises(UsageError, match=r"was changed.*check-record"):
        Record(study)
    assert study.read_bytes() == changed


@pytest.mark.parametrize("name", ["photo.jpg", "no/such/folder.jsonl", "."])
def test_a_place_where_no_record_can_be_is_one_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(AcneEdgeError):
        Record(tmp_path / name)


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(AcneEdgeError, match="no regular file"):
        Record(tmp_path / "pipe")


def test_a_file_system_without_locks_does(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    Record(study).close()


def test_a_closed_record_takes_nothing(study: Path, grader: AcneGrader, photos: Path) -> None:
    record = Record(study)
    record.close()
    record.close()
    with pytest.raises(UsageError, match="closed"):
        record.predict(grader, photos / "a.jpg")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"count": -1}, "0..10000"),
        ({"count": 3, "grade": 1}, "scale"),
        ({"count": 3, "grade": -1, "scale": "hayashi"}, "grade"),
        ({"count": 3, "by": " "}, "who counted"),
        ({"count": 3, "comment": "x" * 10_001}, "characters"),
    ],
)
def test_a_count_that_cannot_be_is_refused(study: Path, arguments: dict[str, object], says: str) -> None:
    before = study.read_bytes()
    with Record(study) as record, pytest.raises(UsageError, match=says):
        record.add_count("0" * 64, **{"by": "R1", **arguments})  # type: ignore[arg-type]
    assert study.read_bytes() == before
