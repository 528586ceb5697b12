from __future__ import annotations

import csv
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from acne_edge.errors import ImageDecodeError, UsageError
from acne_edge.preprocess import resize
from acne_edge.training import checkpoint, loop
from acne_edge.training.config import TrainConfig
from acne_edge.training.data import load_images, read_photograph, read_samples
from acne_edge.training.dataset import Dataset
from acne_edge.training.inference import predict
from acne_edge.training.loop import Trainer
from acne_edge.training.machine import Processes
from acne_edge.training.model import FusionModel, ModelConfig
from acne_edge.training.optimisation import WeightAverage
from acne_edge.training.run import Run
from acne_edge.training.state import State
from tests.training import acne04
from tests.training.runs import QUICK, trainer


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


def test_a_run_reports_every_epoch_with_the_time_left_to_the_log(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "acne_edge"):
        trainer(data, tmp_path / "run", epochs=2, method="vit", val_folds=0).fit()
    lines = [r.getMessage() for r in caplog.records]
    assert lines[0].startswith("vit: 40 training, 0 validation photographs, cpu")
    assert [line.split("  ")[0] for line in lines[1:]] == ["epoch 1", "epoch 2"]
    assert lines[1].endswith(" left)")
    assert "left" not in lines[2]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59, "59 s"), (61, "1 min"), (3599, "1 h 0 min"), (12000, "3 h 20 min")]
)
def test_durations_are_in_words(seconds: float, words: str) -> None:
    assert loop.duration(seconds) == words


def test_the_last_run_holds_nothing_out(data: Path, tmp_path: Path) -> None:
    results = trainer(data, tmp_path / "run", val_folds=0, epochs=1).fit()
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
    predicted = predict(network, images, 32, torch.device("cpu"))
    with np.load(finished / "val_outputs.npz") as stored:
        for name, values in predicted.items():
            np.testing.assert_allclose(values, stored[name], rtol=1e-5, atol=1e-7)


