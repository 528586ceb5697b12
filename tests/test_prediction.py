from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator, ValidationError

from acne_edge import AcneGrader, Failure, ImageNotFoundError, Prediction
from acne_edge.positions import Lesion
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
    schema.check(as_json(replace(prediction, abstained="low_confidence", path="a.jpg", lesions=()).to_dict()))


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
