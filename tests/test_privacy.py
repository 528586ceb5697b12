"""What commands write holds nothing of a photograph's metadata, and of its path no more than the privacy page says.

Every command that writes is run on photographs whose EXIF, GPS, serial numbers and folders are marked words; then all that it has
written is searched for them, wherever it lies and however it is packed.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

import pytest
from PIL import Image

from acne_edge.cli.main import DEVICE_COMMANDS
from tests import drawing

PAGE = Path(__file__).resolve().parents[1] / "docs" / "explanation" / "privacy-and-security.md"
SERIAL, OWNER, PLACE, NOTE, PATIENT = "SERIAL-5550123", "Owner Of Camera", "GPSPLACE77", "NOTE-ABOUT-A-FACE", "Patient-Folder"
INSIDE = (SERIAL, OWNER, PLACE, NOTE)  # of a photograph's metadata
Call: TypeAlias = "Callable[..., subprocess.CompletedProcess[str]]"


def photograph(seed: int) -> bytes:
    """A drawn JPEG whose EXIF says where it was taken, with what, and by whom."""
    exif = Image.Exif()
    exif[0x010E], exif[0x013B] = NOTE, OWNER  # ImageDescription, Artist
    exif[0x8769] = {0xA431: SERIAL}  # BodySerialNumber
    exif[0x8825] = {1: "N", 2: (48.0, 8.0, 30.0), 3: "E", 4: (11.0, 34.0, 30.0), 28: PLACE}
    return drawing.encode(drawing.face(20, seed, 240, 280), "JPEG", quality=95, exif=exif, comment=NOTE.encode())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photographs in a folder that is called like a patient, a list of their labels, and places for what is written."""
    inside = tmp_path / PATIENT / "photos"
    inside.mkdir(parents=True)
    for seed, name in enumerate(("a.jpg", "b.jpg")):
        (inside / name).write_bytes(photograph(seed))
    (tmp_path / "labels.csv").write_text("file,count\na.jpg,3\nb.jpg,4\n")
    return inside


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """Run the program in `tmp_path`, with caches and state of its own."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "XDG_STATE_HOME": str(tmp_path / "state")}

    def run(*arguments: object, ok: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "acne_edge", *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode in ok, done.stderr
        return done

    return run


def leaks(root: Path, words: tuple[str, ...], besides: Path) -> list[str]:
    """Where a word stands, in a file's name or content, outside of the photographs' folder."""
    found = []
    for path in sorted(p for p in root.rglob("*") if p.is_file() and besides not in p.parents):
        for data in (str(path.relative_to(root)).encode(), *unpacked(path.read_bytes())):
            found += [f"{word} in {path.relative_to(root)}" for word in words if word.encode() in data]
    return found


def unpacked(data: bytes) -> Iterator[bytes]:
    """The bytes, and what PNG's text chunks hold compressed."""
    yield data
    for text in re.finditer(rb"base64,([A-Za-z0-9+/=]+)", data):  # a picture inside a page
        yield base64.b64decode(text[1])
    for chunk in re.finditer(rb"zTXt|iTXt|eXIf", data):
        try:
            yield zlib.decompressobj().decompress(data[chunk.end() :])
        except zlib.error:
            continue


def test_the_search_finds_what_it_should(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "a.jpg", tmp_path / "leak.jpg")
    assert {line.split(" in ")[0] for line in leaks(tmp_path, INSIDE, folder)} == set(INSIDE)
    (tmp_path / "leak.txt").write_text(f"/x/{PATIENT}/a.jpg")
    assert f"{PATIENT} in leak.txt" in leaks(tmp_path, (PATIENT,), folder.parent)


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv", "fhir"])
def test_results_hold_nothing_of_the_metadata(call: Call, folder: Path, tmp_path: Path, form: str) -> None:
    if form == "fhir" and find_spec("fhir") is None:
        pytest.skip("the extra fhir is not installed")
    call("predict", folder, "--format", form, "-o", "results.txt")
    assert leaks(tmp_path, INSIDE, folder) == []
    named = leaks(tmp_path, (PATIENT,), folder.parent)
    assert named == ([] if form == "fhir" else [f"{PATIENT} in results.txt"])  # the path as it was given, as the page says


def test_pictures_of_a_batch_hold_nothing_of_the_metadata(call: Call, folder: Path, tmp_path: Path) -> None:
    call("predict", folder, "--save", "out")
    assert len(list((tmp_path / "out").glob("*.jpg"))) == 2
    assert leaks(tmp_path, INSIDE, folder) == []
    for picture in (tmp_path / "out").glob("*.jpg"):
        with Image.open(picture) as image:
            assert not image.getexif()
            assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi", "icc_profile"}
    assert {line.split(" in ")[1] for line in leaks(tmp_path, (PATIENT,), folder.parent)} == {
        "out/predictions.csv", "out/predictions.jsonl",
    }  # fmt: skip


