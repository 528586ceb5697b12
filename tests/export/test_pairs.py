from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from acne_edge.errors import UsageError
from acne_edge.fit.outputs import OutOfFold
from acne_edge.manifest import Manifest
from export import pairs as fitting
from export.restamp import patched
from tests.simulation import simulated
from tests.toy_model import MANIFEST


@pytest.fixture
def outputs(tmp_path: Path) -> tuple[Path, Path]:
    """Outputs of a simulated network for 240 photographs, and 80 groups of three."""
    names = [f"{i}.jpg" for i in range(240)]
    file, groups = tmp_path / "out_of_fold.npz", tmp_path / "groups.csv"
    OutOfFold(simulated(240, 0), names, np.zeros(240, int), {"protocol": "grouped", "epochs": 3}).save(file)
    groups.write_text("file,group\n" + "".join(f"{name},{i // 3}\n" for i, name in enumerate(names)))
    return file, groups


def test_the_patch_puts_constants_into_a_manifest_that_readers_take(outputs: tuple[Path, Path], tmp_path: Path) -> None:
    patch = fitting.pairs(*outputs, tmp_path / "pairs.json", repeats=20)
    assert json.loads((tmp_path / "pairs.json").read_text()) == json.loads(json.dumps(patch))
    manifest = patched(MANIFEST, json.loads((tmp_path / "pairs.json").read_text()))
    assert manifest.pairs is not None
    assert "240 pairs of look-alikes in 80 groups" in manifest.pairs.fitted_on
    assert "grouped folds, so no look-alike of a photograph was learned" in manifest.pairs.fitted_on
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_the_figures_are_of_groups_left_out(outputs: tuple[Path, Path], tmp_path: Path) -> None:
    found = fitting.pairs(*outputs, tmp_path / "pairs.json", repeats=20)["metrics"]["pairs"]
    assert found["coverage"]["value"] == pytest.approx(0.9, abs=0.06)
    assert found["coverage"]["low"] < found["coverage"]["value"] < found["coverage"]["high"]
    assert found["sign"]["value"] > 0.8
    assert found["wrong"]["value"] <= 0.1
    assert len(found["largest"]) == 10
    assert all(0 < found["smallest"][str(n)]["rise"] < 66 - n for n in fitting.TYPICAL)


def test_too_few_groups_are_refused(outputs: tuple[Path, Path], tmp_path: Path) -> None:
    file, groups = outputs
    groups.write_text("file,group\n" + "".join(f"{i}.jpg,{max(0, i - 30)}\n" for i in range(240)))
    with pytest.raises(UsageError, match="1 groups of look-alikes with two photographs or more; at least 20 are needed"):
        fitting.pairs(file, groups, tmp_path / "pairs.json")
