from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from acne_edge.cli import main as cli
from acne_edge.training.checkpoint import load_network
from acne_edge.training.config import TrainConfig
from acne_edge.training.data import load_images, read_samples, splits
from acne_edge.training.inference import predict
from acne_edge.training.loop import Trainer
from acne_edge.training.run import Run
from acne_edge.training.studies.analysis import (
    analyse,
    clear_crops,
    clear_skin,
    met_in_training,
    source_probe,
)
from tests import command


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch."""
    config = TrainConfig(train_size=32, image_resize=36, epochs=1, batch_size=8, frequency=1, num_workers=1, val_folds=2)
    folder = tmp_path_factory.mktemp("run")
    Trainer(config, data, folder, None, "cpu").fit()
    return folder


def test_clear_skin_is_looked_at_where_no_lesion_is(data: Path, run: Path) -> None:
    samples = [s for s in read_samples(data, "NNEW_trainval_0.txt") if s.count == 1]
    crops = clear_crops(samples, load_images(samples, 32))
    assert crops.shape == (len(samples), 32, 32, 3)
    crowded = [s for s in read_samples(data, "NNEW_trainval_0.txt") if s.count == 60]
    assert len(clear_crops(crowded, load_images(crowded, 32))) < len(crowded)
    outputs = predict(load_network(Run(run).model), crops, 32, torch.device("cpu"))
    result = clear_skin([outputs, None, outputs], Run(run).outputs("val"))
    assert result["crops"] == 2 * len(samples)
    assert result["map_mean"] == pytest.approx(outputs["lesion_map"].sum((1, 2)).mean(), rel=1e-5)
    assert clear_skin([None], Run(run).outputs("val")) == {"crops": 0}


def test_the_probe_reads_a_source_that_the_features_hold_and_no_other() -> None:
    rng = np.random.default_rng(0)
    hospital = rng.random(200) < 0.7
    blind = rng.normal(size=(200, 8)).astype(np.float32)
    counts = rng.integers(1, 60, 200)
    assert 0.3 < source_probe(blind, counts, hospital)["auc_features"] < 0.65
    marked = np.column_stack([blind, hospital]).astype(np.float32)
    assert source_probe(marked, counts, hospital)["auc_features"] > 0.95


@pytest.mark.slow
def test_the_command_prints_every_part_as_json(data: Path, run: Path) -> None:
    code, out, err = command.call(cli.main, "analyse", run, "--data", data, "--format", "json")
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert set(result) >= {"localisation", "clear_skin", "calibration", "subsets", "source_probe"}
    images = {name: part["images"] for name, part in result["subsets"].items()}
    assert images["all"] == images["hospital"] + images["web"] == result["images"]
    for how in ("counted", "labelled"):
        assert images["all"] == sum(number for name, number in images.items() if name.endswith(how))


@pytest.mark.slow
def test_what_several_runs_held_out_is_taken_together_each_photograph_once(data: Path, run: Path, tmp_path: Path) -> None:
    parts = [Path(shutil.copytree(run, tmp_path / name)) for name in ("first", "second")]
    listed = Run(run).list_file("val").read_text().splitlines()
    for part, lines in zip(parts, (listed[:-5], listed[-9:]), strict=True):  # four of them in both
        Run(part).list_file("val").write_text("\n".join(lines) + "\n")
    whole, together = analyse([run], data), analyse(parts, data)
    assert together["images"] == whole["images"] == len(listed)
    assert together["localisation"] == pytest.approx(whole["localisation"])
    assert together["calibration"]["ece"] == pytest.approx(whole["calibration"]["ece"], abs=1e-4)


def test_look_alikes_are_looked_for_in_the_training_list(
    data: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, held = (read_samples(data, Run(run).list_file(part)) for part in ("train", "val"))
    names = [s.name for s in trained + held]
    groups = np.arange(len(names))
    groups[-1] = groups[0]  # the last of the held-out photographs looks like the first of the others
    splits.write_groups(tmp_path / "groups.csv", names, groups)
    monkeypatch.setattr(splits, "GROUPS", tmp_path / "groups.csv")
    met = met_in_training(Run(run), held)
    assert met is not None
    assert met.tolist() == [False] * (len(held) - 1) + [True]
