from __future__ import annotations

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from acne_edge.catalogue import load
from acne_edge.errors import ImageDecodeError
from acne_edge.evaluation.labels import Label
from acne_edge.prediction import Failure
from acne_edge.report import study as module
from acne_edge.report import words
from acne_edge.report.study import Study, write_page
from tests.report.conftest import MakeStudy
from tests.report.markup import check


@pytest.fixture(scope="module")
def study(make_study: MakeStudy) -> Study:
    return make_study(40)


@pytest.fixture(scope="module")
def page(study: Study) -> str:
    return write_page(study, load("en"), repeats=20)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_page_can_be_read_without_eyes_hands_or_a_network(study: Study, language: str) -> None:
    page = check(write_page(study, load(language), repeats=5))
    assert page.all("html")[0]["lang"] == {"en": "en", "zh": "zh-Hans"}[language]
    assert len(page.all("nav")) == 1
    assert [e["href"] for e in page.all("a")][1:] == [f"#{e['id']}" for e in page.all("h2")][1:], "the contents are complete"
    charts = [e for e in page.all("svg") if e.get("class") == "chart"]
    assert len(charts) == 4


def test_figures_are_those_of_the_evaluation(study: Study, page: str) -> None:
    text = check(page).text
    for name, digits, percent in module.SUMMARY:
        value, interval = words.figure(study.report["figures"][name], digits, percent)
        assert f"{value} {interval}" in text
    assert "Mean difference: " + words.number(study.report["figures"]["bias"]["value"]) in text


def test_it_says_what_was_measured_with_what_and_by_which_command(study: Study, page: str) -> None:
    text = check(page).text
    model = study.report["model"]
    for said in (model["name"], model["sha256"], model["backend"], study.report["list"]["sha256"], study.command):
        assert said in text
    assert "40 measured, 0 could not be used" in text
    assert re.search(r"Date ?20\d\d-\d\d-\d\d \d\d:\d\d", text)


def test_the_table_by_grade_is_that_of_the_literature(study: Study, page: str) -> None:
    table = next(t for t in check(page).all("table") if "Youden" in t["text"])
    columns = ["Precision, %", "SE, %", "SP, %", "YI", "MAE", "RMSE"]
    assert [" ".join(line.split()) for line in table["text"].split("\n") if line.strip()][1:9] == [
        "GradePhotographs", *columns, "mild" + str(sum(label.grade == 0 for label in study.labels)),
    ]  # fmt: skip
    grade = study.report["grade"]
    assert words.number(grade["per_grade"]["SE"][1], 1, True) in table["text"]
    assert words.number(grade["average"]["YI"]) in table["text"]


def test_faces_and_names_are_left_out_unless_they_are_asked_for(study: Study, page: str) -> None:
    assert "secret-" not in page
    assert "<img" not in page
    assert "data:image" not in page
    assert "Faces and file names are private" in page


def test_with_faces_the_worst_come_first_with_marks_and_boxes_and_without_exif(study: Study) -> None:
    errors = {label.name: abs(p.count - label.count) for label, p in zip(study.labels, study.predictions, strict=True)}
    order = sorted(errors, key=lambda name: -errors[name])
    boxes = {order[0]: np.array([[0.1, 0.1, 0.3, 0.3], [0.5, 0.5, 0.6, 0.7]])}
    page = check(write_page(study, load("en"), faces=boxes, repeats=5))
    pictures = page.all("img")
    assert len(pictures) == module.WORST
    assert pictures[0]["alt"].endswith("2 squares by people.")
    assert pictures[1]["alt"].endswith("0 squares by people.")
    shown = re.findall(r"secret-\d+\.jpg", page.source)
    assert shown == order[: module.WORST]
    first, second = (base64.b64decode(p["src"].partition(",")[2]) for p in pictures[:2])
    assert b"Dr Nobody" not in first
    pixels = np.asarray(Image.open(io.BytesIO(first)).convert("L"), float)
    width = Image.open(io.BytesIO(first)).width
    row = pixels[round(0.2 * len(pixels)), : round(0.2 * width)]
    assert row[round(0.1 * width) - 4 : round(0.1 * width) + 5].max() > 200, "the left edge of the first box is light"
    assert Image.open(io.BytesIO(second)).getexif() == {}


