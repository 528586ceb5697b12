from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from acne_edge.errors import ImageNotFoundError, UsageError
from acne_edge.followup.visits import Visit, pair, read_visit


def test_a_visit_is_a_folder_a_list_or_saved_results(tmp_path: Path) -> None:
    for name in ("left.jpg", "right.jpg"):
        (tmp_path / name).write_bytes(b"")
    listing, saved = tmp_path / "list.txt", tmp_path / "saved.jsonl"
    listing.write_text("right.jpg\n\n# a comment\nleft.jpg\n")
    saved.write_text(json.dumps({"path": "x/left.jpg"}) + "\n")
    assert read_visit(str(tmp_path)).names == [str(tmp_path / n) for n in ("left.jpg", "right.jpg")]
    assert read_visit(str(listing)).names == [str(tmp_path / n) for n in ("right.jpg", "left.jpg")]
    assert read_visit(str(saved)).saved == [{"path": "x/left.jpg"}]
    (tmp_path / "predictions.jsonl").write_text(saved.read_text())
    assert read_visit(str(tmp_path)).saved == [{"path": "x/left.jpg"}]


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"count": 1}', "\udcff"])
def test_what_is_no_result_is_refused_with_the_files_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "r.jsonl"
    file.write_text(text, errors="surrogateescape")
    with pytest.raises(UsageError, match=r"r\.jsonl: "):
        read_visit(str(file))


def test_a_missing_visit_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageNotFoundError) as caught:
        read_visit(str(tmp_path / "nowhere"))
    assert caught.value.path == str(tmp_path / "nowhere")


def test_equal_names_are_paired_whatever_their_order() -> None:
    paired = pair(Visit(None, ["a/left.jpg", "a/right.jpg"]), Visit(None, ["b/RIGHT.png", "b/left.jpg"]))
    assert (paired.how, paired.baseline, paired.followup) == ("name", [0, 1], [1, 0])


def test_other_names_are_paired_by_order_and_the_view_shows_both() -> None:
    paired = pair(Visit(None, ["IMG_1.jpg"]), Visit(None, ["IMG_7.jpg"]))
    assert (paired.how, paired.views) == ("order", ["img_1 | img_7"])


def test_saved_results_may_come_through_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"path": "a.jpg"}\n{"path": "b.jpg"}\n')))
    assert read_visit("-").names == ["a.jpg", "b.jpg"]
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UsageError, match="-: expected results of"):
        read_visit("-")


def test_by_name_takes_what_has_a_partner_and_names_the_rest() -> None:
    paired = pair(Visit(None, ["left.jpg", "front.jpg"]), Visit(None, ["left.jpg"]), "name")
    assert (paired.views, paired.left) == (["left"], ["front"])
    with pytest.raises(UsageError, match="different names; say which"):
        pair(Visit(None, ["left.jpg", "front.jpg"]), Visit(None, ["left.jpg"]))
    with pytest.raises(UsageError, match="two photographs of one visit have this name"):
        pair(Visit(None, ["a/left.jpg", "b/left.jpg"]), Visit(None, ["left.jpg"]), "name")


def test_a_table_says_which_are_one_view(tmp_path: Path) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text("baseline,followup,view\nIMG_2.jpg,b/IMG_8.jpg,chin\n")
    first, second = Visit(None, ["a/IMG_1.jpg", "a/IMG_2.jpg"]), Visit(None, ["b/IMG_8.jpg"])
    paired = pair(first, second, table=table)
    assert paired == (["chin"], [1], [0], "file", ["a/IMG_1.jpg"])
    for text, message in [
        ("a,b\n1,2\n", "expected a CSV with the columns"),
        ("baseline,followup\n", "names no pair"),
        ("baseline,followup\nIMG_3.jpg,IMG_8.jpg\n", r"pairs\.csv:2: 'IMG_3.jpg' names 0 photographs of the first visit"),
        ("baseline,followup\nIMG_1.jpg,IMG_8.jpg\nIMG_2.jpg,IMG_8.jpg\n", "is in two pairs"),
    ]:
        table.write_text(text)
        with pytest.raises(UsageError, match=message):
            pair(first, second, table=table)
