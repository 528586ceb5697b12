from __future__ import annotations

import io
import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from acne_edge import (
    AcneGrader,
    BackendError,
    ImageNotFoundError,
    ImageSizeError,
    ModelError,
    PoorQualityError,
    Prediction,
    UsageError,
)
from acne_edge.backends.base import Outputs
from acne_edge.grader import STAGES
from acne_edge.grading import CloseUp, Familiarity
from tests import drawing
from tests.toy_model import make_manifest, toy_model


def test_a_prediction_is_complete(grader: AcneGrader, face: np.ndarray) -> None:
    p = grader.predict(face)
    assert p.count_interval.low <= p.count <= p.count_interval.high
    assert p.grade.label == grader.scale.labels[p.grade.index]
    assert p.grade.index == int(np.argmax(p.grade_probs))
    assert sum(p.grade_probs) == pytest.approx(1)
    assert p.grade.index in p.grade_set
    assert p.scale == "hayashi"
    assert p.lesion_map.ndim == 2
    assert (p.lesion_map >= 0).all()
    assert p.model.backend == "onnxruntime:CPUExecutionProvider"
    assert tuple(p.timings) == (*STAGES, "total")
    assert p.timings["total"] == pytest.approx(sum(p.timings[stage] for stage in STAGES))


def test_every_kind_of_source_gives_the_same_prediction(grader: AcneGrader, face: np.ndarray, tmp_path: Path) -> None:
    file = tmp_path / "face.png"
    file.write_bytes(drawing.encode(face))
    sources = [face, file, str(file), file.read_bytes(), Image.fromarray(face)]
    assert len({grader.predict(s).count for s in sources}) == 1
    assert grader.predict(file).path == str(file)
    assert grader.predict(face).path is None


def test_orientation_is_honoured(grader: AcneGrader, face: np.ndarray) -> None:
    upright = grader.predict(drawing.with_orientation(face, 1)).count
    turned = grader.predict(drawing.with_orientation(np.ascontiguousarray(np.rot90(face, 1)), 6)).count
    assert turned == pytest.approx(upright, abs=1.0)  # JPEG blocks lie differently on the turned picture


def test_the_json_schema(grader: AcneGrader, face: np.ndarray) -> None:
    record = json.loads(json.dumps(grader.predict(face).to_dict()))
    assert list(record) == [
        "schema", "path", "count", "count_interval", "grade", "grade_probs", "grade_set", "scale", "image", "lesions",
        "quality", "abstained", "unfamiliarity", "model", "timings",
    ]  # fmt: skip
    assert record["schema"] == "1.1"
    lesion_map = grader.predict(face).to_dict(lesion_map=True)["lesion_map"]
    assert np.shape(lesion_map) == grader.predict(face).lesion_map.shape


@pytest.mark.parametrize("name", ["banded", "report"])  # the second is its old name
def test_the_banded_scale_grades_by_count(face: np.ndarray, name: str) -> None:
    with AcneGrader.load(scale=name) as grader:
        p = grader.predict(face)
    assert p.scale == "banded"
    assert p.grade_probs[3] == pytest.approx(0, abs=1e-6)


def test_bad_options_are_refused() -> None:
    with pytest.raises(UsageError, match="unknown backend"):
        AcneGrader.load(backend="abacus")
    with pytest.raises(UsageError, match="threads"):
        AcneGrader.load(threads=-1)
    with pytest.raises(UsageError, match="unknown severity scale"):
        AcneGrader.load(scale="pantone")


def test_a_poor_capture_is_warned_of_abstained_on_or_refused(face: np.ndarray) -> None:
    dark = (face * 0.1).astype(np.uint8)
    for policy, abstained in (("warn", (None, "low_confidence")), ("abstain", ("poor_quality",))):
        with AcneGrader.load(on_poor_quality=policy) as grader:
            p = grader.predict(dark)
            assert "too_dark" in p.quality.reasons
            assert p.abstained in abstained
    with AcneGrader.load(on_poor_quality="fail") as grader:
        with pytest.raises(PoorQualityError, match="too_dark"):
            grader.predict(dark)
        assert grader.predict(face).quality.reasons == ()
    with pytest.raises(UsageError, match="warn, abstain, fail"):
        AcneGrader.load(on_poor_quality="shrug")


