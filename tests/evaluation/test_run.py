from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from acne_edge import AcneGrader
from acne_edge.errors import ImageError, UsageError
from acne_edge.evaluation.annotated import AnnotatedPhotograph, AnnotatedSet, Mark, Reading, write_annotated
from acne_edge.evaluation.labels import list_hash, read_labels
from acne_edge.evaluation.learned import encoded
from acne_edge.evaluation.run import evaluate_list
from acne_edge.evaluation.tables import to_json
from tests import drawing


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two drawn photographs and a file that is none."""
    folder = tmp_path_factory.mktemp("images")
    for name, lesions in (("a.jpg", 2), ("b.jpg", 40)):
        (folder / name).write_bytes(drawing.encode(drawing.face(lesions, width=288, height=320), "JPEG"))
    (folder / "broken.jpg").write_bytes(b"no image")
    return folder


def listed(folder: Path, text: str) -> Path:
    (folder / "list.txt").write_bytes(text.encode())
    return folder / "list.txt"


def test_the_report_is_strict_json_with_intervals_and_names_what_failed(grader: AcneGrader, images: Path, tmp_path: Path) -> None:
    labels = listed(tmp_path, "a.jpg 0 3\nbroken.jpg 0 1\nb.jpg 2 40\nmissing.jpg 1 8\n")
    report = evaluate_list(grader, images, labels, repeats=20)
    assert json.loads(to_json(report)) == report, "nothing in it is NaN, a tuple or an array"
    assert (report["images"], report["failed"], report["grade"]["n"]) == (2, 2, 2)
    assert [(Path(f["path"]).name, f["error"]["code"]) for f in report["failures"]] == [
        ("broken.jpg", "image_decode"), ("missing.jpg", "image_not_found"),
    ]  # fmt: skip
    predictions = [grader.predict(images / name) for name in ("a.jpg", "b.jpg")]
    errors = [abs(p.count - c) for p, c in zip(predictions, (3, 40), strict=True)]
    mae = report["figures"]["mae"]
    assert mae["value"] == report["count"]["mae"] == pytest.approx(sum(errors) / 2)
    assert mae["low"] <= mae["value"] <= mae["high"]
    assert report["grade"]["per_grade"]["SE"][1] is None
    assert report["notes"]["grade.per_grade.SE.1"] == "no photograph is of this grade"
    assert report["list"] == {"sha256": list_hash(read_labels(labels)), "learned": None, "photographs": {"train": 0, "val": 0}}


def test_results_are_passed_on_as_they_come(grader: AcneGrader, images: Path, tmp_path: Path) -> None:
    seen: list[bool] = []

    def follow(results: Iterable, number: int) -> Iterable:
        assert number == 2
        for result in results:
            seen.append(result.ok)
            yield result

    evaluate_list(grader, images, listed(tmp_path, "a.jpg 0 3\nbroken.jpg 0 1\n"), follow, repeats=5)
    assert seen == [True, False]


@pytest.mark.parametrize(("part", "words"), [("train", "was trained on exactly"), ("val", "has its constants fitted on exactly")])
def test_a_list_that_the_model_has_learned_is_warned_of(
    part: str, words: str, grader: AcneGrader, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    labels = listed(tmp_path, "a.jpg 0 3\nb.jpg 2 40\n")
    own = {part: {"n": 2, "sha256": list_hash(read_labels(labels))}}
    learned = replace(grader.manifest, training={**grader.manifest.training, "lists": own})
    monkeypatch.setattr(type(grader), "manifest", learned)
    with caplog.at_level(logging.WARNING, "acne_edge"):
        assert evaluate_list(grader, images, labels, repeats=5)["list"]["learned"] == part
        assert words in caplog.text
        caplog.clear()
        other = evaluate_list(grader, images, listed(tmp_path, "a.jpg 0 3\nb.jpg 2 41\n"), repeats=5)
    assert (other["list"]["learned"], caplog.text) == (None, "")


def test_a_folder_without_any_of_the_photographs_is_refused(grader: AcneGrader, images: Path, tmp_path: Path) -> None:
    labels = listed(tmp_path, "other.jpg 0 3\n")
    with pytest.raises(UsageError, match=r"holds none of the 1 photographs that .*list\.txt names, other\.jpg for one"):
        evaluate_list(grader, images, labels)
    with pytest.raises(UsageError, match="nowhere: no such folder"):
        evaluate_list(grader, tmp_path / "nowhere", labels)
    with pytest.raises(UsageError, match="a grade is over 3, the highest of the scale hayashi"):
        evaluate_list(grader, images, listed(tmp_path, "a.jpg 4 3\n"))


def test_photographs_that_the_model_has_learned_are_counted_and_warned_of(
    grader: AcneGrader, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    labels = listed(tmp_path, "a.jpg 0 3\nb.jpg 2 40\n")
    held = {"fingerprints": {"train": encoded([images / "b.jpg"]), "val": encoded([images / "a.jpg"])}}
    monkeypatch.setattr(type(grader), "manifest", replace(grader.manifest, training=held))
    with caplog.at_level(logging.WARNING, "acne_edge"):
        report = evaluate_list(grader, images, labels, repeats=5)
        words = (
            f"of these 2 photographs, {grader.model.name} has learned 1 and has its constants fitted on 1: the figures flatter"
        )
        assert words in caplog.text
        caplog.clear()
        (images / "c.jpg").write_bytes((images / "a.jpg").read_bytes() + b"\n")
        other = evaluate_list(grader, images, listed(tmp_path, "c.jpg 0 3\n"), repeats=5)
    assert report["list"]["photographs"] == {"train": 1, "val": 1}
    assert (other["list"]["photographs"], caplog.text) == ({"train": 0, "val": 0}, "")


def test_photographs_of_which_none_can_be_used_are_no_figures(grader: AcneGrader, images: Path, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="none of the 1 listed photographs can be used") as error:
        evaluate_list(grader, images, listed(tmp_path, "broken.jpg 0 3\n"))
    assert error.value.exit_code == 3


def marked(*readings: Reading, name: str = "b.jpg") -> AnnotatedPhotograph:
    return AnnotatedPhotograph(name, 288, 320, readings)


@pytest.fixture
def annotated(grader: AcneGrader, images: Path, tmp_path: Path) -> Path:
    """Of b.jpg the model's own positions as points, and one lesion that it does not see; of a.jpg a count by two readers."""
    prediction = grader.predict(images / "b.jpg")
    seen = tuple(Mark(lesion.x, lesion.y) for lesion in prediction.lesions)
    assert seen
    photographs = (
        marked(Reading(2, 0, None, "A"), Reading(7, None, None, "B"), name="a.jpg"),
        marked(Reading(40, 2, (*seen, Mark(0.01, 0.01)), "A")),
    )
    write_annotated(tmp_path / "set.json", AnnotatedSet(photographs))
    return tmp_path / "set.json"


