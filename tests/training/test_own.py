"""A run on photographs of one's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from acne_edge.errors import UsageError
from acne_edge.training.checkpoint import load_network
from acne_edge.training.run import ACNE04, OWN, Run
from tests.training.runs import trainer


@pytest.fixture
def own(data: Path, tmp_path: Path) -> Path:
    """A table beside the drawn photographs, without boxes."""
    images = data / "Classification" / "JPEGImages"
    rows = [line.split() for line in (data / "Classification" / "NNEW_trainval_0.txt").read_text().splitlines()]
    folder = tmp_path / "own"
    folder.mkdir()
    for name, *_ in rows:
        (folder / f"own-{name}").symlink_to(images / name)
    (folder / "labels.csv").write_text("file,count\n" + "".join(f"own-{name},{count}\n" for name, _, count in rows))
    return folder / "labels.csv"


def test_the_heads_alone_change_where_the_trunk_is_frozen(own: Path, finished: Path, tmp_path: Path) -> None:
    weights = finished / "model.safetensors"
    made = trainer(own, tmp_path / "run", weights, freeze_trunk=True, epochs=2)
    made.fit()
    before, after = (load_network(path).state_dict() for path in (weights, tmp_path / "run" / "model.safetensors"))
    changed = {name.split(".")[0] for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed == {"lesion_map", "fuse", "grade_head", "count_head"}
    optimised = {id(p) for group in made.optimizer.param_groups for p in group["params"]}
    assert not optimised & {id(p) for branch in (made.model.resnet, made.model.vit) if branch for p in branch.parameters()}


def test_a_frozen_trunk_is_that_of_given_weights(own: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name them with --weights"):
        trainer(own, tmp_path / "run", freeze_trunk=True)


def test_a_network_learns_grades_of_ones_own(own: Path, finished: Path, tmp_path: Path) -> None:
    bands = {"bands": (0, 5, 20), "grade_names": "few, some, many"}
    results = trainer(own, tmp_path / "run", finished / "model.safetensors", epochs=1, **bands).fit()
    run = Run(tmp_path / "run")
    assert results["model"]["num_grades"] == 3
    assert (run.scale.name, run.scale.labels, run.scale.lower) == ("own", ("few", "some", "many"), (0, 5, 20))
    outputs = run.outputs("val")
    assert outputs.grade_probs.shape[1] == 3
    assert outputs.scale == run.scale
    assert outputs.grades.tolist() == [run.scale.grade(n) for n in outputs.counts]
    assert results["metrics"]["val"]["grade"]["combined"]["n"] == len(outputs.counts)


def test_what_weights_have_learned_goes_on_with_them(
    own: Path, finished: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = trainer(own, tmp_path / "first", finished / "model.safetensors", epochs=1)
    with caplog.at_level("INFO"):
        assert first.fit()["learned"] == [ACNE04, OWN]
    assert "academic use only" in caplog.text
    assert trainer(own, tmp_path / "second", tmp_path / "first" / "model.safetensors", val_folds=0).learned == [ACNE04, OWN]
    assert trainer(own, tmp_path / "third").learned == [OWN]
    assert json.loads((finished / "run.json").read_text())["learned"] == [ACNE04]


def test_a_grade_that_is_missing_is_no_obstacle_to_a_network_that_knows_it(
    own: Path, finished: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own.write_text("".join(line for line in own.read_text().splitlines(keepends=True) if not line.endswith(",60\n")))
    with pytest.raises(UsageError, match="none of the 24 training photographs is very severe"):
        trainer(own, tmp_path / "run")
    trainer(own, tmp_path / "run", finished / "model.safetensors")
    assert "is very severe: nothing new is learned of that" in caplog.text