@pytest.mark.parametrize("data", [b"", b"not a model", b"\x08\x07" * 50])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(data)
    with pytest.raises(ModelError) as caught:
        AcneGrader.load(file)
    assert "\n" not in str(caught.value)


def test_predict_raises_image_errors(grader: AcneGrader) -> None:
    with pytest.raises(ImageNotFoundError):
        grader.predict("no/such/photo.jpg")
    with pytest.raises(ImageSizeError):
        grader.predict(np.zeros((1, 1, 3), np.uint8))


def test_errors_name_the_path_and_records_have_it_beside_the_message(face: np.ndarray, tmp_path: Path) -> None:
    dark = tmp_path / "dark.png"
    dark.write_bytes(drawing.encode((face * 0.1).astype(np.uint8)))
    with AcneGrader.load(on_poor_quality="fail") as grader:
        for path, kind in ((dark, PoorQualityError), (tmp_path / "missing.jpg", ImageNotFoundError)):
            with pytest.raises(kind) as caught:
                grader.predict(path)
            assert str(caught.value) == f"{path}: {caught.value.message}"
            record = grader.try_predict(str(path)).to_dict()
            assert (record["path"], record["error"]["message"]) == (str(path), caught.value.message)
        with pytest.raises(PoorQualityError, match=r"^poor photograph"):
            grader.predict(dark.read_bytes())


