from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator, ValidationError
from PIL import Image

from acne_edge import (
    AcneEdgeError,
    AcneGrader,
    CountInterval,
    Failure,
    Grade,
    ImageNotFoundError,
    ImageSize,
    ModelInfo,
    Prediction,
    UsageError,
)
from acne_edge.framing import Box
from acne_edge.positions import Lesion
from acne_edge.prediction import COLUMNS
from tests import drawing, schema


@pytest.fixture(scope="module")
def prediction(grader: AcneGrader, face: np.ndarray) -> Prediction:
    return grader.predict(face)


def as_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


def test_the_published_schema_is_one() -> None:
    Draft202012Validator.check_schema(schema.PUBLISHED)


def test_a_prediction_keeps_the_schema(prediction: Prediction) -> None:
    schema.check(as_json(prediction.to_dict()))
    schema.check(as_json(prediction.to_dict(lesion_map=True)))
    cut = replace(prediction, image=ImageSize(640, 480, Box(0, 20, 640, 460)))
    assert as_json(cut.to_dict())["image"]["crop"] == {"left": 0, "top": 20, "right": 640, "bottom": 460}
    schema.check(as_json(cut.to_dict()))
    schema.check(as_json(replace(prediction, abstained="low_confidence", path="a.jpg", lesions=()).to_dict()))
    far = as_json(replace(prediction, abstained="unfamiliar", unfamiliarity=1.23456).to_dict())
    schema.check(far)
    assert far["unfamiliarity"] == 1.235