@pytest.mark.slow
def test_300_photographs_take_less_than_3_mb_faces_and_all(make_study: MakeStudy) -> None:
    page = write_page(make_study(300), load("zh"), faces={}, repeats=2)
    assert len(page.encode()) < 3_000_000
    assert page.count("<img") == module.WORST
    assert page.count("<use") > 600, "all photographs are dots in two charts"


def test_a_small_group_is_not_measured_and_a_large_one_is(make_study: MakeStudy) -> None:
    study = make_study(45)
    study.labels = [replace(label, source="clinic" if i < 30 else "street") for i, label in enumerate(study.labels)]
    page = check(write_page(study, load("en"), repeats=5))
    table = next(t for t in page.all("table") if "Source of the photograph" in t["text"])
    lines = [line.strip() for line in table["text"].split("\n") if line.strip()]
    clinic, street = lines.index("clinic30"), lines.index("street15")
    assert "not measured" not in lines[clinic:street]
    assert lines[street + 1] == "not measured"


def test_without_a_source_it_says_how_to_give_one(page: str) -> None:
    assert "Add a column named source to the labels." in page


def test_skin_tones_are_those_of_the_photographs(study: Study, page: str) -> None:
    """The drawn skin, (206, 160, 138), has an ITA of 47 degrees, which is light."""
    table = next(t for t in check(page).all("table") if "Skin tone" in t["text"])
    assert re.search(r"\blight40\b", table["text"].replace("very light", ""))


@pytest.mark.parametrize("learned", ["train", "val"])
def test_photographs_that_the_model_learned_are_warned_of(study: Study, page: str, learned: str) -> None:
    words_of = load("en")(f"study.learned.{learned}")
    assert words_of not in page
    report = {**study.report, "list": {**study.report["list"], "learned": learned}}
    again = write_page(replace(study, report=report), load("en"), repeats=5)
    assert again.count(words_of) == 2, "at the top, and where the list is named"


def test_photographs_that_failed_are_counted_and_named_by_their_place(make_study: MakeStudy) -> None:
    study = make_study(6)
    study.add(Label("secret-broken.jpg", 0, 1), Failure("secret-broken.jpg", ImageDecodeError("not an image")))
    text = check(write_page(study, load("en"), repeats=5)).text
    assert "Photographs that could not be used: 1." in text
    assert re.search(r"Photographs that could not be used.* 7 ?image_decode", text)
    assert "secret" not in text


def test_photographs_unlike_those_that_were_learned_are_warned_of_and_not_called_good(make_study: MakeStudy) -> None:
    study = make_study(6)
    study.predictions = [replace(p, unfamiliarity=2.0 if n < 2 else 0.5) for n, p in enumerate(study.predictions)]
    page = check(write_page(study, load("en"), repeats=5))
    assert "Photographs that are not like those that the model learned: 2." in page.text
    worst = page.text.split("furthest from their labels")[1].split("About this report")[0]
    assert (worst.count("unfamiliar"), worst.count("good")) == (2, 4)


def test_one_photograph_is_enough_for_a_page(make_study: MakeStudy) -> None:
    page = check(write_page(make_study(1), load("en"), repeats=5))
    assert "Few photographs: 1." in page.text
    assert "It takes two photographs or more" in page.text


def test_names_from_outside_are_text(make_study: MakeStudy) -> None:
    study = make_study(2)
    study.command = "acne-edge evaluate '<script>alert(1)</script>'"
    study.labels = [replace(label, source="<b>clinic</b>") for label in study.labels]
    page = write_page(study, load("en"), repeats=5)
    check(page)
    assert "&lt;script&gt;" in page
    assert "&lt;b&gt;clinic" in page
