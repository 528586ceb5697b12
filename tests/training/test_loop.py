from __future__ import annotations

import csv
import json
import os
import platform
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from acne_edge.errors import UsageError
from acne_edge.training import checkpoint, loop
from acne_edge.training import data as acne04_data
from acne_edge.training.config import TrainConfig
from acne_edge.training.data import load_images, read_samples
from acne_edge.training.loop import Dataset, Trainer, epoch_order, lr_factor, make_optimizer, split
from acne_edge.training.model import FusionModel, ModelConfig, resize_input

QUICK: dict[str, Any] = {
    "train_size": 32, "image_resize": 36, "epochs": 3, "batch_size": 8, "frequency": 1, "num_workers": 1, "val_folds": 5,
    "mix": 0.5, "balance": 0.0,
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
    rows = list(csv.DictReader((finished / "log.csv").read_text().splitlines()))
    assert [int(r["epoch"]) for r in rows] == [1, 2, 3]
    assert "accuracy_combined" in rows[0]
    assert list((finished / "tensorboard").glob("events.*"))
    results = json.loads((finished / "run.json").read_text())
    assert results["metrics"]["val"]["grade"]["combined"]["n"] == results["lists"]["val"]["n"]


def test_the_last_run_holds_nothing_out(data: Path, tmp_path: Path) -> None:
    results = trainer(data, tmp_path / "run", val_folds=0, epochs=1).fit(say=lambda line: None)
    assert results["lists"]["train"]["n"] == 40
    assert (results["metrics"], list(results["lists"])) == ({}, ["train"])
    assert not (tmp_path / "run" / "val.txt").exists()


def test_the_exported_checkpoint_is_the_averaged_network_in_half_precision(finished: Path) -> None:
    tensors, info = checkpoint.load(finished / "model.safetensors")
    model = FusionModel(ModelConfig(**info["model"]))
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in tensors.items()})
    ema = checkpoint.unprefixed("ema", checkpoint.load(finished / "last.safetensors")[0])
    assert tensors["count_head.weight"].dtype == torch.float16
    torch.testing.assert_close(tensors["count_head.weight"], ema["count_head.weight"].half())


def test_what_is_measured_is_the_exported_checkpoint(data: Path, finished: Path) -> None:
    network = checkpoint.load_network(finished / "model.safetensors")
    images = load_images(read_samples(data, finished / "val.txt"), 32)
    predicted = loop.predict(network, images, 32, torch.device("cpu"))
    with np.load(finished / "val_outputs.npz") as stored:
        for name, values in predicted.items():
            np.testing.assert_allclose(values, stored[name], rtol=1e-5, atol=1e-7)


def test_stochastic_weight_averaging_keeps_the_rate_and_takes_the_mean_of_the_last_steps(data: Path, tmp_path: Path) -> None:
    run = trainer(data, tmp_path / "run", swa=0.5, epochs=2)
    weights: list[torch.Tensor] = []
    average = run.average
    run.average = lambda steps: (weights.append(run.model.count_head.weight.detach().clone()), average(steps))[1]  # type: ignore[method-assign]
    run.fit(say=lambda line: None)
    assert len(weights) == 8
    torch.testing.assert_close(run.ema["count_head.weight"], torch.stack(weights[4:]).mean(0), atol=1e-4, rtol=1e-3)
    assert [lr_factor(step, 100, run.config) for step in (5, 10, 99)] == [0.5, 1, 1]