def test_photographs_are_kept_as_devices_with_that_network_decode_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 140 pixels a network of 32 has half the photograph; one of 36, the size at which they are kept, would have it all."""

    data, kept = acne04.build(tmp_path / "data", number=16, side=140), []

    def look(self: Trainer, images: Dataset) -> dict[str, float]:
        kept.append(images.images.numpy())
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "train_epoch", look)
    run = trainer(data, tmp_path / "run", val_folds=0)
    with pytest.raises(KeyboardInterrupt):
        run.fit()
    halves = [read_photograph(s.path, 32) for s in run.lists["train"]]
    assert halves[0].shape == (70, 70, 3)
    np.testing.assert_array_equal(kept[0], np.stack([resize(half, 36, 36) for half in halves]))


@pytest.mark.parametrize(
    ("optimizer", "moment"),
    [
        pytest.param("adam", "after a save", marks=pytest.mark.slow),
        ("adam", "in an epoch"),
        pytest.param("sgd", "in an epoch", marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_resumes_to_the_same_weights(
    data: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, optimizer: str
) -> None:
    changes = {} if optimizer == "adam" else {"optimizer": "sgd", "epochs": 2, "method": "vit", "swa": 0.5}
    uninterrupted = finished
    if changes:
        uninterrupted = tmp_path / "whole"
        trainer(data, uninterrupted, **changes).fit()
    killed = trainer(data, tmp_path / "killed", **changes)
    save, update = State.save, WeightAverage.update

    def save_and_die(*arguments: Any) -> None:
        save(*arguments)
        raise KeyboardInterrupt

    def update_and_die(self: WeightAverage, model: torch.nn.Module, step: int, steps: int) -> None:
        update(self, model, step, steps)
        if step == 6:  # the second of the second epoch's four
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if moment == "after a save":
            patch.setattr(State, "save", save_and_die)
        else:
            patch.setattr(WeightAverage, "update", update_and_die)
        with pytest.raises(KeyboardInterrupt):
            killed.fit()
    resumed = trainer(data, tmp_path / "killed", **changes)
    resumed.fit(resume=True)
    whole, again = (checkpoint.load(run / "last.safetensors")[0] for run in (uninterrupted, tmp_path / "killed"))
    assert again.keys() == whole.keys()
    for key, value in whole.items():
        assert torch.equal(value, again[key]), key
    assert [row["epoch"] for row in resumed.state.history] == list(range(1, resumed.config.epochs + 1))


def test_a_run_is_prolonged_on_the_rate_of_the_longer_plan(data: Path, finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    results = trainer(data, tmp_path / "run", epochs=4).fit(resume=True)
    rows = list(csv.DictReader((tmp_path / "run" / "log.csv").read_text().splitlines()))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    assert results["planned_epochs"] == [3, 4]
    assert json.loads((tmp_path / "run" / "config.json").read_text())["epochs"] == 4
    assert float(rows[-1]["lr"]) == pytest.approx(0.01 * TrainConfig().lr)
    before, after = (checkpoint.load(run / "model.safetensors")[0]["count_head.weight"] for run in (finished, tmp_path / "run"))
    assert not torch.equal(before, after)
    with pytest.raises(UsageError, match="the run has 4 epochs, not 3; --resume only prolongs a run"):
        trainer(data, tmp_path / "run").fit(resume=True)


def contents(run: Path) -> dict[str, bytes]:
    return {str(p.relative_to(run)): p.read_bytes() for p in sorted(run.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("sign", ["run.json", "model.safetensors", "last.safetensors"])
def test_a_run_is_not_overwritten_unasked(data: Path, finished: Path, tmp_path: Path, sign: str) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in (sign, "train.txt", "config.json"):
        shutil.copy(finished / name, run)
    before = contents(run)
    with pytest.raises(UsageError, match=r"run: holds a (finished|stopped) run; .*--overwrite replaces it"):
        trainer(data, run, seed=1).fit()
    assert contents(run) == before


def test_a_finished_run_that_cannot_go_on_is_not_begun_anew_by_resume(data: Path, finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "last.safetensors").unlink()
    before = contents(tmp_path / "run")
    with pytest.raises(
        UsageError, match=r"is finished, and last\.safetensors, from which it could resume, is gone; --weights .*model"
    ):
        trainer(data, tmp_path / "run").fit(resume=True)
    assert contents(tmp_path / "run") == before


def test_what_is_overwritten_leaves_nothing_behind(data: Path, finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    (run / "notes.md").write_text("somebody's")
    for file in (Run(run).analysis, Run(run).int8):  # figures of the network that is given up
        file.write_text("{}")
    trainer(data, run, val_folds=0, epochs=1, method="vit").fit(overwrite=True)
    names = set(contents(run))
    assert not {"val.txt", "val_outputs.npz", "analysis.json", "int8.json"} & names
    assert {"run.json", "train.txt", "notes.md"} <= names
    assert json.loads((run / "run.json").read_text())["config"]["method"] == "vit"
    assert len(list((run / "tensorboard").glob("events.*"))) == 1


def test_an_overwriting_run_that_is_refused_overwrites_nothing(data: Path, finished: Path, tmp_path: Path) -> None:
    run, broken = tmp_path / "run", tmp_path / "data"
    shutil.copytree(finished, run)
    shutil.copytree(data, broken)
    begun = trainer(broken, run)
    begun.lists["val"][-1].path.write_bytes(b"no photograph")
    before = contents(run)
    with pytest.raises(ImageDecodeError, match="not an image"):
        begun.fit(overwrite=True)
    assert contents(run) == before


def test_files_that_no_run_wrote_are_not_removed(data: Path, tmp_path: Path) -> None:
    (tmp_path / "test.txt").write_text("somebody's")
    trainer(data, tmp_path, val_folds=0, epochs=1, method="vit").fit()
    assert (tmp_path / "test.txt").read_text() == "somebody's"


def stopped(data: Path, run: Path, **changes: object) -> None:
    """Leave a run as it is after its first epoch."""
    begun = trainer(data, run, method="vit", **changes)
    begun.config = begun.state.config = TrainConfig(**{**QUICK, "method": "vit", "epochs": 1, **changes})
    begun.fit()
    for name in ("run.json", "model.safetensors"):
        (run / name).unlink()


def test_a_refused_resume_leaves_the_lists_of_what_was_learned(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    stopped(data, run, cross_validation=1)
    before = contents(run)
    with pytest.raises(UsageError, match=r"other settings \(cross_validation\)"):
        trainer(data, run, method="vit", cross_validation=2).fit(resume=True)
    with pytest.raises(UsageError, match=r"other settings \(lr\)"):
        trainer(data, run, method="vit", cross_validation=1, lr=0.5).fit(resume=True)
    assert contents(run) == before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("a photograph is withdrawn", "the list of the train part changed"),
        ("a label is corrected", "the list of the train part changed"),
        ("a photograph is replaced", "the photographs, or their boxes, of the train part changed"),
        ("a box is moved", "the photographs, or their boxes, of the train part changed"),
        ("the list is shuffled", "the photographs, or their boxes, of the train part changed"),
    ],
)
def test_a_run_does_not_go_on_with_data_that_changed(data: Path, tmp_path: Path, change: str, says: str) -> None:
    own, run = tmp_path / "data", tmp_path / "run"
    shutil.copytree(data, own)
    stopped(own, run, val_folds=0)
    before = contents(run)
    listed, boxes = own / "Classification" / "NNEW_trainval_0.txt", own / "Detection" / "boxes.csv"
    lines = listed.read_text().splitlines()
    if change == "a photograph is withdrawn":
        listed.write_text("\n".join(lines[1:]))
    elif change == "a label is corrected":
        listed.write_text("\n".join(["levle1_0.jpg 0 2", *lines[1:]]))
    elif change == "a photograph is replaced":
        images = own / "Classification" / "JPEGImages"
        shutil.copy(images / "levle1_4.jpg", images / "levle1_0.jpg")
    elif change == "a box is moved":
        boxes.write_text(boxes.read_text().replace("levle1_0.jpg,0.", "levle1_0.jpg,0.1", 1))
    else:
        listed.write_text("\n".join(lines[::-1]))
    with pytest.raises(UsageError, match=says):
        trainer(own, run, method="vit", val_folds=0).fit(resume=True)
    assert contents(run) == before


@pytest.mark.slow
def test_a_run_that_began_with_weights_resumes_with_them(data: Path, finished: Path, tmp_path: Path) -> None:
    """Without them the stem would no longer be frozen, and another network would be trained."""
    run, weights = tmp_path / "run", finished / "model.safetensors"
    trainer(data, run, weights, epochs=1).fit()
    with pytest.raises(UsageError, match="began with --weights; give them again to resume"):
        trainer(data, run, epochs=2).fit(resume=True)
    assert trainer(data, run, weights, epochs=2).fit(resume=True)["initial"]["weights"] == "model.safetensors"


def test_a_file_that_is_no_state_of_a_run_is_refused(data: Path, finished: Path, tmp_path: Path) -> None:
    shutil.copy(finished / "model.safetensors", tmp_path / "last.safetensors")
    with pytest.raises(UsageError, match=r"last\.safetensors: not the state of a run of this version of acne-edge \('config'\)"):
        trainer(data, tmp_path).fit(resume=True)
    (tmp_path / "last.safetensors").write_bytes((finished / "last.safetensors").read_bytes()[:-9])
    with pytest.raises(UsageError, match=r"last\.safetensors: cannot be read as a checkpoint"):
        trainer(data, tmp_path).fit(resume=True)


def test_a_folder_that_is_a_file_is_refused(data: Path, tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    with pytest.raises(UsageError, match="run: not a folder"):
        trainer(data, tmp_path / "run").fit()


def test_resuming_and_overwriting_at_once_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="choose one"):
        trainer(data, tmp_path / "run").fit(resume=True, overwrite=True)


def test_an_earlier_run_that_saw_what_is_held_out_is_refused(data: Path, finished: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"model.safetensors: was trained on \d+ of the test photographs, for example levle"):
        Trainer(TrainConfig(**{**QUICK, "val_folds": 0, "cross_validation": 1}), data, tmp_path, finished / "model.safetensors")


def test_a_teacher_sees_views_before_they_are_spoilt(data: Path, finished: Path, tmp_path: Path) -> None:
    taught = trainer(data, tmp_path / "run", finished / "model.safetensors", epochs=1, degrade=1.0, distill=0.5)
    seen: dict[str, torch.Tensor] = {}
    assert taught.teacher is not None
    for name, network in (("teacher", taught.teacher), ("student", taught.model)):
        network.register_forward_pre_hook(
            lambda _, inputs, name=name: seen.update({name: inputs[0]}) if name not in seen else None
        )
    views: list[Any] = []
    view = Dataset.view
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Dataset, "view", lambda *given, **named: views.append(view(*given, **named)) or views[-1])
        before = {name: value.clone() for name, value in taught.teacher.state_dict().items()}
        taught.fit()
    assert torch.equal(seen["teacher"], views[0].clean)
    assert torch.equal(seen["student"], views[0].images)
    assert not torch.equal(seen["teacher"], seen["student"])
    assert all(torch.equal(value, before[name]) for name, value in taught.teacher.state_dict().items())


def test_a_run_that_learns_from_an_earlier_one_needs_it(data: Path, finished: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"name its model\.safetensors with --teacher or --weights"):
        trainer(data, tmp_path, distill=0.5)
    two = TrainConfig(**{**QUICK, "distill": 0.5, "num_classes": 2, "bands": (0, 10)})
    with pytest.raises(UsageError, match="knows 4 grades, not those of the network that learns from it"):
        Trainer(two, data, tmp_path, None, "cpu", teacher=finished / "model.safetensors")


def test_a_teacher_may_see_more_pixels(data: Path, finished: Path, tmp_path: Path) -> None:
    trainer(data, tmp_path / "large", epochs=1, train_size=64, image_resize=72).fit()
    large = tmp_path / "large" / "model.safetensors"
    taught = Trainer(TrainConfig(**{**QUICK, "distill": 0.5, "epochs": 1}), data, tmp_path / "run", None, "cpu", teacher=large)
    assert taught.teacher is not None
    sizes: list[int] = []
    taught.teacher.register_forward_pre_hook(lambda _, inputs: sizes.append(inputs[0].shape[-1]))
    assert taught.fit()["teacher"]["weights"] == "model.safetensors"
    assert set(sizes) == {64}


def test_a_teacher_without_a_share_is_refused(data: Path, finished: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a teacher without --distill teaches nothing"):
        Trainer(TrainConfig(**QUICK), data, tmp_path, None, "cpu", teacher=finished / "model.safetensors")


def test_what_a_teacher_has_learned_is_learned_from_it(
    data: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a network for one's own photographs would lose the terms of the data that its teacher learned."""
    monkeypatch.setattr(loop, "is_own", lambda _: True)
    monkeypatch.setattr(loop, "refuse_leak", lambda *_: None)
    taught = Trainer(TrainConfig(**QUICK, distill=0.5), data, tmp_path, None, "cpu", teacher=finished / "model.safetensors")
    assert taught.learned == [loop.ACNE04, loop.OWN]


