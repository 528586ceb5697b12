from __future__ import annotations

import base64
import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from acne_edge import Prediction
from acne_edge.catalogue import load
from acne_edge.grading import BANDED, HAYASHI
from acne_edge.prediction import CountInterval, Grade
from acne_edge.report import page as pages
from acne_edge.report.visit import put_together, write_page
from tests.report.markup import check


def side(prediction: Prediction, count: float, low: int, high: int, grades: tuple[int, ...] | None = None) -> Prediction:
    """A side with that count and, perhaps, those grades possible, the first the likeliest."""
    chosen = grades or (HAYASHI.grade(count),)
    grade = Grade(chosen[0], HAYASHI.labels[chosen[0]], "")
    probs = tuple(0.7 if g == chosen[0] else 0.1 for g in range(4))
    return replace(
        prediction, count=count, count_interval=CountInterval(0.9, low, high), grade=grade, grade_set=tuple(sorted(chosen)),
        grade_probs=probs, abstained=None,
    )  # fmt: skip


@given(st.lists(st.floats(0, 60), min_size=2, max_size=2), st.lists(st.integers(0, 9), min_size=4, max_size=4))
def test_the_sum_is_of_what_stands_there_and_holds_where_both_intervals_do(
    predictions: list[Prediction], counts: list[float], reach: list[int]
) -> None:
    sides = [side(predictions[1], c, max(0, int(c) - reach[2 * i]), int(c) + 1 + reach[2 * i + 1]) for i, c in enumerate(counts)]
    both = put_together(sides)
    assert both is not None
    assert both.count == sides[0].rounded_count + sides[1].rounded_count
    assert both.interval.level == pytest.approx(0.8), "two intervals of 90 % hold at once with at least 80 %"
    for true in ([s.count_interval.low for s in sides], [s.count_interval.high for s in sides]):
        assert both.interval.low <= sum(true) <= both.interval.high


def test_the_worse_side_is_that_of_the_higher_grade(predictions: list[Prediction]) -> None:
    p = predictions[1]
    mild, moderate, wider = side(p, 3, 1, 5), side(p, 9, 6, 14), side(p, 9, 6, 30, (1, 2))
    found = {
        name: together.worse
        for name, pair in {
            "right": (mild, moderate), "left": (moderate, mild), "both": (mild, mild), "reaches further": (wider, moderate),
            "clear": (side(p, 0.2, 0, 1), mild),
        }.items()
        if (together := put_together(pair)) is not None
    }  # fmt: skip
    assert found == {"right": (1,), "left": (0,), "both": (0, 1), "reaches further": (0,), "clear": (1,)}


def test_a_side_that_was_not_seen_leaves_no_sum_and_one_without_a_grade_no_worse_side(predictions: list[Prediction]) -> None:
    good = side(predictions[1], 8, 5, 12)
    assert put_together((good, replace(good, abstained="blank"))) is None
    unsure = put_together((good, replace(good, abstained="low_confidence")))
    assert unsure is not None
    assert (unsure.count, unsure.worse) == (16, ())


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_page_a_view_with_marks_count_ladder_advice_and_space_for_the_doctor(
    predictions: list[Prediction], language: str
) -> None:
    words = load(language)
    page = check(write_page(predictions[2], predictions[3], predictions[1:2], HAYASHI, words))
    views = [e for e in page.all("section") if e.get("class") == "view"]
    pictures, ladders = page.all("img"), [t for t in page.all("table") if t.get("class") == "ladder"]
    assert len(views) == len(pictures) == len(ladders) == 3
    for view, p in zip(views, (predictions[2], predictions[3], predictions[1]), strict=True):
        assert str(p.rounded_count) in view["text"]
        interval = p.count_interval
        assert words("visit.range", low=interval.low, high=interval.high, level="90") in view["text"]
        assert words("advice.ok") in view["text"]
    assert len([e for e in page.all("dl") if e.get("class") == "own"]) == 4
    assert all(e["text"] == "" for e in page.all("dd") if "own" in str(e["around"])), "nothing is filled in"
    assert " ".join(words("visit.rule.interval", level="90", both="80").split()) in page.text
    assert words("visit.rule.more") in page.text
    assert predictions[2].model.sha256 in page.text