@pytest.mark.parametrize(("optimizer", "moment"), [("adam", "after a save"), ("adam", "in an epoch"), ("sgd", "in an epoch")])
def test_a_killed_run_resumes_to_the_same_weights(
    data: Path, finished: Path, tmp_path: Path, moment: str, optimizer: str
) -> None:
    whole = checkpoint.load(finished / "last.safetensors")[0]
    if optimizer == "sgd":
        trainer(data, tmp_path / "whole", optimizer=optimizer).fit(say=lambda line: None)
        whole = checkpoint.load(tmp_path / "whole" / "last.safetensors")[0]
    killed = trainer(data, tmp_path / "killed", optimizer=optimizer)
    original_save, original_average = killed.save, killed.average

    def save(path: Path) -> None:
        original_save(path)
        if killed.epoch == 1 and moment == "after a save":
            raise KeyboardInterrupt

    def average(steps: int) -> None:
        original_average(steps)
        if killed.epoch == 1 and killed.step % 3 == 0 and moment == "in an epoch":
            raise KeyboardInterrupt

    killed.save, killed.average = save, average  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        killed.fit(say=lambda line: None)
    resumed = trainer(data, tmp_path / "killed", optimizer=optimizer)
    resumed.fit(resume=True, say=lambda line: None)
    again = checkpoint.load(tmp_path / "killed" / "last.safetensors")[0]
    assert again.keys() == whole.keys()
    for key, value in whole.items():
        assert torch.equal(value, again[key]), key
    assert len(resumed.history) == 3


def test_a_run_is_not_resumed_with_other_settings(data: Path, finished: Path) -> None:
    with pytest.raises(UsageError, match=r"other settings \(lr\)"):
        trainer(data, finished, lr=0.5).fit(resume=True, say=lambda line: None)


def test_the_official_test_list_is_used_for_folds_only(data: Path) -> None:
    assert split(data, TrainConfig(**QUICK))["test"] == []
    lists = split(data, TrainConfig(**QUICK, cross_validation=1))
    assert len(lists["test"]) == 8
    assert not {s.name for s in lists["test"]} & {s.name for s in lists["train"] + lists["val"]}


def test_a_run_can_start_from_an_earlier_one_at_another_size(data: Path, finished: Path, tmp_path: Path) -> None:
    config = TrainConfig(**{**QUICK, "train_size": 64})
    begun = Trainer(config, data, tmp_path, finished / "model.safetensors", "cpu")
    tensors, _ = checkpoint.load(finished / "model.safetensors")
    state = begun.model.state_dict()
    assert torch.equal(state["count_head.weight"], tensors["count_head.weight"].float())
    assert state["vit.pos_embed"].shape[1] == 1 + 4 * 4
    with pytest.raises(UsageError, match="not a checkpoint of the method vit"):
        Trainer(TrainConfig(**QUICK, method="vit"), data, tmp_path, finished / "model.safetensors", "cpu")


def test_an_earlier_run_that_saw_what_is_held_out_is_refused(data: Path, finished: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"model.safetensors: was trained on \d+ of the test photographs, levle"):
        Trainer(TrainConfig(**{**QUICK, "val_folds": 0, "cross_validation": 1}), data, tmp_path, finished / "model.safetensors")


def test_more_cells_hold_as_many_lesions() -> None:
    small, large = FusionModel(ModelConfig(image_size=64)), FusionModel(ModelConfig(image_size=128))
    large.load_state_dict(resize_input(small.state_dict(), 64, 128))
    with torch.inference_mode():
        few, many = (m.eval()(torch.zeros(1, 3, s, s))[2].sum().item() for m, s in ((small, 64), (large, 128)))
    assert many == pytest.approx(few, rel=0.15)  # the border sees padding


def test_balanced_draws_even_the_grades_out() -> None:
    grades = torch.tensor([0] * 900 + [3] * 100)
    for balance, share in ((0.0, 0.1), (0.5, 0.25), (1.0, 0.5)):
        order = epoch_order(grades, balance, torch.Generator().manual_seed(0))
        assert len(order) == 1000
        assert (grades[order] == 3).float().mean() == pytest.approx(share, abs=0.04)


