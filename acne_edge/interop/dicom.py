"""Results as DICOM Structured Reports that point to the photograph they were made of. Needs the extra `dicom`.

    from acne_edge import AcneGrader
    from acne_edge.interop import dicom

    with AcneGrader.load() as grader:
        data = open("photo.dcm", "rb").read()
        dicom.write("report.dcm", grader.predict(data), data)

A report is a Comprehensive SR after TID 1500, Measurement Report (DICOM PS3.16): the count with its interval and the grade of the
whole photograph, and a point for each marked lesion. Patient and study are those of the photograph; what it does not say, the
report does not say either. It is marked as preliminary and unverified, because no person has looked at it. Codes are those of
SNOMED CT, DCM and UCUM where one fits; the others are of this project's own scheme, 99ACNE, and listed in
`docs/how-to/dicom-and-fhir.md`.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acne_edge.errors import MissingExtraError, UsageError
from acne_edge.files import write as write_file
from acne_edge.formats.dicom import is_dicom, quiet, read_dicom, stored_place

if TYPE_CHECKING:
    from acne_edge.prediction import Prediction

SCHEME = "99ACNE"  # DICOM leaves names that begin with 99 to whoever needs one
OWN = {  # codes of that scheme, and what they mean
    "count-low": "Lower end of the interval of the number of lesions",
    "count-high": "Upper end of the interval of the number of lesions",
    "count-level": "Probability that the interval holds the number of lesions",
    "lesion-score": "Lesions that the lesion map accounts for at a place",
    "grade": "Grade of acne severity, likeliest",
    "grade-possible": "Grade of acne severity that cannot be excluded",
    "grade-0": "Mild", "grade-1": "Moderate", "grade-2": "Severe", "grade-3": "Very severe",
    "scale": "Scale of acne severity",
    "scale-hayashi": "Hayashi 2008: 0-5, 6-20, 21-50, over 50 lesions",
    "scale-banded": "Banded: 0-19, 20-50, 51-65, over 65 lesions",
    "no-grade": "Reason for not giving a grade",
    "capture": "Reason why the photograph is poor",
    "blank": "Blank", "low_resolution": "Low resolution", "too_dark": "Too dark", "too_bright": "Too bright",
    "blurred": "Blurred", "noisy": "Noisy", "compressed": "Compressed",
    "no_skin": "No skin", "close_up": "Close-up", "low_confidence": "Low confidence", "poor_quality": "Poor quality",
}  # fmt: skip
MAKER = "acne-edge"
SERIES = 900  # number of the series of reports; it identifies nothing
NEEDED = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")


def report(prediction: Prediction, photograph: bytes) -> Any:
    """A Structured Report, as a `highdicom.sr.ComprehensiveSR`.

    Args:
        prediction: made of `photograph`.
        photograph: the bytes of the DICOM file.

    Raises:
        UsageError: it is no DICOM file, or lacks what a report must point to.
        MissingExtraError: without the extra `dicom`.
    """
    source = _source(photograph)
    hd, codes = _highdicom()
    with quiet():
        group = hd.sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=hd.sr.TrackingIdentifier(uid=hd.UID(), identifier="photograph"),
            finding_type=codes.SCT.SkinLesion,
            algorithm_id=_algorithm(hd, prediction),
            measurements=_measurements(hd, codes, prediction),
            qualitative_evaluations=_evaluations(hd, prediction),
            source_images=[hd.sr.SourceImageForMeasurementGroup.from_source_image(source, _frame(source))],
        )
        content = hd.sr.MeasurementReport(
            observation_context=hd.sr.ObservationContext(observer_device_context=_observer(hd, codes, prediction)),
            procedure_reported=codes.SCT.PhotographyOfPatient,
            imaging_measurements=[group, *_lesions(hd, codes, prediction, source, photograph)],
            title=codes.DCM.ImagingMeasurementReport,
        )
        made = hd.sr.ComprehensiveSR(
            evidence=[source],
            content=content,
            series_instance_uid=hd.UID(),
            series_number=SERIES,
            sop_instance_uid=hd.UID(),
            instance_number=1,
            manufacturer=MAKER,
            is_complete=True,
            is_final=False,
            is_verified=False,
        )
        made.CodingSchemeIdentificationSequence = [_scheme()]
        return made


def write(path: str | os.PathLike[str], prediction: Prediction, photograph: bytes) -> None:
    """Write what `report` makes. Raises what it does, and AcneEdgeError if the file cannot be written."""
    made = report(prediction, photograph)
    stream = io.BytesIO()
    with quiet():
        made.save_as(stream, enforce_file_format=True)
    write_file(Path(path), stream.getvalue())


def check_extra() -> None:
    """Raises MissingExtraError without the extra `dicom`."""
    _highdicom()


def _highdicom() -> tuple[Any, Any]:
    try:
        import highdicom
        from pydicom.sr.codedict import codes
    except ImportError as error:
        raise MissingExtraError("highdicom", "dicom", "a Structured Report") from error
    return highdicom, codes


def _scheme() -> Any:
    """Whose the codes are that no standard has."""
    from pydicom.dataset import Dataset

    scheme = Dataset()
    scheme.CodingSchemeDesignator, scheme.CodingSchemeName = SCHEME, "acne-edge"
    scheme.CodingSchemeResponsibleOrganization = "The acne-edge developers"
    return scheme


def _source(photograph: bytes) -> Any:
    """The photograph's dataset without its pixels."""
    if not is_dicom(photograph):
        raise UsageError("a Structured Report points to a DICOM photograph; this one is none")
    _highdicom()
    import pydicom

    with quiet():
        source = pydicom.dcmread(io.BytesIO(photograph), stop_before_pixels=True)
        missing = [name for name in NEEDED if not source.get(name)]
    if missing:
        raise UsageError(f"the DICOM photograph has no {', '.join(missing)}; a Structured Report cannot point to it")
    return source


