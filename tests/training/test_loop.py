from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from acne_edge.errors import UsageError
from acne_edge.training import checkpoint
from acne_edge.training.config import TrainConfig
from acne_edge.training.loop import Dataset, Trainer, lr_factor, make_optimizer, split
from acne_edge.training.model import FusionModel, ModelConfig

QUICK: dict[str, Any] = {
    "train_size": 32, "image_resize": 36, "epochs": 3, "batch_size": 8, "frequency": 1, "num_workers": 1, "val_folds": 5,
}  # fmt: skip


def trainer(data: Path, run: Path, **changes: Any) -> Trainer:
    return Trainer(TrainConfig(**{**QUICK, **changes}), data, run, None, "cpu")


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run that was not interrupted."""
    run = tmp_path_factory.mktemp("run")
    trainer(data, run).fit(say=lambda line: None)
    return run


def test_a_run_leaves_settings_log_lists_results_and_checkpoints(finished: Path) -> None:
    names = {p.name for p in finished.iterdir()}
    assert names >= {
        "config.json",
        "log.csv",
        "tensorboard",
        "train.txt",
        "val.txt",
        "run.json",
        "model.safetensors",
        "last.safetensors",
    }
    assert TrainConfig.from_dict(json.loads((finished / "config.json").read_text())) == TrainConfig(**QUICK)
    rows = list(csv.DictReader((finished / "log.csv").open()))
    assert [int(r["epoch"]) for r in rows] == [1, 2, 3]
    assert "accuracy_combined" in rows[0]
    assert list((finished / "tensorboard").glob("events.*"))
    results = json.loads((finished / "run.json").read_text())
    assert results["metrics"]["val"]["grade"]["combined"]["n"] == results["lists"]["val"]["n"]


def test_the_exported_checkpoint_is_the_averaged_network_in_half_precision(finished: Path) -> None:
    tensors, info = checkpoint.load(finished / "model.safetensors")
    model = FusionModel(ModelConfig(**info["model"]))
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in tensors.items()})
    ema = checkpoint.unprefixed("ema", checkpoint.load(finished / "last.safetensors")[0])
    assert tensors["count_head.weight"].dtype == torch.float16
    torch.testing.assert_close(tensors["count_head.weight"], ema["count_head.weight"].half())


@pytest.mark.parametrize("moment", ["after a save", "in an epoch"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_killed_run_resumes_to_the_same_weights(data: Path, tmp_path: Path, moment: str, optimizer: str) -> None:
    whole = trainer(data, tmp_path / "whole", optimizer=optimizer)
    whole.fit(say=lambda line: None)
    killed = trainer(data, tmp_path / "killed", optimizer=optimizer)
    original_save, original_average = killed.save, killed.average

    def save(path: Path) -> None:
        original_save(path)
        if killed.epoch == 1 and moment == "after a save":
            raise KeyboardInterrupt

    def average() -> None:
        original_average()
        if killed.epoch == 1 and killed.step % 3 == 0 and moment == "in an epoch":
            raise KeyboardInterrupt

    killed.save, killed.average = save, average  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        killed.fit(say=lambda line: None)
    resumed = trainer(data, tmp_path / "killed", optimizer=optimizer)
    resumed.fit(resume=True, say=lambda line: None)
    for key, value in whole.ema.items():
        assert torch.equal(value, resumed.ema[key]), key
    assert len(resumed.history) == 3


def test_a_run_is_not_resumed_with_other_settings(data: Path, finished: Path) -> None:
    with pytest.raises(UsageError, match=r"other settings \(lr\)"):
        trainer(data, finished, lr=0.5).fit(resume=True, say=lambda line: None)


def test_the_official_test_list_is_used_for_folds_only(data: Path) -> None:
    assert split(data, TrainConfig(**QUICK))["test"] == []
    lists = split(data, TrainConfig(**QUICK, cross_validation=1))
    assert len(lists["test"]) == 8
    assert not {s.name for s in lists["test"]} & {s.name for s in lists["train"] + lists["val"]}


def test_too_few_images_for_a_batch_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="do not fill a batch"):
        trainer(data, tmp_path, batch_size=64).fit(say=lambda line: None)


def test_a_network_learns_to_count_drawn_lesions(data: Path, tmp_path: Path) -> None:
    run = trainer(
        data, tmp_path, train_size=48, image_resize=48, epochs=14, lr=1e-3, ema=0.9, frequency=14, method="resnet", zoom=0.0
    )
    run.fit(say=lambda line: None)
    assert run.history[-1]["loss"] < 0.6 * run.history[0]["loss"]
    assert run.history[-1]["density"] < run.history[0]["density"]


def test_a_sample_without_boxes_is_only_flipped(data: Path) -> None:
    samples = split(data, TrainConfig(**QUICK))["train"][:4]
    plain = [type(s)(s.name, s.path, s.grade, s.count, None) for s in samples]
    dataset = Dataset(plain, 32, 1, torch.device("cpu"))
    from acne_edge.training.augment import Augmentation

    views, counts, points = dataset.view(torch.arange(4), Augmentation(colour=0.0), 32, torch.Generator().manual_seed(0))
    assert counts.tolist() == [s.count for s in samples]
    assert points == [None] * 4
    from acne_edge.training.model import Normalize

    frames = Normalize()(dataset.images)
    for view, frame in zip(views, frames, strict=True):
        assert min((view - frame).abs().max(), (view - frame.flip(2)).abs().max()) < 1e-3


def test_the_rate_warms_up_and_decays_or_steps() -> None:
    cycle = [lr_factor(s, 100, TrainConfig()) for s in range(101)]
    assert cycle[0] < 0.05
    assert max(cycle) == pytest.approx(1)
    assert np.argmax(cycle) == 10
    assert cycle[100] == pytest.approx(0.01)
    steps = TrainConfig(epochs=10, lr_steps=(3, 6))
    assert [lr_factor(s, 100, steps) for s in (0, 29, 30, 60)] == [1, 1, 0.5, 0.25]


def test_norms_biases_and_embeddings_do_not_decay() -> None:
    model = FusionModel(ModelConfig(image_size=32))
    decay, keep = make_optimizer(model, TrainConfig()).param_groups
    assert keep["weight_decay"] == 0
    assert all(p.ndim >= 2 for p in decay["params"])
    assert any(p is model.vit.pos_embed for p in keep["params"])
