from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acne_edge.errors import UsageError
from acne_edge.training.run import Run
from export import card
from export import ship as shipping
from export.cli.ship import ship as ship_command
from export.gate import GateError
from export.model import Exported, WrittenModel
from export.ship import Shipment, joined, ship, write_golden
from tests.conftest import ASSETS
from tests.simulation import simulated


def fold(folder: Path, number: int, **settings: Any) -> Path:
    """A finished run on a fold that held out 20 simulated photographs."""
    folder.mkdir()
    data, run = simulated(20, number), Run(folder)
    rows = zip(data.grades, data.counts, strict=True)
    lines = [f"{number}_{i}.jpg {grade} {count}" for i, (grade, count) in enumerate(rows)]
    run.list_file("test").write_text("\n".join(lines) + "\n")
    maps = data.lesions[:, None, None]
    np.savez(run.outputs_file("test"), grade_probs=data.grade_probs, count_probs=data.count_probs, lesion_map=maps)
    run.results_file.write_text(json.dumps({"config": {"cross_validation": number, "epochs": 3, **settings}}))
    return folder


def test_what_folds_predicted_is_joined_in_their_order(tmp_path: Path) -> None:
    found = joined([fold(tmp_path / "b", 2), fold(tmp_path / "a", 1)])
    assert found.folds.tolist() == [2] * 20 + [1] * 20
    assert found.names[0] == "2_0.jpg"
    assert found.settings == {"epochs": 3}
    np.testing.assert_array_equal(found.data.counts[20:], simulated(20, 1).counts)


def test_runs_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    first = fold(tmp_path / "a", 1)
    with pytest.raises(UsageError, match="expected one run a fold"):
        joined([first, fold(tmp_path / "b", 1)])
    with pytest.raises(UsageError, match="expected one run a fold"):
        joined([fold(tmp_path / "all", 0)])
    with pytest.raises(UsageError, match="c: has other settings than"):
        joined([first, fold(tmp_path / "c", 2, epochs=4)])


@pytest.fixture
def nothing_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fits and the export have tests of their own, and are left out."""
    for module in (shipping.positions, shipping.pairs):
        monkeypatch.setattr(module, module.__name__.split(".")[1], lambda *_: {})
    for module in (shipping.familiarity, shipping.view):
        monkeypatch.setattr(module, "fit", lambda *_: None)
    monkeypatch.setattr(shipping, "read_samples", lambda *_: [])
    for name in ("draw", "save", "image_sources"):
        monkeypatch.setattr(shipping.crop_sets, name, lambda *_, **__: None)


@pytest.mark.usefixtures("nothing_fitted")
def test_a_file_that_fails_its_gate_leaves_the_package_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "export_model", lambda _: Exported([], ["INT8 for CPUs: flips 3 % of the grades"]))
    monkeypatch.setattr(shipping, "register", lambda *_: pytest.fail("registered"))
    run = fold(tmp_path / "all", 0, train_size=32)
    shipment = Shipment(run, [fold(tmp_path / "a", 1)], tmp_path, "1", tmp_path / "kept", tmp_path / "nets", tmp_path / "work")
    with pytest.raises(GateError, match="flips 3 % of the grades"):
        ship(shipment)
    assert not (tmp_path / "kept").exists()


@pytest.mark.usefixtures("nothing_fitted")
def test_the_kept_run_is_the_shipped_one_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier run has left in the folder, and this one lacks, is not taken for this one's."""
    files = [WrittenModel(tmp_path / kind) for kind in ("fp32", "int8", "trt")]
    monkeypatch.setattr(shipping, "export_model", lambda _: Exported(files, []))
    monkeypatch.setattr(shipping, "register", lambda path, name: f"{name}: {path.name}")
    for name in ("evaluate", "analyse"):
        monkeypatch.setattr(shipping, name, lambda *_, **__: {"n": 20})
    run, kept = fold(tmp_path / "all", 0, train_size=32), tmp_path / "kept"
    for name in ("model.safetensors", "config.json", "train.txt"):
        (run / name).write_text("new")
    kept.mkdir()
    for name in ("train.txt", "log.csv", "later.json"):
        (kept / name).write_text("old")
    shipment = Shipment(run, [fold(tmp_path / "a", 1)], tmp_path, "1", kept, tmp_path / "nets", tmp_path / "work")
    assert ship(shipment) == ["acne-edge-s: int8", "acne-edge-s-trt: trt"]
    measured = {"out_of_fold.npz", "int8.json", "analysis.json"}
    assert {path.name for path in kept.iterdir()} == {"model.safetensors", "config.json", "train.txt", "run.json", *measured}
    assert (kept / "train.txt").read_text() == "new"
    ship(dataclasses.replace(shipment, run=kept))
    assert (kept / "train.txt").read_text() == "new", "a run that is kept already stays"


@pytest.mark.parametrize(("protocol", "folder"), [("official", "steady"), ("grouped", "steady-grouped")])
def test_networks_of_grouped_folds_lie_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str, folder: str) -> None:
    """Nothing is shipped, and no card is written."""
    shipped: list[Shipment] = []
    run = fold(tmp_path / "all", 0)
    monkeypatch.setattr(shipping, "ship", lambda shipment: shipped.append(shipment) or [])
    monkeypatch.setattr(shipping, "write_golden", lambda *_: tmp_path)
    monkeypatch.setattr(card, "write_card", lambda *_: None)
    folds = [fold(tmp_path / "a", 1, protocol=protocol)]
    ship_command(run, folds, tmp_path, "1", tmp_path, "acne-edge-s", [Path("steady.yaml")], tmp_path / "card.md")
    assert shipped[0].networks == Path("experiments/folds") / folder


def test_the_golden_prediction_is_that_of_the_drawing(tmp_path: Path) -> None:
    (tmp_path / "drawn_face.png").write_bytes((ASSETS / "drawn_face.png").read_bytes())
    written = json.loads(write_golden(tmp_path, "acne-edge-s").read_text())
    golden = json.loads((ASSETS / "golden-acne-edge-s.jsonl").read_text())
    assert written["model"] == golden["model"]
    assert written["count"] == pytest.approx(golden["count"], abs=0.3)
    assert set(written) == set(golden)