def test_a_model_whose_outputs_are_no_numbers_stops_a_batch(
    grader: AcneGrader, face: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = grader._loader.backend()
    run = backend.run

    def broken(images: np.ndarray) -> Outputs:
        outputs = run(images)
        outputs.count_probs[0, 3] = np.nan
        return outputs

    monkeypatch.setattr(backend, "run", broken)
    with pytest.raises(ModelError, match="not finite numbers"):
        grader.predict(face)
    with pytest.raises(ModelError, match="not finite numbers"):
        list(grader.predict_many([face, face]))


def test_lazy_pil_images_that_are_damaged_are_records_of_a_batch(grader: AcneGrader, face: np.ndarray) -> None:
    whole = drawing.encode(face, "JPEG")
    with Image.open(io.BytesIO(whole)) as closed:
        pass
    cut = Image.open(io.BytesIO(whole[: len(whole) // 2]))
    results = list(grader.predict_many([whole, closed, cut, Image.open(io.BytesIO(whole))]))
    assert [r.ok for r in results] == [True, False, False, True]
    assert {r.error.code for r in results if not r.ok} == {"image_decode"}


def test_a_batch_keeps_its_order_and_passes_over_bad_inputs(grader: AcneGrader) -> None:
    faces = [drawing.face(lesions=n, seed=n, width=200 + n, height=240) for n in range(12)]
    sources = [*faces[:5], "missing.jpg", *faces[5:]]
    results = list(grader.predict_many(sources, workers=3))
    assert [r.ok for r in results] == [True] * 5 + [False] + [True] * 7
    assert results[5].to_dict()["error"] == {"code": "image_not_found", "message": "no such file"}
    alone = [grader.predict(f).count for f in faces]
    assert [r.count for r in results if isinstance(r, Prediction)] == pytest.approx(alone, abs=1e-4)


def test_a_batch_reads_ahead_only_a_little(grader: AcneGrader, face: np.ndarray) -> None:
    taken = itertools.count()
    endless = (face for _ in taken)
    results = grader.predict_many(endless, workers=2)
    first = next(results)
    assert first.ok
    results.close()
    assert next(taken) <= 10


def test_a_closed_grader_says_so(face: np.ndarray) -> None:
    grader = AcneGrader.load()
    grader.close()
    grader.close()
    for call in (lambda: grader.predict(face), grader.warmup, lambda: next(grader.predict_many([face]))):
        with pytest.raises(BackendError, match="closed"):
            call()


def test_threads_share_a_grader(grader: AcneGrader) -> None:
    grader.warmup()
    faces = [drawing.face(lesions=5 * n, seed=n, width=224, height=224) for n in range(4)]
    alone = [grader.predict(f).count for f in faces]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda i: grader.predict(faces[i % 4]).count, range(32)))
    assert together == pytest.approx([alone[i % 4] for i in range(32)], abs=1e-4)


def test_a_grader_can_be_called(grader: AcneGrader, face: np.ndarray) -> None:
    assert grader(face).count == grader.predict(face).count


def test_a_batch_can_be_a_folder(grader: AcneGrader, face: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.png", "a.png", "sub/c.png"):
        (tmp_path / name).write_bytes(drawing.encode(face))
    (tmp_path / "notes.txt").write_text("no photograph")
    expected = [str(tmp_path / name) for name in ("a.png", "b.png", "sub/c.png")]
    for folder in (tmp_path, str(tmp_path)):
        assert [r.path for r in grader.predict_many(folder)] == expected
    assert [r.path for r in grader.predict_many(tmp_path / "a.png")] == expected[:1]


def test_a_folder_without_photographs_is_refused_at_once(grader: AcneGrader, tmp_path: Path) -> None:
    with pytest.raises(ImageNotFoundError, match="the folder holds no photographs"):
        grader.predict_many(tmp_path)


def test_one_photograph_is_no_batch(grader: AcneGrader, face: np.ndarray) -> None:
    for source in (face, drawing.encode(face), Image.fromarray(face)):
        with pytest.raises(UsageError, match="for one photograph, use predict"):
            grader.predict_many(source)
    assert len(list(grader.predict_many(np.stack([face, face])))) == 2


@pytest.mark.parametrize("policy", ["warn", "abstain"])
def test_a_blank_frame_gets_no_grade_whatever_the_policy(policy: str) -> None:
    with AcneGrader.load(threads=1, on_poor_quality=policy) as grader:
        for level in (0, 128, 255):
            p = grader.predict(np.full((300, 300, 3), level, np.uint8))
            assert (p.abstained, p.grade.text) == ("blank", "no grade")


def test_a_close_up_is_told_and_never_refused_and_nothing_is_told_of_what_is_unknown(face: np.ndarray, tmp_path: Path) -> None:
    """The toy model's outputs beyond the first three are the mean value of the picture."""
    pytest.importorskip("onnx", reason="needs the extra export to draw a model")
    found = {}
    for name, close_up, far in (("close", 1.0, 1e6), ("unknown", 0.0, 1.0)):
        manifest = make_manifest(close_up=CloseUp(close_up), familiarity=Familiarity(far), requires=("familiarity-1",))
        model = tmp_path / f"{name}.onnx"
        model.write_bytes(toy_model(manifest, more=("close_up", "unfamiliarity")))
        with AcneGrader.load(model) as grader, AcneGrader.load(model, on_poor_quality="abstain") as strict:
            found[name] = grader.predict(face)
            assert strict.predict(face).abstained == found[name].abstained != "poor_quality"
            assert "close_up" not in grader.predict(np.full((300, 300, 3), 128, np.uint8)).quality.reasons  # blank
    assert (found["close"].quality.reasons, found["unknown"].quality.reasons) == (("close_up",), ())
    assert found["close"].quality.faults == ()
    assert found["close"].warnings == ("close_up",)


def test_the_grade_in_words_fits_the_count(grader: AcneGrader) -> None:
    assert grader.predict(drawing.face(lesions=0)).grade.text == "none counted"
    for lesions in (8, 12, 20, 40):
        p = grader.predict(drawing.face(lesions=lesions))
        labels = [grader.scale.labels[i] for i in (min(p.grade_set), max(p.grade_set))]
        assert p.grade.text == (labels[0] if labels[0] == labels[1] else " to ".join(labels))
