from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acne_edge import AcneGrader, Prediction
from acne_edge.errors import MissingExtraError, UsageError
from acne_edge.formats.dicom import stored_place
from acne_edge.interop import dicom as interop
from tests import drawing

pydicom = pytest.importorskip("pydicom", reason="the extra dicom is not installed")
hd = pytest.importorskip("highdicom", reason="the extra dicom is not installed")
from tests.cli.conftest import Run, run  # noqa: E402, F401
from tests.dicom_files import PATIENT, dicom  # noqa: E402


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    return drawing.face(lesions=12, seed=3, width=400, height=480)


@pytest.fixture(scope="module")
def photograph(face: np.ndarray) -> bytes:
    return dicom(face, PatientOrientation=["L", "F"], Manufacturer="Camera Maker", **PATIENT)


@pytest.fixture(scope="module")
def prediction(grader: AcneGrader, photograph: bytes) -> Prediction:
    return grader.predict(photograph)


@pytest.fixture(scope="module")
def report(prediction: Prediction, photograph: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sr") / "report.dcm"
    interop.write(path, prediction, photograph)
    return path


def groups(report: Path) -> tuple[Any, list[Any]]:
    """The group of the photograph, and those of the lesions."""
    content = hd.sr.srread(report).content
    return content.get_image_measurement_groups()[0], content.get_planar_roi_measurement_groups()


def values(group: Any) -> dict[str, float]:
    return {m.name.value: m.value for m in group.get_measurements()}


def evaluations(group: Any) -> list[tuple[str, str]]:
    return [(e.name.value, e.value.value) for e in group.get_qualitative_evaluations()]


def test_count_interval_and_grade_are_read_back(report: Path, prediction: Prediction) -> None:
    group, _ = groups(report)
    interval = prediction.count_interval
    assert values(group) == {
        "246206008": round(prediction.count, 2), "count-low": interval.low, "count-high": interval.high, "count-level": 90,
    }  # fmt: skip
    units = {m.unit.value for m in group.get_measurements()}
    assert units == {"{lesions}", "%"}
    assert evaluations(group) == [
        ("scale", "scale-hayashi"),
        ("grade", f"grade-{prediction.grade.index}"),
        *(("grade-possible", f"grade-{index}") for index in prediction.grade_set),
    ]


def test_every_mark_is_a_point_in_pixels_of_the_stored_picture(report: Path, prediction: Prediction) -> None:
    _, lesions = groups(report)
    assert len(prediction.marks) > 2
    places = [tuple(map(float, group.roi.value[0])) for group in lesions]
    assert places == [pytest.approx((400 * m.x, 480 * m.y), abs=0.01) for m in prediction.marks]
    assert [values(group)["lesion-score"] for group in lesions] == [round(m.score, 4) for m in prediction.marks]


@pytest.mark.parametrize("value", [["R", "H"], ["F", "R"], ["H", "L"]])
def test_points_of_a_picture_that_was_turned_lie_where_its_lesions_are_stored(
    grader: AcneGrader, face: np.ndarray, prediction: Prediction, value: list[str], tmp_path: Path
) -> None:
    turns = {"H": 2, "R": 1, "L": 3}[value[1]]
    stored = np.ascontiguousarray(np.rot90(face, turns))
    data = dicom(stored, PatientOrientation=value)
    turned = grader.predict(data)
    assert turned.count == pytest.approx(prediction.count)
    interop.write(tmp_path / "sr.dcm", turned, data)
    for group, mark in zip(groups(tmp_path / "sr.dcm")[1], prediction.marks, strict=True):
        column, row = (int(v) for v in group.roi.value[0])
        around = stored[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2].reshape(-1, 3)  # it may lie on a border
        assert (around == face[int(480 * mark.y), int(400 * mark.x)]).all(1).any()


def test_places_go_back_the_way_the_picture_was_turned() -> None:
    from PIL import Image

    from acne_edge.image import TURNS

    picture = np.zeros((40, 60), np.uint8)
    picture[7, 45] = 255
    for orientation in range(1, 9):
        upright = Image.fromarray(picture)
        upright = np.asarray(upright.transpose(TURNS[orientation]) if orientation in TURNS else upright)
        (row,), (column,) = np.nonzero(upright)
        x, y = stored_place(orientation, (column + 0.5) / upright.shape[1], (row + 0.5) / upright.shape[0])
        assert (x * 60, y * 40) == pytest.approx((45.5, 7.5))


def test_patient_and_study_are_those_of_the_photograph(report: Path, photograph: bytes) -> None:
    made, source = pydicom.dcmread(report), pydicom.dcmread(io.BytesIO(photograph))
    for keyword in (*PATIENT, "StudyInstanceUID"):
        assert made[keyword].value == source[keyword].value, keyword
    assert made.SeriesInstanceUID != source.SeriesInstanceUID
    evidence = made.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert evidence.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert (made.CompletionFlag, made.VerificationFlag, made.PreliminaryFlag) == ("COMPLETE", "UNVERIFIED", "PRELIMINARY")


def test_no_patient_is_made_up(grader: AcneGrader, face: np.ndarray) -> None:
    data = dicom(face)
    made = interop.report(grader.predict(data), data)
    for keyword in (*PATIENT, "InstitutionName", "OperatorsName"):
        assert not made.get(keyword), keyword


def test_model_and_runtime_are_named(report: Path, prediction: Prediction) -> None:
    text = str(pydicom.dcmread(report).to_json())
    for word in (prediction.model.name, prediction.model.version, prediction.model.sha256, prediction.model.backend):
        assert word in text


def test_own_codes_are_all_described_and_the_scheme_is_identified(report: Path) -> None:
    made = pydicom.dcmread(report)
    used = {}

    def visit(dataset: Any, element: Any) -> None:
        if element.keyword == "CodingSchemeDesignator" and "CodeValue" in dataset:
            used[(element.value, dataset.CodeValue)] = dataset.CodeMeaning

    made.walk(visit)
    own = {code: meaning for (scheme, code), meaning in used.items() if scheme == interop.SCHEME}
    assert own
    assert own.items() <= interop.OWN.items()
    assert {scheme for scheme, _ in used} <= {"DCM", "SCT", "UCUM", "RFC5646", interop.SCHEME}
    assert made.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == interop.SCHEME
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "dicom-and-fhir.md").read_text()
    assert [code for code in interop.OWN if f"`{code}`" not in page] == []


