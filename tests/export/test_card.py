from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from acne_edge import AcneGrader
from acne_edge.errors import UsageError
from acne_edge.evaluation.metrics import count_metrics, grade_metrics
from acne_edge.training.uncertainty import OutOfFold, cross_fitted
from export.card import write_card

RUN = Path("export/checkpoints/acne-edge-s")


def test_the_committed_card_is_what_the_command_writes(tmp_path: Path) -> None:
    write_card(RUN, tmp_path / "card.md")
    assert (tmp_path / "card.md").read_text() == Path("MODEL_CARD.md").read_text()


def test_the_figures_follow_from_the_predictions_beside_the_checkpoint(grader: AcneGrader) -> None:
    predicted, stated = OutOfFold.load(RUN / "out_of_fold.npz"), grader.manifest.metrics
    results, labels = cross_fitted(predicted.data, 0.9), predicted.data
    measured = grade_metrics(labels.grades, [r.grade for r in results], 4)["accuracy"]
    one = 1.01 / len(labels.grades)  # processors round differently
    assert measured == pytest.approx(stated["grade"]["accuracy"], abs=one)
    assert count_metrics(labels.counts, [r.count for r in results])["mae"] == pytest.approx(stated["count"]["mae"], abs=0.02)
    intervals = json.loads((RUN / "analysis.json").read_text())["subsets"]["all"]["figures"]
    assert intervals["accuracy"]["value"] == pytest.approx(stated["grade"]["accuracy"], abs=one)
    assert intervals["mae"]["value"] == pytest.approx(stated["count"]["mae"], abs=0.02)


def test_a_run_that_held_photographs_out_is_refused() -> None:
    with pytest.raises(UsageError, match="held photographs out; the card is of the run on all of them"):
        write_card(Path("export/checkpoints/acne-edge-s-0.5"))


def test_another_run_than_the_shipped_one_is_refused(tmp_path: Path) -> None:
    run = shutil.copytree(RUN, tmp_path / "run")
    results = json.loads((run / "run.json").read_text())
    results["lists"]["train"]["n"] = 5
    (run / "run.json").write_text(json.dumps(results))
    with pytest.raises(UsageError, match="not the run of the shipped acne-edge-s"):
        write_card(run, tmp_path / "card.md")
