"""The shipped models still give the results that they were shipped with.

`python -m export ship` writes the golden predictions of a new model.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from acne_edge import AcneGrader, models
from acne_edge.training.run import Run
from tests.conftest import ASSETS

CHECKPOINTS = Path(__file__).parents[1] / "export" / "checkpoints"


@pytest.fixture(scope="module", params=[name for name in models.index() if not name.endswith("-trt")])
def grader(request: pytest.FixtureRequest) -> Iterator[AcneGrader]:
    """Each of the shipped models for CPUs."""
    with AcneGrader.load(request.param) as loaded:
        yield loaded


def run_of(grader: AcneGrader) -> Run:
    """The run that made the model."""
    return Run(CHECKPOINTS / grader.manifest.name)


def test_the_golden_result_on_a_drawn_face(grader: AcneGrader) -> None:
    golden = json.loads((ASSETS / f"golden-{grader.manifest.name}.jsonl").read_text())
    prediction = grader.predict(ASSETS / "drawn_face.png")
    result = prediction.to_dict()
    assert result["model"]["sha256"] == golden["model"]["sha256"]
    assert result["grade"] == golden["grade"]
    # Processors differ in how they sum products, hence the tolerances.
    assert result["count"] == pytest.approx(golden["count"], abs=0.3)
    assert result["grade_probs"] == pytest.approx(golden["grade_probs"], abs=0.02)
    for end in ("low", "high"):
        assert result["count_interval"][end] == pytest.approx(golden["count_interval"][end], abs=1)
    assert result["quality"] == golden["quality"]
    assert result["image"] == golden["image"]
    # A place whose score is near the threshold may be there on one processor and not on another.
    sure = [lesion for lesion in golden["lesions"] if lesion["score"] > grader.manifest.positions.threshold + 0.05]
    assert sure
    for lesion in sure:
        assert any(abs(lesion["x"] - x) + abs(lesion["y"] - y) < 0.01 for x, y, _ in prediction.lesions)


def test_the_threshold_of_positions_was_fitted_on_photographs_that_the_manifest_names(grader: AcneGrader) -> None:
    positions = grader.manifest.positions
    assert positions.rule == "cross"
    assert 0.2 < positions.threshold < 0.4
    assert "had not learned" in positions.fitted_on
    measured = grader.manifest.metrics["positions"]
    assert (measured["split"], measured["threshold"]) == (positions.fitted_on, positions.threshold)


def test_the_manifest_names_its_data_and_its_gate(grader: AcneGrader) -> None:
    m = grader.manifest
    assert list(m.training["lists"]) == ["train"]
    assert m.training["lists"]["train"]["n"] == 1165
    assert "held out" in m.metrics["split"]
    assert m.quantisation["recipe"].startswith("U8S8")
    assert "academic" in m.licence
    assert "Not a medical device" in m.intended_use


@pytest.mark.slow
def test_photographs_give_what_the_checkpoint_gives_in_float(grader: AcneGrader, acne04: Path) -> None:
    """The network has learned these photographs, so this says what INT8 changes, not how good it is."""
    torch = pytest.importorskip("torch")
    from acne_edge.fit.outputs import LabelledOutputs
    from acne_edge.training.calibrate import calibrated
    from acne_edge.training.checkpoint import load_network
    from acne_edge.training.data import load_images, read_samples
    from acne_edge.training.inference import predict
    from acne_edge.training.model import OutputCalibration

    samples = read_samples(acne04, run_of(grader).list_file("train"))[::7]
    network, m = load_network(run_of(grader).model), grader.manifest
    outputs = predict(network, load_images(samples, m.input.height), 32, torch.device("cpu"))
    held_out = LabelledOutputs.of(outputs, samples)
    calibration = OutputCalibration.from_dict(m.training["output_calibration"])
    assert calibration is not None
    expected = calibrated(held_out, calibration).interpret(m.decoding, m.uncertainty)
    measured = [grader.predict(s.path) for s in samples]
    agree = [e.grade == p.grade.index for e, p in zip(expected, measured, strict=True)]
    apart = [abs(e.count - p.count) for e, p in zip(expected, measured, strict=True)]
    assert len(samples) > 150
    assert np.mean(agree) > 0.96
    assert np.mean(apart) < 0.4


@pytest.mark.slow
def test_decoding_at_a_reduced_scale_moves_counts_by_a_fifth_of_a_lesion_at_most(grader: AcneGrader, acne04: Path) -> None:
    """On photographs blown up to the size that the hospital's camera gave them, which the open copy has lost."""
    moved = []
    for label in run_of(grader).labels("train")[::35]:
        name = label.name
        with Image.open(acne04 / "Classification" / "JPEGImages" / name) as small:
            large = small.convert("RGB").resize((3112, 3456), Image.Resampling.LANCZOS)
        stream = io.BytesIO()
        large.save(stream, "JPEG", quality=92)
        with Image.open(stream) as full:
            moved.append(grader.predict(stream.getvalue()).count - grader.predict(np.asarray(full)).count)
    assert len(moved) > 30
    assert np.abs(moved).mean() < 0.2