def test_a_failure_keeps_the_schema() -> None:
    for path in (None, "a.jpg"):
        schema.check(as_json(Failure(path, ImageNotFoundError("no such file")).to_dict()))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", "1.0"),
        ("count", -1),
        ("grade_set", []),
        ("lesions", [{"x": 1.2, "y": 0, "score": 0.5}]),
        ("image", {"width": 0, "height": 5}),
        ("image", {"width": 5, "height": 5, "crop": {"left": 1, "top": 1, "right": 4}}),
        ("model", {"name": "m", "version": "1", "sha256": "x", "backend": "b"}),
        ("abstained", 1),
        ("timings", {"decode": 1.0}),
    ],
)
def test_the_schema_refuses_what_is_no_prediction(prediction: Prediction, field: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        schema.check({**as_json(prediction.to_dict()), field: value})


def test_a_later_minor_version_may_add_fields_but_no_field_goes_unpublished(prediction: Prediction) -> None:
    later = {**as_json(prediction.to_dict()), "schema": "1.2", "novelty": 1}
    Draft202012Validator(schema.PUBLISHED).validate(later)
    with pytest.raises(ValidationError):
        schema.check(later)


def test_lesions_are_where_the_map_has_them(grader: AcneGrader, prediction: Prediction) -> None:
    from acne_edge.positions import locate

    assert prediction.lesions == locate(prediction.lesion_map, grader.manifest.positions.threshold)
    assert prediction.to_dict()["lesions"][0] == {
        "x": round(prediction.lesions[0].x, 5),
        "y": round(prediction.lesions[0].y, 5),
        "score": round(prediction.lesions[0].score, 4),
    }


def test_the_image_is_as_large_as_it_was_taken_and_upright(grader: AcneGrader) -> None:
    stored = drawing.face(width=1700, height=1200)
    image = grader.predict(drawing.with_orientation(stored, 6)).image
    assert (image.width, image.height) == (1200, 1700)


@pytest.mark.parametrize(("count", "marks"), [(2.4, 2), (2.5, 3), (0.3, 0), (9.0, 4)])
def test_marks_are_the_best_as_many_as_are_counted_if_there_are_that_many(
    prediction: Prediction, count: float, marks: int
) -> None:
    lesions = tuple(Lesion(0.1 * i, 0.5, 1 - 0.2 * i) for i in range(4))
    shown = replace(prediction, count=count, lesions=lesions)
    assert shown.marks == lesions[:marks]


def painted(width: int = 300, height: int = 400) -> np.ndarray:
    return drawing.face(width=width, height=height)


def in_pixels(picture: Image.Image, photograph: np.ndarray) -> np.ndarray:
    """Which pixels of the photograph a picture has changed, [H, W]."""
    return (np.asarray(picture)[: len(photograph)] != photograph).any(2)


@pytest.fixture
def shown(prediction: Prediction, tmp_path: Path) -> Prediction:
    """Of a PNG file, three lesions of which two are counted."""
    path = tmp_path / "face.png"
    path.write_bytes(drawing.encode(painted()))
    lesions = (Lesion(0.25, 0.5, 0.9), Lesion(0.75, 0.5, 0.8), Lesion(0.5, 0.75, 0.3))
    return replace(prediction, path=str(path), image=ImageSize(300, 400), lesions=lesions, count=2.2, abstained=None)


def test_a_picture_marks_as_many_lesions_as_are_counted(shown: Prediction) -> None:
    picture = shown.plot()
    seen = in_pixels(picture, painted())
    assert seen[200 - 10 : 200 + 10, 75 - 10 : 75 + 10].any()
    assert seen[200 - 10 : 200 + 10, 225 - 10 : 225 + 10].any()
    assert not seen[300 - 10 : 300 + 10, 150 - 10 : 150 + 10].any()
    assert picture.width == 300
    assert picture.height > 400


def test_the_caption_says_count_interval_grade_quality_model_and_that_it_is_an_estimate(shown: Prediction) -> None:
    said = replace(
        shown,
        count_interval=CountInterval(0.9, 1, 4),
        grade=Grade(1, "moderate", "mild to moderate"),
        grade_probs=(0.1, 0.834, 0.066),
        grade_set=(0, 1),
        quality=replace(shown.quality, reasons=()),
        model=ModelInfo("acne-edge-s", "0.6.0", "0" * 64, "onnxruntime"),
        unfamiliarity=0.5,
    )
    assert replace(said, unfamiliarity=1.5).caption()[1] == "quality: unfamiliar · 2 marked"  # graded all the same
    assert said.caption() == (
        "2 lesions (90 % interval 1 to 4) · mild to moderate (93 %)",
        "quality: ok · 2 marked",
        "acne-edge-s 0.6.0 · estimate, not a diagnosis",
    )
    unsure = {"abstained": "low_confidence", "grade": Grade(1, "moderate", "no grade")}
    poor = replace(said, **unsure, quality=replace(said.quality, reasons=("too_dark", "no_skin")), count=5.0)
    assert poor.caption()[:2] == (
        "5 lesions (90 % interval 1 to 4) · no grade: low confidence",
        "quality: too dark, no skin · 3 of 5 marked; the map shows no more",
    )
    assert replace(said, count=1.2).caption()[0].startswith("1 lesion (")
    assert replace(said, count=0.4).caption()[0] == "none counted (90 % interval 1 to 4)"
    assert replace(poor, abstained="blank").caption()[0] == "no grade: blank"
    assert replace(poor, abstained="unfamiliar").caption()[0] == "no grade: unfamiliar"  # what it counted are no lesions


def test_the_heat_map_is_drawn_on_request(shown: Prediction) -> None:
    assert in_pixels(shown.plot(heat=True), painted()).sum() > in_pixels(shown.plot(), painted()).sum()


def test_a_picture_can_be_made_of_a_photograph_that_is_given(grader: AcneGrader, face: np.ndarray) -> None:
    of_pixels = grader.predict(face)
    with pytest.raises(UsageError, match="give plot the photograph"):
        of_pixels.plot()
    for source in (face, drawing.encode(face), Image.fromarray(face)):
        assert of_pixels.plot(source).width == face.shape[1]
    small = Image.fromarray(face).resize((288, 320))  # the same photograph all the same
    assert of_pixels.plot(small).width == 288


def test_a_photograph_that_has_changed_since_is_refused(shown: Prediction) -> None:
    assert shown.path is not None
    Path(shown.path).write_bytes(drawing.encode(painted(400, 300)))
    with pytest.raises(UsageError, match=r"face\.png: has 400x300 pixels, the one that was predicted 300x400"):
        shown.plot()
    Path(shown.path).unlink()
    with pytest.raises(ImageNotFoundError):
        shown.plot()


def test_a_saved_picture_has_no_metadata_but_the_colour_profile(grader: AcneGrader, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    exif.get_ifd(0x8825)[1] = "N"  # latitude
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(drawing.encode(painted(400, 300), "JPEG", exif=exif, icc_profile=drawing.display_p3(), comment=b"at home"))
    result = grader.predict(photo)
    for name in ("a.jpg", "a.png", "a.webp"):
        result.save(tmp_path / name)
        with Image.open(tmp_path / name) as picture:
            assert picture.width == 300  # upright
            assert picture.info["icc_profile"] == drawing.display_p3()
            assert not picture.getexif()
            assert "comment" not in picture.info
        assert b"a camera" not in (tmp_path / name).read_bytes()


def test_the_photograph_itself_is_never_overwritten(shown: Prediction) -> None:
    assert shown.path is not None
    before = Path(shown.path).read_bytes()
    with pytest.raises(UsageError, match="is the photograph itself"):
        shown.save(shown.path)
    assert Path(shown.path).read_bytes() == before


def test_a_picture_that_cannot_be_written_is_an_error_with_its_path(shown: Prediction, tmp_path: Path) -> None:
    with pytest.raises(AcneEdgeError, match="no/such/folder"):
        shown.save(tmp_path / "no/such/folder/a.png")
    with pytest.raises(UsageError, match=r"not as '\.txt'"):
        shown.save(tmp_path / "a.txt")


def test_show_opens_a_viewer(shown: Prediction, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Image.Image] = []
    monkeypatch.setattr(Image.Image, "show", lambda self: opened.append(self))
    shown.show()
    assert opened[0].tobytes() == shown.plot().tobytes()


def test_a_notebook_shows_a_small_picture_or_the_words_alone(shown: Prediction, grader: AcneGrader, tmp_path: Path) -> None:
    large = tmp_path / "large.jpg"
    large.write_bytes(drawing.encode(painted(1700, 2000), "JPEG"))
    result = grader.predict(large)
    png = result._repr_png_()
    assert png is not None
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.width == 680
    html = result._repr_html_()
    assert 'src="data:image/jpeg;base64,' in html
    assert "estimate, not a diagnosis</figcaption>" in html
    large.unlink()
    assert result._repr_png_() is None
    assert result._repr_html_().startswith("<p>")


def test_html_is_escaped(shown: Prediction) -> None:
    html = replace(shown, grade=Grade(0, "mild", '<b>"mild"</b>'))._repr_html_()
    assert "<b>" not in html


def test_json_is_the_dictionary_as_text(prediction: Prediction) -> None:
    assert json.loads(prediction.to_json()) == as_json(prediction.to_dict())
    assert "\n" not in prediction.to_json()
    assert json.loads(prediction.to_json(lesion_map=True, indent=2)) == as_json(prediction.to_dict(lesion_map=True))
    failure = Failure("a.jpg", ImageNotFoundError("no such file"))
    assert json.loads(failure.to_json()) == failure.to_dict()


def test_a_row_has_the_figures_and_no_positions(shown: Prediction) -> None:
    row = replace(shown, grade=Grade(2, "severe", "severe"), grade_probs=(0.1, 0.2, 0.6, 0.1)).to_row()
    assert tuple(row) == COLUMNS
    assert (row["count"], row["grade"], row["label"], row["text"], row["probability"]) == (2.2, 2, "severe", "severe", 0.6)
    assert (row["abstained"], row["error"]) == (None, None)
    failed = Failure("a.jpg", ImageNotFoundError("no such file")).to_row()
    assert tuple(failed) == COLUMNS
    assert {key: value for key, value in failed.items() if value is not None} == {"path": "a.jpg", "error": "image_not_found"}


def test_a_row_has_no_grade_where_it_is_abstained_on_and_no_count_of_a_blank_frame(shown: Prediction) -> None:
    unsure = replace(shown, abstained="low_confidence", grade=Grade(2, "severe", "no grade")).to_row()
    assert [unsure[name] for name in ("grade", "label", "probability", "grade_set")] == [None] * 4
    assert (unsure["count"], unsure["text"], unsure["abstained"]) == (2.2, "no grade", "low_confidence")
    blank = replace(shown, abstained="blank", grade=Grade(0, "mild", "no grade")).to_row()
    assert [blank[name] for name in ("count", "low", "high", "grade", "label", "probability", "grade_set")] == [None] * 7
    assert (tuple(blank), blank["text"]) == (COLUMNS, "no grade")