def test_an_annotated_set_gives_labels_and_positions(grader: AcneGrader, images: Path, annotated: Path) -> None:
    report = evaluate_list(grader, images, annotated, repeats=5, by="A")
    assert json.loads(to_json(report)) == report
    assert (report["images"], report["failed"]) == (2, 0)
    predictions = [grader.predict(images / name) for name in ("a.jpg", "b.jpg")]
    assert report["count"]["bias"] == pytest.approx((predictions[0].count - 2 + predictions[1].count - 40) / 2)
    found, n = report["positions"], len(predictions[1].lesions)
    assert (found["photographs"], found["lesions"], found["positions"], found["precision"]) == (1, n + 1, n, 1)
    assert found["recall"] == pytest.approx(n / (n + 1))
    assert found["threshold"] == grader.manifest.positions.threshold
    assert "box" in found["rule"]


def test_figures_of_positions_that_do_not_exist_are_null_and_say_why(grader: AcneGrader, images: Path, tmp_path: Path) -> None:
    write_annotated(tmp_path / "set.json", AnnotatedSet((marked(Reading(0, 0, ())),)))
    report = evaluate_list(grader, images, tmp_path / "set.json", repeats=5)
    assert json.loads(to_json(report)) == report
    assert report["positions"]["recall"] is None
    assert report["notes"]["positions.recall"] == "no lesion was marked"


def test_a_list_file_says_nothing_of_positions(grader: AcneGrader, images: Path, tmp_path: Path) -> None:
    assert "positions" not in evaluate_list(grader, images, listed(tmp_path, "a.jpg 0 3\n"), repeats=5)


def test_whose_readings_count_must_be_clear(grader: AcneGrader, images: Path, annotated: Path) -> None:
    with pytest.raises(UsageError, match=r"a\.jpg has 2 readings with a count \(A, B\); choose one by --by"):
        evaluate_list(grader, images, annotated)
    with pytest.raises(UsageError, match="no photograph has a count by 'C'"):
        evaluate_list(grader, images, annotated, by="C")
    only = evaluate_list(grader, images, annotated, repeats=5, by="B")
    assert only["images"] == 1
    assert only["grade"]["confusion"][1] != [0, 0, 0, 0]  # seven lesions are of grade 1, which the reading does not say
