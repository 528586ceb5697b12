"""The average of runs that continued one network."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from acne_edge.cli import main as cli
from acne_edge.errors import UsageError
from acne_edge.training import checkpoint
from acne_edge.training.average import average
from acne_edge.training.run import Run
from tests import command
from tests.training.runs import trainer


@pytest.fixture(scope="module")
def runs(data: Path, finished: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs that continued a finished one, the second with more pixels."""
    folder = tmp_path_factory.mktemp("runs")
    for name, changes in {"small": {"lr": 1e-4}, "large": {"train_size": 64, "image_resize": 64}}.items():
        trainer(data, folder / name, finished / "model.safetensors", epochs=1, **changes).fit()
    return [folder / "small", folder / "large"]


def test_every_weight_is_the_mean_of_those_of_the_runs(runs: list[Path], data: Path, tmp_path: Path) -> None:
    done = command.call(cli.main, "average", *runs, "--data", data, "--out", tmp_path / "mean", "--device", "cpu")
    assert done.code == 0
    assert done.out.splitlines()[-1] == f"{tmp_path / 'mean'}: the average of 2 runs"
    mean, small, large = (checkpoint.load_network(Run(path).model) for path in (tmp_path / "mean", *runs))
    assert mean.config == small.config, "settings and pixels are those of the first run"
    for name in ("count_head.weight", "resnet.bn1.running_var"):
        middle = (small.state_dict()[name] + large.state_dict()[name]) / 2
        assert torch.allclose(mean.state_dict()[name], middle, rtol=2e-3, atol=1e-6)  # float16
    assert mean.vit is not None
    assert small.vit is not None
    assert mean.vit.pos_embed.shape == small.vit.pos_embed.shape


def test_it_is_a_finished_run_that_says_what_it_is_made_of(runs: list[Path], data: Path, tmp_path: Path) -> None:
    results, first = average(runs, data, tmp_path / "mean", "cpu"), Run(runs[0])
    made, of = Run(tmp_path / "mean"), [each["sha256"] for each in results["averaged"]]
    assert made.finished
    assert results["config"] == first.results()["config"]
    assert len(set(of)) == 2
    assert str(runs[0].parent) not in made.results_file.read_text(), "folders of the machine that made it are nobody's business"
    assert [each["settings"] for each in results["averaged"]] == [{}, {"lr": 2e-4, "image_resize": 64, "train_size": 64}]
    assert {each["initial"]["sha256"] for each in results["averaged"]} == {first.results()["initial"]["sha256"]}
    assert results["learned"] == first.results()["learned"]
    assert results["seconds"] == sum(Run(run).results()["seconds"] for run in runs)
    assert [label.name for label in made.labels("train")] == [label.name for label in first.labels("train")]
    assert len(made.outputs("val").grades) == len(first.labels("val"))
    assert not np.array_equal(made.raw_outputs("val")["lesion_map"], first.raw_outputs("val")["lesion_map"])


def test_a_run_averaged_with_itself_is_itself(runs: list[Path], data: Path, tmp_path: Path) -> None:
    shutil.copytree(runs[0], tmp_path / "copy")
    average([runs[0], tmp_path / "copy"], data, tmp_path / "mean", "cpu")
    first, mean = (checkpoint.load(Run(path).model)[0] for path in (runs[0], tmp_path / "mean"))
    assert all(torch.equal(first[name], mean[name]) for name in first)


def test_what_one_of_the_runs_has_learned_is_not_held_out(runs: list[Path], data: Path, tmp_path: Path) -> None:
    """Otherwise the average would be judged on photographs that it knows."""
    trainer(data, tmp_path / "other", epochs=1, val_folds=4).fit()
    with pytest.raises(UsageError, match="holds other photographs than that of"):
        average([runs[0], tmp_path / "other"], data, tmp_path / "mean", "cpu")
    assert not (tmp_path / "mean").exists()


def test_what_cannot_be_averaged_is_refused(runs: list[Path], data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two finished runs or more"):
        average(runs[:1], data, tmp_path / "mean")
    with pytest.raises(UsageError, match="holds files already"):
        average(runs, data, runs[0])
    shutil.copytree(runs[1], tmp_path / "stopped")
    Run(tmp_path / "stopped").results_file.unlink()
    with pytest.raises(UsageError, match="cannot be read as a run's results"):
        average([runs[0], tmp_path / "stopped"], data, tmp_path / "mean")
    trainer(data, tmp_path / "resnet", epochs=1, method="resnet").fit()
    with pytest.raises(UsageError, match="not a checkpoint of the method fusion"):
        average([runs[0], tmp_path / "resnet"], data, tmp_path / "mean")
    assert not (tmp_path / "mean").exists()
