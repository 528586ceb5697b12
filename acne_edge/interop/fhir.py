"""Results as FHIR R4B resources: a bundle of observations, the device that made them, and the codes that are our own.

    from acne_edge import AcneGrader
    from acne_edge.interop import fhir

    with AcneGrader.load() as grader:
        bundle = fhir.bundle(grader.predict_many("photos"), subject="Patient/1")
    print(bundle.model_dump_json(indent=2))

Of each photograph there is an observation of the count, with its interval, and one of the grade, both preliminary, because no
person has looked at them. Whose the photographs are and when they were taken is not known here: the first is the caller's to
say, the second is left out. Needs the extra `fhir` (fhir.resources, which also validates what is made).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from acne_edge.errors import MissingExtraError

if TYPE_CHECKING:
    from acne_edge.prediction import Failure, ModelInfo, Prediction

SYSTEM, VERSION = "urn:uuid:09926b8f-67f6-46d3-b7f2-c7a03f8d5238", "1.0"  # of our own codes
CODES = {
    "lesion-count": "Number of acne lesions on a photograph",
    "count-interval": "Interval of the number of lesions, both ends included",
    "count-level": "Probability that the interval holds the number of lesions",
    "grade": "Grade of acne severity, likeliest",
    "grade-possible": "Grade of acne severity that cannot be excluded",
    "grade-probability": "Probability of the likeliest grade",
    "capture": "Reason why the photograph is poor",
    "network": "Counted by a neural network on one photograph",
    "hayashi-0": "Mild: 0-5 lesions (Hayashi 2008)",
    "hayashi-1": "Moderate: 6-20 lesions (Hayashi 2008)",
    "hayashi-2": "Severe: 21-50 lesions (Hayashi 2008)",
    "hayashi-3": "Very severe: over 50 lesions (Hayashi 2008)",
    "banded-0": "Mild: 0-19 lesions (banded)",
    "banded-1": "Moderate: 20-50 lesions (banded)",
    "banded-2": "Severe: 51-65 lesions (banded)",
    "banded-3": "Very severe: over 65 lesions (banded)",
}
SNOMED_COUNT = {"system": "http://snomed.info/sct", "code": "246206008", "display": "Number of lesions"}
UCUM = "http://unitsofmeasure.org"
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"


def bundle(results: Iterable[Prediction | Failure], subject: str | None = None) -> Any:
    """A `fhir.resources.R4B.bundle.Bundle` of the type `collection`.

    Args:
        results: of photographs; a failure becomes an observation without a value, which says why.
        subject: reference to whom they show, `Patient/1` say; None leaves it out. All photographs of a bundle are of one subject.

    Raises MissingExtraError without the extra `fhir`.
    """
    try:
        from fhir.resources.R4B.bundle import Bundle
    except ImportError as error:
        raise MissingExtraError("fhir.resources", "fhir", "a FHIR bundle") from error
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    resources: list[dict[str, Any]] = [code_system()]
    devices: dict[str, str] = {}  # of a model and its runtime: the device's URL
    observations: list[dict[str, Any]] = []
    for result in results:
        common = _common(result, subject, now)
        if not result.ok:
            note = f"{result.error.code}: {result.error.message}"
            why = {"dataAbsentReason": _absent("error"), "note": [{"text": note}], "status": "cancelled"}
            observations.append({**common, "code": _counted(), **why})
            continue
        key = f"{result.model.sha256} {result.model.backend}"
        if key not in devices:
            devices[key] = _url()
            resources.append({"fullUrl": devices[key], **_device(result.model)})
        made_by = {**common, "device": {"reference": devices[key], "display": f"{result.model.name} {result.model.version}"}}
        observations += [{**made_by, **_count(result)}, {**made_by, **_grade(result)}]
    entries = [_entry(resource) for resource in (*resources, *observations)]
    return Bundle.model_validate({"resourceType": "Bundle", "type": "collection", "timestamp": now, "entry": entries})


def code_system() -> dict[str, Any]:
    """Our own codes, as a CodeSystem resource: for what no standard code is known to fit."""
    return {
        "resourceType": "CodeSystem",
        "url": SYSTEM,
        "version": VERSION,
        "name": "AcneEdge",
        "title": "Codes of acne-edge",
        "status": "active",
        "content": "complete",
        "caseSensitive": True,
        "concept": [{"code": code, "display": display} for code, display in CODES.items()],
    }


def _entry(resource: dict[str, Any]) -> dict[str, Any]:
    url = resource.pop("fullUrl", None) or _url()
    return {"fullUrl": url, "resource": resource}


def _url() -> str:
    return f"urn:uuid:{uuid4()}"


def _common(result: Prediction | Failure, subject: str | None, now: str) -> dict[str, Any]:
    """What all observations of a photograph say. Its name comes without its folders, which may be a patient's."""
    name = os.path.basename(result.path) if result.path not in (None, "-") else None
    return {
        "resourceType": "Observation",
        "status": "preliminary",
        "category": [{"coding": [{"system": CATEGORY, "code": "imaging", "display": "Imaging"}]}],
        "issued": now,
        "method": _own("network"),
        **({"subject": {"reference": subject}} if subject else {}),
        **({"derivedFrom": [{"type": "Media", "display": name}]} if name else {}),
    }