def test_the_grouped_protocol_keeps_look_alikes_on_one_side(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [s.name for s in read_samples(data, "NNEW_trainval_0.txt")]
    group = dict(zip(names, np.arange(40) // 2, strict=True))
    acne04_data.write_groups(tmp_path / "groups.csv", names, np.array(list(group.values())))
    monkeypatch.setattr(acne04_data, "GROUPS", tmp_path / "groups.csv")
    tested = []
    for fold in (1, 2, 3, 4):
        lists = split(data, TrainConfig(**QUICK, protocol="grouped", cross_validation=fold))
        sides = [{group[s.name] for s in lists[part]} for part in ("train", "val", "test")]
        assert not sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2]
        tested += [s.name for s in lists["test"]]
    assert sorted(tested) == sorted(names)


def test_two_processes_train_one_network(data: Path, tmp_path: Path) -> None:
    """torchrun with two CPU processes: one set of files, resumable, and about the weights that one process gets."""
    flags = [f"--{k.replace('_', '-')}={v}" for k, v in QUICK.items() if k != "val_folds"]
    command = ["--data", str(data), "--model-path", str(tmp_path / "two"), "--device", "cpu", "--method", "vit", *flags]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={free_port()}"]
    done = subprocess.run(
        [*launch, "-m", "acne_edge", "train", *command], capture_output=True, text=True, timeout=300, env=one_thread()
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("epoch 3 ") == 1
    assert len(list(csv.DictReader((tmp_path / "two" / "log.csv").read_text().splitlines()))) == 3
    single = Trainer(TrainConfig.from_dict({**QUICK, "method": "vit", "val_folds": 7}), data, tmp_path / "one", None, "cpu")
    single.fit(say=lambda line: None)
    two = checkpoint.load(tmp_path / "two" / "last.safetensors")[0]
    one = checkpoint.load(tmp_path / "one" / "last.safetensors")[0]
    weights = [k for k in one if k.startswith("model.vit.blocks") and k.endswith("weight")]
    moved = sum((one[k] - two[k]).norm() for k in weights) / sum(one[k].norm() for k in weights)
    assert moved < 0.05


def test_a_batch_that_cannot_be_shared_is_refused(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "join_processes", lambda device: (0, 3))
    with pytest.raises(UsageError, match="batch-size 8 does not give 3 processes"):
        trainer(data, tmp_path)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def one_thread() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def test_too_few_images_for_a_batch_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="do not fill a batch"):
        trainer(data, tmp_path, batch_size=64).fit(say=lambda line: None)


def test_a_network_learns_to_count_drawn_lesions(data: Path, tmp_path: Path) -> None:
    run = trainer(
        data, tmp_path, train_size=64, image_resize=64, epochs=14, lr=1e-3, ema=0.9, frequency=14, method="resnet", zoom=0.0
    )
    run.fit(say=lambda line: None)
    assert run.history[-1]["loss"] < 0.8 * run.history[0]["loss"]
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


def test_mixed_views_are_counted_anew_and_shared_by_processes(data: Path) -> None:
    from acne_edge.training.augment import Augmentation

    samples = split(data, TrainConfig(**QUICK))["train"][:8]
    dataset = Dataset(samples, 36, 1, torch.device("cpu"))

    def view(**of: int) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor | None]]:
        return dataset.view(torch.arange(8), Augmentation(mix=0.7), 32, torch.Generator().manual_seed(1), **of)

    images, counts, points = view()
    assert counts.tolist() == [len(p) for p in points if p is not None]
    assert counts.tolist() != [s.count for s in samples]
    parts = [view(rank=rank, processes=2) for rank in (0, 1)]
    for rank, (part_images, part_counts, _) in enumerate(parts):
        assert torch.equal(part_images, images[rank::2])
        assert torch.equal(part_counts, counts[rank::2])


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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such setting")
def test_training_keeps_the_memory_that_a_step_frees() -> None:
    program = """
import os
import numpy as np
from pathlib import Path
from acne_edge.training.loop import keep_freed_memory

def resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

def left(megabytes: int = 200) -> float:
    before = resident()
    block = np.ones(megabytes * 10**6, np.uint8)
    del block
    return resident() - before

print(left())
keep_freed_memory()
print(left())
"""
    given_back, kept = map(float, subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout.split())
    assert given_back < 20
    assert kept > 180
