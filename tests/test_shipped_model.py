"""The default model gives what it gave when it was shipped.

After a new model: `acne-edge predict tests/assets/drawn_face.png --format jsonl > tests/assets/golden.jsonl`.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from acne_edge import AcneGrader
from acne_edge.evaluation import evaluate_list, read_labels
from tests.conftest import ASSETS

RUN = Path(__file__).parents[1] / "export" / "checkpoints" / "acne-edge-s"


def test_the_golden_result_on_a_drawn_face(grader: AcneGrader) -> None:
    golden = json.loads((ASSETS / "golden.jsonl").read_text())
    result = grader.predict(ASSETS / "drawn_face.png").to_dict()
    assert result["model"]["sha256"] == golden["model"]["sha256"]
    assert result["grade"] == golden["grade"]
    # Processors differ in how they sum products, hence the tolerances.
    assert result["count"] == pytest.approx(golden["count"], abs=0.3)
    assert result["grade_probs"] == pytest.approx(golden["grade_probs"], abs=0.02)
    for end in ("low", "high"):
        assert result["count_interval"][end] == pytest.approx(golden["count_interval"][end], abs=1)
    assert result["quality"] == golden["quality"]


def test_the_manifest_names_its_data_and_its_gate(grader: AcneGrader) -> None:
    m = grader.manifest
    assert m.training["lists"]["train"]["n"] > m.training["lists"]["val"]["n"] > 100
    assert "held out" in m.metrics["split"]
    assert m.quantisation["recipe"].startswith("U8S8")
    assert "academic" in m.licence
    assert "Not a medical device" in m.intended_use


@pytest.mark.slow
def test_the_validation_photographs_give_the_figures_of_the_model_card(grader: AcneGrader, acne04: Path) -> None:
    stated = json.loads((RUN / "evaluation.json").read_text())
    measured = evaluate_list(grader, acne04 / "Classification" / "JPEGImages", RUN / "val.txt")
    assert measured["model"]["sha256"] == stated["model"]["sha256"]
    assert measured["images"] == stated["images"]
    assert measured["grade"]["accuracy"] == pytest.approx(stated["grade"]["accuracy"], abs=1.01 / stated["images"])
    assert measured["count"]["mae"] == pytest.approx(stated["count"]["mae"], abs=0.02)
    card = (Path(__file__).parents[1] / "MODEL_CARD.md").read_text()
    assert f"| accuracy | {100 * stated['grade']['accuracy']:.1f} % |" in card
    assert f"| count MAE, lesions | {stated['count']['mae']:.2f} |" in card
    assert stated["model"]["sha256"] in card


@pytest.mark.slow
def test_decoding_at_a_reduced_scale_moves_counts_by_a_fifth_of_a_lesion_at_most(grader: AcneGrader, acne04: Path) -> None:
    """On photographs blown up to the size that the hospital's camera gave them, which the open copy has lost."""
    moved = []
    for name, _, _ in read_labels(RUN / "val.txt")[::5]:
        with Image.open(acne04 / "Classification" / "JPEGImages" / name) as small:
            large = small.convert("RGB").resize((3112, 3456), Image.Resampling.LANCZOS)
        stream = io.BytesIO()
        large.save(stream, "JPEG", quality=92)
        with Image.open(stream) as full:
            moved.append(grader.predict(stream.getvalue()).count - grader.predict(np.asarray(full)).count)
    assert len(moved) > 30
    assert np.abs(moved).mean() < 0.2
