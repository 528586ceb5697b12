from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acne_edge.cli import main as cli
from acne_edge.errors import UsageError
from acne_edge.fit.outputs import OutOfFold
from acne_edge.training.config import TrainConfig
from acne_edge.training.loop import Trainer
from acne_edge.training.run import Run
from acne_edge.training.studies.refit import refit
from tests import command

QUICK: dict[str, Any] = {
    "train_size": 32, "image_resize": 36, "epochs": 1, "batch_size": 8, "frequency": 1, "num_workers": 1, "val_folds": 3,
}  # fmt: skip


def names(run: Path, part: str) -> set[str]:
    return {label.name for label in Run(run).labels(part)}


@pytest.fixture(scope="module")
def earlier(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that held a third of the photographs out."""
    run = tmp_path_factory.mktemp("earlier")
    Trainer(TrainConfig(**QUICK), data, run, None, "cpu").fit()
    return run


@pytest.fixture(scope="module")
def out(data: Path, earlier: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That run, continued by the command."""
    out = tmp_path_factory.mktemp("extended")
    (out / "settings.yaml").write_text("lr: 1e-5\n")
    words = ["refit", earlier, "--data", data, "--out", out, "--config", out / "settings.yaml", "--device", "cpu"]
    done = command.call(cli.main, *words)
    assert done.code == 0
    head, *rows, last = done.out.splitlines()
    assert head.split()[:3] == ["run", "n", "accuracy"]
    assert [row.split()[0] for row in rows] == ["part-1", "part-2"]
    assert last.startswith(f"{out / 'all'}: the run on all photographs")
    return out


@pytest.mark.slow
def test_each_part_is_judged_by_a_run_without_it_and_the_last_run_has_all(earlier: Path, out: Path) -> None:
    trained, held = names(earlier, "train"), names(earlier, "val")
    judged = [names(out / part, "val") for part in ("part-1", "part-2")]
    assert judged[0] | judged[1] == held
    assert not judged[0] & judged[1]
    for part, left_out in zip(("part-1", "part-2"), judged, strict=True):
        assert names(out / part, "train") == (trained | held) - left_out
    assert names(out / "all", "train") == trained | held
    assert not Run(out / "all").has("val")


def test_all_have_the_settings_of_the_earlier_run_but_for_those_given(out: Path) -> None:
    for run, val_folds in (("part-1", 2), ("part-2", 2), ("all", 0)):
        settings = TrainConfig.from_dict(json.loads(Run(out / run).settings_file.read_text()))
        assert settings == TrainConfig(**{**QUICK, "lr": 1e-5, "val_folds": val_folds})
        assert Run(out / run).results()["initial"]["weights"] == "model.safetensors"


def test_the_predictions_for_the_parts_are_what_the_last_run_gets_its_constants_from(earlier: Path, out: Path) -> None:
    predicted = OutOfFold.load(Run(out).out_of_fold)
    assert set(predicted.names) == names(earlier, "val")
    second = predicted.data.take(np.nonzero(predicted.folds == 2)[0])
    np.testing.assert_allclose(second.lesions, Run(out / "part-2").outputs("val").lesions, rtol=1e-6)
    predicted.check(json.loads(Run(out / "all").settings_file.read_text()))


def test_what_is_finished_is_kept(data: Path, earlier: Path, out: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "acne_edge"):
        refit(earlier, data, out, out / "settings.yaml", 2, "cpu")
    assert not caplog.records


def test_a_run_that_held_nothing_out_cannot_be_extended(data: Path, out: Path, tmp_path: Path) -> None:
    for run in (out / "all", tmp_path):
        with pytest.raises(UsageError, match="not a finished run that held photographs out"):
            refit(run, data, tmp_path / "out", None, 2, "cpu")