def _measurements(hd: Any, codes: Any, prediction: Prediction) -> list[Any]:
    """Count, interval and its level."""
    lesions = hd.sr.CodedConcept("{lesions}", "UCUM", "lesions")
    interval = prediction.count_interval
    values = (
        (codes.SCT.NumberOfLesions, round(prediction.count, 2), lesions),
        (_own(hd, "count-low"), interval.low, lesions),
        (_own(hd, "count-high"), interval.high, lesions),
        (_own(hd, "count-level"), round(100 * interval.level, 1), codes.UCUM.Percent),
    )
    return [hd.sr.Measurement(name=name, value=float(value), unit=unit) for name, value, unit in values]


def _evaluations(hd: Any, prediction: Prediction) -> list[Any]:
    """Scale, grades, or the reason for having none, and what is wrong with the capture."""
    found = [("scale", f"scale-{prediction.scale}")]
    if prediction.abstained:
        found.append(("no-grade", prediction.abstained))
    else:
        found.append(("grade", f"grade-{prediction.grade.index}"))
        found += [("grade-possible", f"grade-{index}") for index in prediction.grade_set]
    found += [("capture", reason) for reason in prediction.quality.reasons]
    return [hd.sr.QualitativeEvaluation(name=_own(hd, name), value=_own(hd, value)) for name, value in found]


def _lesions(hd: Any, codes: Any, prediction: Prediction, source: Any, photograph: bytes) -> list[Any]:
    """A point for each mark, in pixels of the stored picture, whose upper left corner is 0, 0 (PS3.3 C.18.6)."""
    import numpy as np

    stored = read_dicom(photograph)
    size = np.array([stored.width, stored.height])
    image = hd.sr.SourceImageForRegion.from_source_image(source, _frame(source))
    groups = []
    for number, lesion in enumerate(prediction.marks, 1):
        place = np.array([stored_place(stored.orientation, lesion.x, lesion.y)]) * size
        groups.append(
            hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
                tracking_identifier=hd.sr.TrackingIdentifier(uid=hd.UID(), identifier=f"lesion {number}"),
                referenced_region=hd.sr.ImageRegion(hd.sr.GraphicTypeValues.POINT, place, image),
                finding_type=codes.SCT.SkinLesion,
                algorithm_id=_algorithm(hd, prediction),
                measurements=[
                    hd.sr.Measurement(name=_own(hd, "lesion-score"), value=round(lesion.score, 4), unit=codes.UCUM.NoUnits)
                ],
            )
        )
    return groups


def _algorithm(hd: Any, prediction: Prediction) -> Any:
    model = prediction.model
    return hd.sr.AlgorithmIdentification(
        name=model.name,
        version=model.version,
        parameters=[f"sha256 {model.sha256}", f"runtime {model.backend}"],
        manufacturer=MAKER,
    )


def _observer(hd: Any, codes: Any, prediction: Prediction) -> Any:
    """The model as a device, whose UID follows from its file: the same on every machine, and no serial number."""
    uid = f"2.25.{int(prediction.model.sha256[:32], 16)}"
    name = f"{prediction.model.name} {prediction.model.version}"
    device = hd.sr.DeviceObserverIdentifyingAttributes(uid=uid, name=name, manufacturer_name=MAKER, model_name=name)
    return hd.sr.ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)


def _frame(source: Any) -> list[int] | None:
    return [1] if "NumberOfFrames" in source else None


def _own(hd: Any, code: str) -> Any:
    return hd.sr.CodedConcept(code, SCHEME, OWN[code])