@pytest.mark.slow
def test_a_record_holds_nothing_of_the_metadata_and_no_folder_above_its_own(call: Call, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    call("predict", folder, folder / "none.jpg", "--record", "records/study.jsonl", ok=(3,))
    call("add-count", "records/study.jsonl", folder / "a.jpg", "--by", "R1", "--count", 3)
    call("check-record", "records/study.jsonl", "--photos", folder)
    (tmp_path / "draft.md").write_text(call("check-record", "records/study.jsonl", "--consort").stdout)
    assert leaks(tmp_path, (*INSIDE, PATIENT, str(tmp_path)), folder.parent) == []


@pytest.mark.slow
def test_a_structured_report_holds_nothing_of_exif(call: Call, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("highdicom", reason="the extra dicom is not installed")
    from tests.dicom_files import dicom

    (folder / "a.dcm").write_bytes(dicom(drawing.face(20, 0, 240, 280), "jpeg", "YBR_FULL_422", frame=photograph(0)))
    call("predict", folder / "a.dcm", "--dicom-sr", "sr")
    assert (tmp_path / "sr" / "a.sr.dcm").is_file()
    assert leaks(tmp_path, (*INSIDE, PATIENT, str(tmp_path)), folder.parent) == []


def test_a_watch_remembers_names_alone_and_the_folder_that_it_watches(folder: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "XDG_STATE_HOME": str(tmp_path / "state")}
    command = [sys.executable, "-m", "acne_edge", "watch", str(folder), "--settle", "0", "--record", "study.jsonl"]
    watching = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    assert watching.stdout is not None
    for _ in range(2):
        watching.stdout.readline()
    watching.send_signal(signal.SIGTERM)
    watching.wait(30)
    watching.stdout.close()
    assert leaks(tmp_path, INSIDE, folder) == []
    assert {line.split(" in ")[1].split("/")[0] for line in leaks(tmp_path, (PATIENT,), folder.parent)} <= {
        "state",
        "study.jsonl",
    }


@pytest.mark.slow
def test_an_evaluation_holds_nothing_of_the_metadata_and_no_folders(call: Call, folder: Path, tmp_path: Path) -> None:
    call("evaluate", folder, "labels.csv", "-o", "report.json", "--predictions", "rows.csv")
    assert leaks(tmp_path, INSIDE, folder) == []
    assert {line.split(" in ")[1] for line in leaks(tmp_path, (PATIENT,), folder.parent)} <= {"rows.csv"}


@pytest.mark.slow
@pytest.mark.skipif(not all(map(find_spec, ("jinja2", "matplotlib"))), reason="the extra report is not installed")
def test_pages_hold_nothing_of_the_metadata_and_no_names_unless_asked_to(call: Call, folder: Path, tmp_path: Path) -> None:
    call("visit", folder / "a.jpg", folder / "b.jpg", "-o", "visit.html")
    call("evaluate", folder, "labels.csv", "--report", "study.html")
    pages = [(tmp_path / name).read_bytes() for name in ("visit.html", "study.html")]
    assert sum(part.startswith(b"\xff\xd8") for page in pages for part in unpacked(page)) >= 2  # pictures were looked into
    command = f"{PATIENT} in study.html"  # which ends with the command as it was given, as the page on privacy says
    names = leaks(tmp_path, (*INSIDE, PATIENT, "a.jpg", "b.jpg"), folder.parent)
    assert names == ["a.jpg in labels.csv", "b.jpg in labels.csv", command]
    assert (tmp_path / "study.html").read_text().count(PATIENT) == 1


def test_the_cache_holds_nothing_of_a_photograph(call: Call, folder: Path, tmp_path: Path) -> None:
    call("predict", folder)
    kept = {p.relative_to(tmp_path / "cache").as_posix() for p in (tmp_path / "cache").rglob("*") if p.is_file()}
    assert kept
    assert all(name.startswith("acne-edge/graphs/") for name in kept)
    assert leaks(tmp_path / "cache", (*INSIDE, PATIENT, "a.jpg"), folder) == []


def test_a_server_keeps_and_hands_out_nothing_of_the_metadata(folder: Path, tmp_path: Path) -> None:
    if find_spec("fastapi") is None:
        pytest.skip("the extra serve is not installed")
    said = tmp_path / "said.sqlite"
    command = [sys.executable, "-m", "acne_edge", "serve", folder, "--port", "0", "--no-token", "--store", said]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, stderr=log) as server,
    ):
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        found: list[dict[str, object]] = []
        while len(found) < 2:
            found = json.loads(asked(f"{address}study/changes"))["rows"]
        for row in found:
            for kind in ("picture", "thumbnail"):
                (tmp_path / f"{row['id']}-{kind}.jpg").write_bytes(asked(f"{address}study/photographs/{row['id']}/{kind}"))
        server.send_signal(signal.SIGTERM)
    assert leaks(tmp_path, (*INSIDE, PATIENT), folder.parent) == []
    assert b"a.jpg" in said.read_bytes()  # as the page says


def asked(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=30) as answer:
        return answer.read()


def test_the_page_says_of_every_command_what_it_writes() -> None:
    table = PAGE.read_text().split("## What is written")[1].split("\n## ")[0]
    assert [command for command in DEVICE_COMMANDS if f"`{command}" not in table] == []
    for option in ("--save", "--record", "--dicom-sr", "-o", "--predictions", "--report"):
        assert f"`{option}" in table or f" {option}" in table
