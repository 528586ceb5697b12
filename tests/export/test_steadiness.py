from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from acne_edge.errors import UsageError
from acne_edge.evaluation.perturb import UNCHANGED, lines
from acne_edge.evaluation.perturbations import PERTURBATIONS
from acne_edge.training.checkpoint import load_network
from acne_edge.training.data import load_images, read_samples
from acne_edge.training.inference import predict
from acne_edge.training.run import Run
from export import steadiness as module
from export.steadiness import steadiness
from tests.export.test_familiarity import make_run
from tests.toy_model import narrow
from tests.training import acne04


def finish(folder: Path, data: Path) -> None:
    """Store the network's outputs for what the run held out, as training does at its end."""
    run = Run(folder)
    network = load_network(run.model)
    images = load_images(read_samples(data, run.list_file("test")), network.config.image_size)
    np.savez(run.outputs_file("test"), **predict(network, images, 8, next(network.parameters()).device))


@pytest.mark.slow
def test_each_photograph_is_judged_by_a_run_that_has_not_learned_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEVEL", 0.5)  # eight photographs give no interval of 90 %
    monkeypatch.setattr(module.perturb.judge, "__defaults__", (PERTURBATIONS[:2], None))
    data, judged = acne04.build(tmp_path / "acne04", side=160), []

    def watched(rows, title, number):
        judged.extend(rows)
        return iter(judged)

    with narrow():
        runs = [make_run(tmp_path / f"fold-{fold}", data, fold) for fold in (1, 2)]
        for run in runs:
            finish(run, data)
        found = steadiness(runs, data, every=2, progress=watched)
        alone = steadiness(runs[:1], data, every=4)
    assert (found["runs"], found["images"], alone["images"]) == ([1, 2], 8, 2)
    assert [row["row"] for row in found["rows"]] == [UNCHANGED, *(p.name for p in PERTURBATIONS[:2])]
    assert found["rows"][0]["changed"] == 0
    for run, number in zip(runs, (1, 2), strict=True):
        held_out = {s.name for s in read_samples(data, f"NNEW_test_{number}.txt")}
        names = {label.name for grader, _, label in judged if grader.manifest.name == run.name}
        assert len(names) == 4
        assert names <= held_out
    (manifest, other) = {grader.manifest.name: grader.manifest for grader, _, _ in judged}.values()
    assert manifest.is_framed
    assert manifest.familiarity is not None
    assert manifest.familiarity != other.familiarity  # each limit is from what the other run held out
    assert list(lines(found["rows"]))


def test_a_run_that_held_nothing_out_is_refused(tmp_path: Path) -> None:
    data = acne04.build(tmp_path / "acne04")
    with narrow(), pytest.raises(UsageError, match="held out no val list"):
        steadiness([make_run(tmp_path / "fold-1", data, 1)], data, part="val")