def test_a_teacher_that_saw_what_is_held_out_is_refused(data: Path, finished: Path, tmp_path: Path) -> None:
    fold = TrainConfig(**{**QUICK, "val_folds": 0, "cross_validation": 1, "distill": 0.5})
    with pytest.raises(UsageError, match=r"model.safetensors: was trained on \d+ of the test photographs, for example levle"):
        Trainer(fold, data, tmp_path, None, "cpu", teacher=finished / "model.safetensors")


def test_a_run_resumes_with_the_network_that_it_learns_from(data: Path, finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    trainer(data, run, finished / "model.safetensors", epochs=1, distill=0.5).fit()
    with pytest.raises(UsageError, match="learns from another network"):
        trainer(data, run, run / "model.safetensors", epochs=2, distill=0.5).fit(resume=True)


@pytest.mark.slow
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
    assert done.stdout.count("the network after epoch 3") == 1
    assert len(list(csv.DictReader((tmp_path / "two" / "log.csv").read_text().splitlines()))) == 3
    single = Trainer(TrainConfig.from_dict({**QUICK, "method": "vit", "val_folds": 7}), data, tmp_path / "one", None, "cpu")
    single.fit()
    two = checkpoint.load(tmp_path / "two" / "last.safetensors")[0]
    one = checkpoint.load(tmp_path / "one" / "last.safetensors")[0]
    weights = [k for k in one if k.startswith("model.vit.blocks") and k.endswith("weight")]
    moved = sum((one[k] - two[k]).norm() for k in weights) / sum(one[k].norm() for k in weights)
    assert moved < 0.05


@pytest.mark.slow
def test_processes_that_do_not_share_the_runs_folder_do_not_resume(data: Path, tmp_path: Path) -> None:
    """As on two machines, each with a disk of its own: the first has the run, the second does not."""
    settings = {**QUICK, "method": "vit", "val_folds": 7}
    Trainer(TrainConfig.from_dict(settings), data, tmp_path / "run-0", None, "cpu").fit()
    flags = [f"--{k.replace('_', '-')}={v}" for k, v in {**settings, "epochs": 5}.items() if k != "val_folds"]
    script = tmp_path / "train.py"
    script.write_text(
        "import os, sys\nfrom acne_edge.cli.main import main\n"
        f"sys.argv = ['acne-edge', 'train', '--data', {str(data)!r}, '--device', 'cpu', '--resume', *{flags!r},\n"
        f"    '--model-path', {str(tmp_path / 'run-')!r} + os.environ['RANK']]\nmain()\n"
    )
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={free_port()}", str(script)]
    environment = {**one_thread(), "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(launch, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode != 0
    assert "resume after different epochs; all machines must share this folder" in done.stderr, done.stderr
    assert not (tmp_path / "run-1").exists()


def test_a_batch_that_cannot_be_shared_is_refused(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "join_processes", lambda device: Processes(0, 3))
    with pytest.raises(UsageError, match="batch-size 8 does not give 3 processes"):
        trainer(data, tmp_path)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def one_thread() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def test_too_few_photographs_for_a_batch_are_refused_before_anything_is_read_or_written(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="32 training photographs do not fill a batch of 64; lower --batch-size"):
        trainer(data, tmp_path / "run", batch_size=64)
    assert not (tmp_path / "run").exists()


def test_a_grade_that_no_photograph_has_is_refused(data: Path, tmp_path: Path) -> None:
    samples = [s for s in read_samples(data, "NNEW_trainval_0.txt") if s.grade != 2]
    with pytest.raises(UsageError, match="none of the 30 training photographs is severe"):
        Trainer(TrainConfig(**QUICK), data, tmp_path, None, "cpu", {"train": samples, "val": [], "test": []})


def test_a_rate_under_which_the_loss_explodes_is_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the loss is (nan|inf) after epoch \d: lower --lr"):
        trainer(data, tmp_path, lr=1e30, method="vit", optimizer="sgd", val_folds=0).fit()


@pytest.mark.slow
def test_a_network_learns_to_count_drawn_lesions(data: Path, tmp_path: Path) -> None:
    run = trainer(
        data, tmp_path, train_size=64, image_resize=64, epochs=14, lr=1e-3, ema=0.9, frequency=14, method="resnet", zoom=0.0
    )
    run.fit()
    assert run.state.history[-1]["loss"] < 0.8 * run.state.history[0]["loss"]
    assert run.state.history[-1]["density"] < run.state.history[0]["density"]