def test_the_ladder_says_in_words_what_its_colours_say(predictions: list[Prediction]) -> None:
    unsure = side(predictions[2], 19, 12, 30, (1, 2))
    page = check(write_page(unsure, unsure, (), HAYASHI, load("en")))
    ladder = next(t for t in page.all("table") if t.get("class") == "ladder")
    lines = ["".join(line.replace("\N{EN DASH}", "-").split()) for line in ladder["text"].split("\n") if line.strip()]
    assert lines[1:] == [
        "mild0-5lesions10%", "moderatemostlikely6-20lesions70%", "severepossible21-50lesions10%", "verysevere51lesionsandmore10%",
    ]  # fmt: skip
    assert "Grade: moderate to severe" in page.text


def test_without_a_count_or_a_grade_the_page_says_so(predictions: list[Prediction]) -> None:
    good = side(predictions[2], 8, 5, 12)
    blank = replace(good, abstained="blank", quality=replace(good.quality, reasons=("blank",)))
    text = check(write_page(blank, good, (), HAYASHI, load("en"))).text
    assert "Left side: no count, so there is no sum" in text
    assert "Take the cover off the lens" in text
    assert "not counted" in text
    assert "No grade is given: empty picture." in text
    assert "0 rings" in check(write_page(blank, good, (), HAYASHI, load("en"))).all("img")[0]["alt"]


@pytest.mark.parametrize("abstained", ["unfamiliar", None])
def test_a_photograph_unlike_those_that_were_learned_is_not_called_good(
    predictions: list[Prediction], abstained: str | None
) -> None:
    good = replace(side(predictions[2], 8, 5, 12), unfamiliarity=0.5)
    text = check(write_page(replace(good, abstained=abstained, unfamiliarity=1.5), good, (), HAYASHI, load("en"))).text
    assert text.count("The picture is not like the photographs that the model learned.") == 1
    assert text.count("good enough to count on") == 1, "the other side is"
    assert ("No grade is given: unfamiliar." in text) == (abstained is not None)


def test_other_bands_are_not_said_to_be_hayashis(predictions: list[Prediction]) -> None:
    assert "J. Dermatol." in write_page(predictions[1], predictions[2], (), HAYASHI, load("en"))
    assert "J. Dermatol." not in write_page(predictions[1], predictions[2], (), BANDED, load("en"))


def test_nothing_of_the_photographs_but_their_pixels(predictions: list[Prediction], drawn: list[Path]) -> None:
    assert b"Dr Nobody" in drawn[1].read_bytes()
    source = write_page(predictions[1], predictions[2], (), HAYASHI, load("en"), title="<Visit> 12")
    page = check(source)
    for picture in page.all("img"):
        data = base64.b64decode(picture["src"].partition(",")[2])
        assert b"Dr Nobody" not in data
        assert Image.open(io.BytesIO(data)).getexif() == {}
    assert "drawn1" not in source, "names of files are names of people"
    assert page.all("h1")[0]["text"] == page.all("title")[0]["text"] == "<Visit> 12"


def test_a_pdf_has_a_page_for_both_sides_and_one_for_each_view(predictions: list[Prediction]) -> None:
    weasyprint = pytest.importorskip(
        "weasyprint", reason="the extra report, or Pango, is not installed", exc_type=(ImportError, OSError)
    )  # type: ignore[arg-type]
    source = write_page(predictions[1], predictions[3], predictions[2:3], HAYASHI, load("zh"))
    assert len(weasyprint.HTML(string=source).render().pages) == 4
    data = pages.pdf(source)
    assert data.startswith(b"%PDF-")
    assert b"Dr Nobody" not in data


def test_half_a_photograph_is_refused_after_a_pdf_too() -> None:
    pytest.importorskip("weasyprint", reason="the extra report, or Pango, is not installed", exc_type=(ImportError, OSError))  # type: ignore[arg-type]
    code = "from acne_edge.report import page; from PIL import ImageFile; page.pdf('<p>'); print(ImageFile.LOAD_TRUNCATED_IMAGES)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_pdf_fetches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("weasyprint", reason="the extra report is not installed")
    import socket

    asked: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda *arguments: asked.append(arguments))
    pages.pdf("<img src='http://127.0.0.1:9/face.jpg'><link rel=stylesheet href='file:///etc/hostname'>")
    assert asked == []
