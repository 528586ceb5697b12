from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acne_edge import AcneGrader, Failure, ImageDecodeError
from acne_edge.errors import MissingExtraError
from acne_edge.grading import SCALES
from acne_edge.interop import fhir
from tests import drawing
from tests.cli.conftest import Run, photo, run  # noqa: F401

pytest.importorskip("fhir.resources", reason="the extra fhir is not installed")


def resources(bundle: Any, kind: str) -> list[dict[str, Any]]:
    """As a receiver reads them: the JSON of the bundle."""
    entries = json.loads(bundle.model_dump_json())["entry"]
    return [e["resource"] | {"fullUrl": e["fullUrl"]} for e in entries if e["resource"]["resourceType"] == kind]


@pytest.fixture
def predicted(grader: AcneGrader):
    return grader.predict(drawing.face(lesions=40))


def test_count_and_grade_are_observations_with_interval_method_and_device(predicted: Any) -> None:
    bundle = fhir.bundle([predicted])
    count, grade = resources(bundle, "Observation")
    (device,) = resources(bundle, "Device")
    assert {c["code"] for c in count["code"]["coding"]} == {"246206008", "lesion-count"}
    assert count["valueQuantity"] == {
        "value": round(predicted.count, 2),
        "unit": "lesions",
        "system": fhir.UCUM,
        "code": "{lesions}",
    }
    interval, level = count["component"]
    assert (interval["valueRange"]["low"]["value"], interval["valueRange"]["high"]["value"]) == (
        predicted.count_interval.low,
        predicted.count_interval.high,
    )
    assert level["valueQuantity"]["value"] == 90
    assert grade["valueCodeableConcept"]["coding"][0]["code"] == f"hayashi-{predicted.grade.index}"
    assert grade["valueCodeableConcept"]["text"] == predicted.grade.text
    *possible, probability = grade["component"]
    codes = [part["valueCodeableConcept"]["coding"][0]["code"] for part in possible]
    assert codes == [f"hayashi-{index}" for index in predicted.grade_set]
    assert probability["valueQuantity"]["value"] == round(100 * predicted.grade_probs[predicted.grade.index], 2)
    for observation in (count, grade):
        assert observation["status"] == "preliminary"
        assert observation["method"]["coding"][0]["code"] == "network"
        assert observation["device"]["reference"] == device["fullUrl"]
    assert predicted.model.sha256 in [version["value"] for version in device["version"]]


def test_no_subject_and_no_time_of_taking_is_made_up(predicted: Any) -> None:
    for observation in resources(fhir.bundle([predicted]), "Observation"):
        assert not {"subject", "effectiveDateTime", "performer", "encounter"} & set(observation)
    for observation in resources(fhir.bundle([predicted], "Patient/7"), "Observation"):
        assert observation["subject"] == {"reference": "Patient/7"}


def test_a_photograph_is_named_without_its_folders(grader: AcneGrader, tmp_path: Path) -> None:
    folder = tmp_path / "Meier_Hans"
    folder.mkdir()
    (folder / "left.png").write_bytes(drawing.encode(drawing.face(width=200, height=240)))
    text = fhir.bundle([grader.predict(folder / "left.png")]).model_dump_json()
    assert "left.png" in text
    assert "Meier_Hans" not in text


def test_what_has_no_grade_or_no_result_says_why(grader: AcneGrader) -> None:
    blank = grader.predict(np.full((240, 200, 3), 90, np.uint8))
    failed = Failure("a/b.jpg", ImageDecodeError("not an image"))
    _, grade, cancelled = resources(fhir.bundle([blank, failed]), "Observation")
    assert grade["dataAbsentReason"]["coding"][0] == {"system": fhir.ABSENT, "code": "unknown"}
    assert grade["note"][0]["text"] == "no grade: blank"
    assert "valueCodeableConcept" not in grade
    assert (cancelled["status"], cancelled["note"][0]["text"]) == ("cancelled", "image_decode: not an image")


def test_every_code_of_our_own_is_in_the_code_system_that_comes_along_and_on_the_page(predicted: Any) -> None:
    bundle = fhir.bundle([predicted])
    (system,) = resources(bundle, "CodeSystem")
    known = {concept["code"] for concept in system["concept"]}
    used = {c["code"] for c in codings(json.loads(bundle.model_dump_json())) if c.get("system") == fhir.SYSTEM}
    assert used <= known
    assert {f"{scale.name}-{i}" for scale in SCALES.values() for i in range(len(scale.labels))} <= known
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "dicom-and-fhir.md").read_text()
    assert [code for code in known if f"`{code}`" not in page] == []
    assert fhir.SYSTEM in page


def codings(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [coding for item in value for coding in codings(item)]
    if not isinstance(value, dict):
        return []
    return [*value.get("coding", []), *(coding for item in value.values() for coding in codings(item))]


def test_references_inside_the_bundle_lead_to_entries(predicted: Any, grader: AcneGrader) -> None:
    bundle = fhir.bundle([predicted, grader.predict(drawing.face(seed=5))])
    entries = json.loads(bundle.model_dump_json())["entry"]
    urls = [entry["fullUrl"] for entry in entries]
    assert len(set(urls)) == len(urls) == 6  # codes, a device, two observations each
    assert {e["resource"]["device"]["reference"] for e in entries if "device" in e["resource"]} <= set(urls)


def test_predict_prints_a_bundle(run: Run, photo: Path, tmp_path: Path) -> None:  # noqa: F811
    from fhir.resources.R4B.bundle import Bundle

    code, out, err = run("predict", photo, tmp_path / "none.jpg", "--format", "fhir")
    assert (code, err.count("\n")) == (3, 1)
    assert len(Bundle.model_validate_json(out).entry) == 5


def test_without_the_extra_the_error_names_it(predicted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fhir.resources.R4B.bundle", None)
    with pytest.raises(MissingExtraError, match=r"acne-edge\[fhir\]"):
        fhir.bundle([predicted])
