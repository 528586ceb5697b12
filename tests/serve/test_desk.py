"""What the page asks of the server."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from time import monotonic

import numpy as np
import pytest

from acne_edge.evaluation.annotated import from_coco
from acne_edge.evaluation.labels import read_labels
from acne_edge.serve import rows as rows_of
from acne_edge.serve import shelf
from tests import drawing
from tests.command import call
from tests.serve.conftest import Client, Serve, rows, wait_for

MARKS = [{"x": 0.25, "y": 0.5, "score": None}, {"x": 0.75, "y": 0.5, "score": 0.9}]


def say(client: Client, number: int, version: int = 1, reader: str = "", blind: bool = False, **said: object) -> object:
    content = {"version": version, "marks": MARKS, "note": "", "done": True, **said}
    return client.put(f"/study/photographs/{number}/reading", params={"reader": reader, "blind": blind}, json=content)


def see(client: Client, number: int, reader: str = "", blind: bool = False) -> dict:
    return client.get(f"/study/photographs/{number}", params={"reader": reader, "blind": blind}).json()


def test_photographs_of_the_folder_are_predicted_and_listed(serve: Serve, folder: Path) -> None:
    found = rows(serve(folder), 3)
    assert set(found) == {"a.jpg", "b.jpg", "below/c.jpg"}
    assert {row["state"] for row in found.values()} == {"new"}
    assert all(row["machine"]["count"] >= 0 for row in found.values())


def test_one_that_arrives_is_predicted_within_a_second(serve: Serve, folder: Path, jpeg: bytes) -> None:
    client = serve(folder)
    rows(client, 3)
    wait_for(lambda: client.get("/study/changes").json()["waiting"] == 0)
    took = []
    for name in ("1.jpg", "2.jpg", "3.jpg"):
        since = client.get("/study/changes").json()["sequence"]
        (folder / name).write_bytes(jpeg)
        begin, seen = monotonic(), []
        while not seen and monotonic() - begin < 10:
            told = client.get("/study/changes", params={"since": since}).json()
            since, seen = told["sequence"], [row for row in told["rows"] if row["machine"]]
        assert [row["name"] for row in seen] == [name]
        took.append(monotonic() - begin)
    assert sorted(took)[1] < 1  # the median: a machine may be busy for a moment


@pytest.mark.slow
def test_one_that_goes_is_told_of_and_one_that_changes_is_predicted_anew(serve: Serve, folder: Path, jpeg: bytes) -> None:
    client = serve(folder)
    before = rows(client, 3)
    assert say(client, before["b.jpg"]["id"], 0).status_code == 200
    told = client.get("/study/changes").json()
    (folder / "a.jpg").unlink()
    (folder / "b.jpg").write_bytes(jpeg)

    def changed() -> dict:
        return client.get("/study/changes", params={"since": told["sequence"]}).json()

    wait_for(lambda: changed()["gone"] == [before["a.jpg"]["id"]])
    wait_for(lambda: any(row["name"] == "b.jpg" for row in changed()["rows"]))
    assert rows(client, 2)["b.jpg"]["state"] == "new"  # what was said was said of another picture
    (folder / "b.jpg").write_bytes(drawing.encode(drawing.face(13, seed=1, width=288, height=320), "JPEG"))
    wait_for(lambda: rows(client, 2)["b.jpg"]["state"] == "corrected")


@pytest.mark.slow
def test_a_photograph_that_is_renamed_keeps_what_was_said_of_it(serve: Serve, folder: Path) -> None:
    client = serve(folder)
    assert say(client, rows(client, 3)["a.jpg"]["id"], 0, note="left").status_code == 200
    (folder / "a.jpg").rename(folder / "z.jpg")
    wait_for(lambda: set(rows(client, 3)) == {"z.jpg", "b.jpg", "below/c.jpg"})
    assert rows(client, 3)["z.jpg"]["note"] == "left"


def test_a_restart_repeats_nothing(serve: Serve, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = serve(folder)
    say(client, rows(client, 3)["a.jpg"]["id"], 0, note="left")
    wait_for(lambda: client.get("/study/changes").json()["waiting"] == 0)

    def never(*_: object) -> None:
        raise AssertionError("predicted again")

    monkeypatch.setattr("acne_edge.grader.AcneGrader.predict", never)
    again = serve(folder)
    assert {row["name"]: row.get("note") for row in rows(again, 3).values()}["a.jpg"] == "left"


def test_broken_photographs_are_listed_as_failed(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    client = serve(tmp_path)
    row = rows(client, 1)["cut.jpg"]
    assert (row["state"], row["error"]) == ("failed", "image_decode")
    assert see(client, row["id"])["prediction"]["error"]["code"] == "image_decode"
    assert client.get(f"/study/photographs/{row['id']}/thumbnail").status_code == 422


def test_what_is_added_is_written_whole_and_never_over_another(serve: Serve, folder: Path, jpeg: bytes) -> None:
    client = serve(folder)
    before = (folder / "a.jpg").read_bytes()
    number = client.post("/study/photographs", params={"name": "a.jpg"}, content=jpeg).json()["id"]
    assert (folder / "a.jpg").read_bytes() == before
    assert (folder / "a (2).jpg").read_bytes() == jpeg
    assert see(client, number)["name"] == "a (2).jpg"
    assert (folder / "a (2).jpg").stat().st_mode & 0o077 == 0
    again = client.post("/study/photographs", params={"name": "other.jpg"}, content=jpeg).json()["id"]
    assert again == number  # it is there already, under another name
    there = set(os.listdir(folder)) - {"acne-edge.sqlite", "acne-edge.sqlite-journal"}  # the latter while one is predicted
    assert there == {"a (2).jpg", "a.jpg", "b.jpg", "below"}


def test_a_folder_that_cannot_be_written_is_said(
    serve: Serve, folder: Path, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    client = serve(folder)
    monkeypatch.setattr(shelf.os, "fsync", full)
    answer = client.post("/study/photographs", params={"name": "n.jpg"}, content=jpeg)
    assert (answer.status_code, "No space left" in answer.text) == (503, True)
    assert not [name for name in os.listdir(folder) if name.startswith((".acne", "n"))]


def test_without_a_folder_photographs_are_held_in_memory(serve: Serve, jpeg: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    client = serve()
    ids = [client.post("/study/photographs", params={"name": "a.jpg"}, content=jpeg + bytes(n)).json()["id"] for n in range(2)]
    assert {row["name"] for row in rows(client, 2).values()} == {"a.jpg", "a (2).jpg"}
    assert client.get(f"/study/photographs/{ids[1]}/picture").content.startswith(b"\xff\xd8")
    monkeypatch.setattr(shelf, "HELD", 2 * len(jpeg) + 2)
    answer = client.post("/study/photographs", content=jpeg + b"more")
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "full")


def test_pictures_are_upright_and_small(serve: Serve, tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "a.jpg").write_bytes(drawing.with_orientation(drawing.face(width=300, height=600), 6))
    client = serve(tmp_path)
    number = rows(client, 1)["a.jpg"]["id"]
    sizes = [
        Image.open(io.BytesIO(client.get(f"/study/photographs/{number}/{kind}").content)).size
        for kind in ("picture", "thumbnail")
    ]
    assert sizes == [(600, 300), (144, 72)]
    size = see(client, number)["prediction"]["image"]
    assert (size["width"], size["height"]) == (600, 300)


def test_to_look_is_to_have_seen(serve: Serve, folder: Path) -> None:
    client = serve(folder)
    number = rows(client, 3)["a.jpg"]["id"]
    first = see(client, number, "Dr A")
    assert (first["reading"]["version"], first["reading"]["marks"], first["human"]) == (1, None, None)
    assert see(client, number, "Dr A")["reading"]["version"] == 1
    states = {who: client.get("/study/changes", params={"reader": who}).json()["rows"] for who in ("Dr A", "Dr B")}
    assert {who: {r["name"]: r["state"] for r in found}["a.jpg"] for who, found in states.items()} == {
        "Dr A": "seen",
        "Dr B": "new",
    }


def test_a_correction_stands_beside_the_models_result(serve: Serve, folder: Path) -> None:
    client = serve(folder)
    number = rows(client, 3)["a.jpg"]["id"]
    before = see(client, number)
    answer = say(client, number, note="old scar").json()
    assert answer["prediction"] == before["prediction"]
    assert answer["human"] == {"count": 2, "grade": 0}
    assert answer["reading"]["marks"] == MARKS
    assert rows(client, 3)["a.jpg"]["state"] == "corrected"


@pytest.mark.parametrize(
    ("unfamiliarity", "abstained", "faults"),
    [
        (1.4, None, ["unfamiliar", "too_dark"]),
        (1.4, "unfamiliar", ["unfamiliar", "too_dark"]),
        (1.4, "blank", ["too_dark"]),
        (0.9, None, ["too_dark"]),
        (None, None, ["too_dark"]),
    ],
)
def test_a_photograph_unlike_those_that_were_learned_is_said_to_be_so(
    unfamiliarity: float | None, abstained: str | None, faults: list[str]
) -> None:
    result = {"quality": {"reasons": ["too_dark"]}, "unfamiliarity": unfamiliarity, "abstained": abstained}
    assert rows_of.faults(result) == faults


def test_counts_and_grades_of_people(serve: Serve, folder: Path) -> None:
    client = serve(folder)
    number = rows(client, 3)["a.jpg"]["id"]
    for version, (said, human) in enumerate(
        (
            ({"count": 30}, {"count": 30, "grade": 2}),
            ({"grade": 3}, {"count": 2, "grade": 3}),
            ({"marks": []}, {"count": 0, "grade": 0}),
            ({"marks": None}, None),
        )
    ):
        assert say(client, number, version, **said).json()["human"] == human


def test_what_cannot_be_a_reading_is_refused(serve: Serve, folder: Path) -> None:
    client = serve(folder)
    number = rows(client, 3)["a.jpg"]["id"]
    for said in (
        {"marks": [{"x": 1.5, "y": 0.5}]},
        {"marks": [{"x": "nan", "y": 0.5}]},
        {"marks": [{"x": 0.5}]},
        {"marks": [{"x": 0.5, "y": 0.5}] * 2001},
        {"marks": "all"},
        {"count": -1},
        {"grade": 4},
        {"version": -1},
        {"note": "x" * 5000},
        {"other": 1},
    ):
        assert say(client, number, **{"version": 0, **said}).status_code == 422, said
    assert rows(client, 3)["a.jpg"]["state"] == "new"


def test_the_second_window_is_told_what_the_first_has_kept(serve: Serve, folder: Path) -> None:
    client = serve(folder)
    number = rows(client, 3)["a.jpg"]["id"]
    version = see(client, number)["reading"]["version"]
    assert say(client, number, version, note="first").status_code == 200
    second = say(client, number, version, note="second")
    assert second.status_code == 409
    assert second.json()["current"]["reading"]["note"] == "first"
    assert see(client, number)["reading"]["note"] == "first"


@pytest.mark.parametrize("forced", [False, True])
def test_one_who_counts_blind_is_told_nothing_before(serve: Serve, folder: Path, forced: bool) -> None:
    client = serve(folder, blind=forced)
    asked = {"blind": not forced}
    number = rows(client, 3)["b.jpg"]["id"]
    hidden = see(client, number, "Dr A", **asked)
    listed = client.get("/study/changes", params={"reader": "Dr A", **asked}).text
    assert hidden["withheld"]
    assert "count" not in hidden["prediction"]
    assert "lesions" not in hidden["prediction"]
    assert "machine" not in json.dumps(hidden) + listed
    counted = say(client, number, 1, "Dr A", **asked, count=9, marks=[], reveal=False).json()
    assert counted["withheld"]
    assert not counted["reading"]["done"]  # before it is compared, it is no reading to export
    shown = say(client, number, 2, "Dr A", **asked, count=9, marks=[], reveal=True).json()
    assert (shown["withheld"], shown["reading"]["first"]["lesions"], shown["state"]) == (False, 9, "corrected")
    assert shown["prediction"]["count"] > 0
    later = say(client, number, 3, "Dr A", **asked, count=12, marks=[]).json()
    assert (later["human"]["count"], later["reading"]["first"]["lesions"]) == (12, 9)


def test_one_who_has_not_counted_is_shown_nothing(serve: Serve, folder: Path) -> None:
    client = serve(folder)
    number = rows(client, 3)["b.jpg"]["id"]
    see(client, number, blind=True)
    assert say(client, number, 1, blind=True, marks=None, reveal=True).status_code == 422


def test_who_has_seen_the_models_marks_does_not_count_blind(serve: Serve, folder: Path) -> None:
    client = serve(folder)
    number = rows(client, 3)["b.jpg"]["id"]
    see(client, number)
    assert not see(client, number, blind=True)["withheld"]
    assert say(client, number, 1, blind=True, reveal=True).json()["reading"]["first"] is None


def test_agreement(serve: Serve, folder: Path) -> None:
    client = serve(folder)
    found = rows(client, 3)
    for n, row in enumerate(found.values()):
        see(client, row["id"], "Dr A", blind=n > 0)
        say(client, row["id"], 1, "Dr A", blind=n > 0, marks=None, count=row["machine"]["count"] + n, reveal=n > 0)
    (told,) = client.get("/study/agreement").json()["readers"]
    assert (told["reader"], told["photographs"], told["blind"]) == ("Dr A", 3, 2)
    assert told["bias"] == pytest.approx(-1)  # the model counts 0, 1 and 2 fewer
    assert (told["low"], told["high"]) == (pytest.approx(-1 - 1.96), pytest.approx(-1 + 1.96))
    human, machine = np.array([[p["human"], p["machine"]] for p in told["pairs"]]).T
    assert told["mae"] == np.abs(human - machine).mean()
    assert 0 < told["icc"] <= 1


def test_nothing_is_made_up_where_nobody_has_read(serve: Serve, folder: Path) -> None:
    client = serve(folder)
    number = rows(client, 3)["a.jpg"]["id"]
    see(client, number)
    assert client.get("/study/agreement").json() == {"readers": []}
    assert client.get("/study/export.json").json()["images"] == []


def test_the_annotated_set_is_what_was_said_and_evaluate_reads_it(serve: Serve, folder: Path, tmp_path: Path) -> None:
    from acne_edge.cli.main import main

    client = serve(folder)
    found = rows(client, 3)
    say(client, found["a.jpg"]["id"], 0, "Dr A", note="left")
    say(client, found["below/c.jpg"]["id"], 0, "Dr A", marks=None, count=30)
    say(client, found["a.jpg"]["id"], 0, "Dr B", marks=[])
    see(client, found["b.jpg"]["id"], "Dr A")  # seen, but not read
    answer = client.get("/study/export.json", params={"reader": "Dr A"})
    assert answer.headers["Content-Disposition"] == 'attachment; filename="annotated.json"'
    annotated = from_coco(answer.json())
    said = {p.name: p.readings for p in annotated.photographs}
    assert set(said) == {"a.jpg", "below/c.jpg"}
    (a,), (c,) = said["a.jpg"], said["below/c.jpg"]
    assert (a.count, a.grade, a.by, a.note) == (2, 0, "Dr A", "left")
    assert [(round(m.x, 3), round(m.y, 3), m.score) for m in a.marks or ()] == [(0.25, 0.5, None), (0.75, 0.5, None)]
    assert (c.count, c.grade, c.marks) == (30, 2, None)
    (tmp_path / "set.json").write_bytes(answer.content)
    done = call(main, "evaluate", folder, tmp_path / "set.json", "--format", "json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["images"] == 2
    both = from_coco(client.get("/study/export.json").json())
    assert {r.by for p in both.photographs for r in p.readings} == {"Dr A", "Dr B"}


def test_the_table_is_what_was_said_and_evaluate_reads_it(serve: Serve, folder: Path, tmp_path: Path) -> None:
    client = serve(folder)
    found = rows(client, 3)
    say(client, found["a.jpg"]["id"], 0, "Dr A", note='=cmd|"/c calc"')
    text = client.get("/study/export.csv").text
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["file"], row["count"], row["label"], row["reader"]) == ("a.jpg", "2", "mild", "Dr A")
    assert row["machine_count"] == str(found["a.jpg"]["machine"]["count"])
    assert row["note"].startswith("'=")  # a spreadsheet would compute it
    (tmp_path / "set.csv").write_text(text)
    assert [(label.name, label.count, label.grade) for label in read_labels(tmp_path / "set.csv")] == [("a.jpg", 2, 0)]


def test_counts_before_the_models_were_seen_are_exported_apart(serve: Serve, folder: Path) -> None:
    client = serve(folder)
    number = rows(client, 3)["a.jpg"]["id"]
    see(client, number, blind=True)
    say(client, number, 1, blind=True, reveal=True)
    say(client, number, 2, blind=True, marks=[])
    counts = [
        from_coco(client.get("/study/export.json", params={"which": which}).json()).photographs[0].readings[0].count
        for which in ("blind", "last")
    ]
    assert counts == [2, 0]