def test_what_has_no_grade_says_why(grader: AcneGrader, tmp_path: Path) -> None:
    data = dicom(np.full((240, 200, 3), 90, np.uint8))
    interop.write(tmp_path / "sr.dcm", grader.predict(data), data)
    found = evaluations(groups(tmp_path / "sr.dcm")[0])
    assert ("no-grade", "blank") in found
    assert ("capture", "blank") in found
    assert "grade" not in dict(found)


@pytest.mark.parametrize("case", ["plain", "bare", "frames"])
def test_dciodvfy_finds_no_error(
    case: str, photograph: bytes, grader: AcneGrader, face: np.ndarray, report: Path, tmp_path: Path
) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("no dciodvfy here: install dicom3tools")
    if case != "plain":
        frames = {"NumberOfFrames": 1, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7.4"} if case == "frames" else {}
        data = dicom(face, **frames)
        report = tmp_path / "sr.dcm"
        interop.write(report, grader.predict(data), data)
    said = subprocess.run(["dciodvfy", str(report)], capture_output=True, text=True)
    assert "ComprehensiveSR" in said.stdout + said.stderr
    assert [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")] == []


def test_dciodvfy_would_find_an_error(report: Path, tmp_path: Path) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("no dciodvfy here: install dicom3tools")
    broken = pydicom.dcmread(report)
    del broken.CompletionFlag
    broken.save_as(tmp_path / "broken.dcm")
    said = subprocess.run(["dciodvfy", str(tmp_path / "broken.dcm")], capture_output=True, text=True)
    assert "Error" in said.stdout + said.stderr


def test_what_a_report_cannot_point_to_is_refused(prediction: Prediction, face: np.ndarray) -> None:
    with pytest.raises(UsageError, match="this one is none"):
        interop.report(prediction, drawing.encode(face))
    with pytest.raises(UsageError, match="has no StudyInstanceUID"):
        interop.report(prediction, dicom(face, StudyInstanceUID=None))


def test_without_the_extra_the_error_names_it(prediction: Prediction, photograph: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(MissingExtraError, match=r"acne-edge\[dicom\]"):
        interop.report(prediction, photograph)


def test_predict_writes_a_report_for_each_dicom_photograph(run: Run, photograph: bytes, face: np.ndarray, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for name in ("a.dcm", "sub/a.dcm"):
        (tmp_path / "in" / name).write_bytes(photograph)
    (tmp_path / "in" / "bad.dcm").write_bytes(photograph[:2000])
    (tmp_path / "in" / "c.jpg").write_bytes(drawing.encode(face, "JPEG"))
    code, out, err = run("predict", tmp_path / "in", "--dicom-sr", tmp_path / "out")
    assert code == 3
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a-2.sr.dcm", "a.sr.dcm"]
    assert out.count("\n") == 5
    assert f"acne-edge: {tmp_path / 'in' / 'c.jpg'}: no report: a Structured Report points to a DICOM photograph" in err
    assert groups(tmp_path / "out" / "a.sr.dcm")
    assert run("predict", tmp_path / "in" / "a.dcm", "--dicom-sr", tmp_path / "out")[0] == 0
    assert (tmp_path / "out" / "a-3.sr.dcm").exists()


def test_a_record_holds_the_sum_of_the_dicom_file(run: Run, photograph: bytes, tmp_path: Path) -> None:  # noqa: F811
    import hashlib

    from tests.records.conftest import lines

    (tmp_path / "a.dcm").write_bytes(photograph)
    run("predict", tmp_path / "a.dcm", "--record", tmp_path / "study.jsonl", "--dicom-sr", tmp_path / "out")
    line = lines(tmp_path / "study.jsonl")[1]
    assert line["sha256"] == hashlib.sha256(photograph).hexdigest()
    assert "pydicom" in line["software"]
