from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from acne_edge.errors import UsageError
from acne_edge.training.data import read_samples
from acne_edge.training.run import Run
from export.positions import held_out, positions
from tests.training import acne04


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return acne04.build(tmp_path_factory.mktemp("acne04"))


def make_run(folder: Path, data: Path, fold: int, side: int = 200) -> Path:
    """A finished run on a fold whose maps hold .6 in the cell of every box's centre, and .3 in a corner where no box is."""
    folder.mkdir()
    names = (data / "Classification" / f"NNEW_test_{fold}.txt").read_text()
    Run(folder).list_file("test").write_text(names)
    samples = read_samples(data, Run(folder).list_file("test"))
    maps = np.zeros((len(samples), side, side), np.float32)
    for lesion_map, sample in zip(maps, samples, strict=True):
        assert sample.boxes is not None
        x, y = ((sample.boxes[:, :2] + sample.boxes[:, 2:]) / 2 * side).astype(int).T
        np.add.at(lesion_map, (y, x), 0.6)
        lesion_map[0, 0] = 0.3
    np.savez(Run(folder).outputs_file("test"), lesion_map=maps)
    config = {"protocol": "official", "cross_validation": fold, "epochs": 3}
    Run(folder).results_file.write_text(json.dumps({"config": config}))
    return folder


def test_the_threshold_and_what_it_was_fitted_on_are_written(data: Path, tmp_path: Path) -> None:
    runs = [make_run(tmp_path / f"fold-{fold}", data, fold) for fold in (1, 2)]
    positions(runs, data, "test", tmp_path / "positions.json")
    patch = json.loads((tmp_path / "positions.json").read_text())
    assert 0.3 < patch["positions"]["threshold"] <= 0.6  # what stands in the corner is left out
    said = patch["positions"]["fitted_on"]
    assert said.startswith("16 photographs of ACNE04 with 404 boxes")
    assert "test list of official fold 1, 3 epochs; test list of official fold 2, 3 epochs" in said
    assert patch["metrics"]["positions"]["precision"] > 0.95
    assert patch["metrics"]["positions"]["threshold"] == patch["positions"]["threshold"]


def test_a_photograph_that_two_runs_held_out_counts_once(data: Path, tmp_path: Path) -> None:
    twice = [make_run(tmp_path / name, data, 1) for name in ("a", "b")]
    samples, maps = held_out(twice, data, "test")
    assert (len(samples), len(maps)) == (8, 8)


def test_a_run_that_held_nothing_out_is_refused(data: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", data, 1)
    with pytest.raises(UsageError, match="not a finished run that held out a val list"):
        positions([run], data, "val", tmp_path / "positions.json")
    Run(run).outputs_file("test").write_bytes(b"PK\x03\x04")
    with pytest.raises(UsageError, match="not the outputs of a finished run"):
        positions([run], data, "test", tmp_path / "positions.json")
    assert not (tmp_path / "positions.json").exists()


def test_boxes_are_needed(tmp_path: Path) -> None:
    data = acne04.build(tmp_path / "acne04")
    run = make_run(tmp_path / "a", data, 1)
    (data / "Detection" / "boxes.csv").unlink()
    with pytest.raises(UsageError, match=r"no boxes for the 8 photographs.*boxes\.csv"):
        positions([run], data, "test", tmp_path / "positions.json")