def _count(prediction: Prediction) -> dict[str, Any]:
    interval = prediction.count_interval
    parts: list[dict[str, Any]] = [
        {"code": _own("count-interval"), "valueRange": {"low": _lesions(interval.low), "high": _lesions(interval.high)}},
        {"code": _own("count-level"), "valueQuantity": _percent(interval.level)},
    ]
    parts += [{"code": _own("capture"), "valueString": reason} for reason in prediction.quality.reasons]
    return {"code": _counted(), "valueQuantity": _lesions(round(prediction.count, 2)), "component": parts}


def _grade(prediction: Prediction) -> dict[str, Any]:
    if prediction.abstained:
        why = f"no grade: {prediction.abstained}"
        return {"code": _own("grade"), "dataAbsentReason": _absent("unknown"), "note": [{"text": why}]}
    parts: list[dict[str, Any]] = [
        {"code": _own("grade-possible"), "valueCodeableConcept": _of_scale(prediction.scale, index)}
        for index in prediction.grade_set
    ]
    likeliest = prediction.grade_probs[prediction.grade.index]
    parts.append({"code": _own("grade-probability"), "valueQuantity": _percent(likeliest)})
    value = {**_of_scale(prediction.scale, prediction.grade.index), "text": prediction.grade.text}
    return {"code": _own("grade"), "valueCodeableConcept": value, "component": parts}


def _device(model: ModelInfo) -> dict[str, Any]:
    return {
        "resourceType": "Device",
        "deviceName": [{"name": f"acne-edge, model {model.name}", "type": "model-name"}],
        "manufacturer": "The acne-edge developers",
        "version": [
            {"type": {"text": "model"}, "value": model.version},
            {"type": {"text": "sha256 of the model's file"}, "value": model.sha256},
            {"type": {"text": "runtime"}, "value": model.backend},
        ],
    }


def _own(code: str) -> dict[str, Any]:
    return {"coding": [{"system": SYSTEM, "version": VERSION, "code": code, "display": CODES[code]}]}


def _of_scale(scale: str, index: int) -> dict[str, Any]:
    return _own(f"{scale}-{index}")


def _counted() -> dict[str, Any]:
    return {"coding": [SNOMED_COUNT, *_own("lesion-count")["coding"]]}


def _lesions(value: float) -> dict[str, Any]:
    return {"value": value, "unit": "lesions", "system": UCUM, "code": "{lesions}"}


def _percent(share: float) -> dict[str, Any]:
    return {"value": round(100 * share, 2), "unit": "%", "system": UCUM, "code": "%"}


def _absent(code: str) -> dict[str, Any]:
    return {"coding": [{"system": ABSENT, "code": code}]}
