from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from acne_edge import AcneGrader, Failure, ImageNotFoundError, ImageSize, Prediction, UsageError
from acne_edge.evaluation.annotated import Mark, Reading
from acne_edge.interop import coco
from acne_edge.positions import Lesion


@pytest.fixture
def results(grader: AcneGrader, face: np.ndarray) -> list[Prediction | Failure]:
    """Results for two photographs, the second without lesions, and for a missing one."""
    prediction = grader.predict(face)
    lesions = (Lesion(0.25, 0.5, 0.9), Lesion(0.75, 0.5, 0.8), Lesion(0.5, 0.1, 0.4))
    one = replace(prediction, path="photos/a/left.jpg", image=ImageSize(1000, 800), lesions=lesions, count=2.3)
    none = replace(prediction, path="photos/b/left.jpg", image=ImageSize(640, 480), lesions=(), count=0.2)
    return [one, Failure("photos/c.jpg", ImageNotFoundError("no such file")), none]


def test_predictions_are_readings_by_the_model_with_marks_that_agree_with_the_count(
    results, grader: AcneGrader, tmp_path: Path
) -> None:
    coco.write(tmp_path / "marks.json", results, root="photos")
    annotated = coco.read(tmp_path / "marks.json")
    assert [(p.name, p.width, p.height) for p in annotated.photographs] == [("a/left.jpg", 1000, 800), ("b/left.jpg", 640, 480)]
    (reading,) = annotated.photographs[0].readings
    assert (reading.count, reading.by) == (2, f"{grader.model.name} {grader.model.version}")
    assert reading.grade == results[0].grade.index
    assert reading.marks == (Mark(0.25, 0.5, score=0.9), Mark(0.75, 0.5, score=0.8))
    (reading,) = annotated.photographs[1].readings
    assert (reading.count, reading.marks) == (0, ())


def test_pycocotools_reads_what_is_exported(results, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tools = pytest.importorskip("pycocotools.coco", reason="needs pycocotools")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    coco.write(tmp_path / "marks.json", results, root="photos")
    truth = tools.COCO(str(tmp_path / "marks.json"))
    assert [image["file_name"] for image in truth.loadImgs(truth.getImgIds())] == ["a/left.jpg", "b/left.jpg"]
    found = truth.loadAnns(truth.getAnnIds(imgIds=[1]))
    side = 0.044 * 800
    assert [ann["bbox"] for ann in found] == [
        pytest.approx([250 - side / 2, 400 - side / 2, side, side], abs=0.01),
        pytest.approx([750 - side / 2, 400 - side / 2, side, side], abs=0.01),
    ]
    assert all(ann["segmentation"] == [] for ann in found), "else CVAT does not take them for rectangles"
    assert [cat["name"] for cat in truth.loadCats(truth.getCatIds())] == ["lesion"]
    # The marks as detections, measured against themselves, are perfect: COCO's own evaluation reads boxes and scores.
    detections = truth.loadRes(json.loads((tmp_path / "marks.json").read_text())["annotations"])
    measured = evaluation.COCOeval(truth, detections, "bbox")
    measured.evaluate()
    measured.accumulate()
    measured.summarize()
    assert measured.stats[0] == pytest.approx(1)
    capsys.readouterr()


def test_what_a_person_corrected_comes_back(results, tmp_path: Path) -> None:
    """An annotation program drops what it does not know, moves a box and adds one."""
    coco.write(tmp_path / "marks.json", results, root="photos")
    root = json.loads((tmp_path / "marks.json").read_text())
    known = ("id", "image_id", "category_id", "bbox", "area", "iscrowd")
    annotations = [{key: annotation[key] for key in known} for annotation in root["annotations"]]
    annotations[0]["bbox"] = [300.0, 300.0, 40.0, 20.0]
    annotations.append({**annotations[0], "id": 9, "bbox": [0.0, 0.0, 50.0, 40.0]})
    exported = {"images": root["images"], "categories": root["categories"], "annotations": annotations}
    (tmp_path / "corrected.json").write_text(json.dumps(exported))
    corrected = coco.read(tmp_path / "corrected.json")
    (reading,) = corrected.photographs[0].readings
    assert reading.count == 3
    assert reading.marks is not None
    assert reading.marks[0] == Mark(0.32, 0.3875, 0.04, 0.025)
    assert corrected.photographs[1].readings == (Reading(0, None, ()),)


def test_names_are_unambiguous_or_refused(results) -> None:
    with pytest.raises(UsageError, match=r"left\.jpg: two photographs have this name; give the folder that holds both as root"):
        coco.annotated(results)
    assert [p.name for p in coco.annotated(results[:1]).photographs] == ["left.jpg"]
    with pytest.raises(UsageError, match=r"photos/b/left\.jpg: is not below photos/a"):
        coco.annotated(results, root="photos/a")
    with pytest.raises(UsageError, match="predict files"):
        coco.annotated([replace(results[0], path=None)])


def test_scales_are_not_mixed(results) -> None:
    with pytest.raises(UsageError, match="graded on the scale banded, others on hayashi"):
        coco.annotated([results[0], replace(results[2], scale="banded")], root="photos")
    assert coco.annotated([]).photographs == ()
