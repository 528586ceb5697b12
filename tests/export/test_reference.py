from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from acne_edge.errors import UsageError
from acne_edge.fit.familiarity import FeatureDistance, FittedFamiliarity
from acne_edge.fit.outputs import OutOfFold
from acne_edge.grading import Familiarity
from acne_edge.quality import assess
from acne_edge.reference import QUALITY, Reference
from acne_edge.training.calibrate import cross_fitted
from acne_edge.training.data import read_photograph, read_samples
from export.familiarity import described
from export.reference import reference
from export.restamp import patched
from tests.calibration.conftest import make_dataset
from tests.simulation import simulated
from tests.toy_model import MANIFEST, make_manifest


@pytest.fixture
def predicted(tmp_path: Path) -> tuple[Path, Path]:
    """Outputs of a simulated network for 60 drawn photographs, and the photographs."""
    data = make_dataset(tmp_path / "acne", 60)
    lists = data / "Classification"
    (lists / "NNEW_trainval_0.txt").write_text("\n".join((lists / f"{part}.txt").read_text() for part in ("train", "val")))
    file = tmp_path / "out_of_fold.npz"
    names = [sample.name for sample in read_samples(data, "NNEW_trainval_0.txt")]
    OutOfFold(simulated(60, 0), names, np.zeros(60, int), {"train_size": 32}).save(file)
    return file, data


@pytest.mark.slow
def test_the_patch_describes_the_photographs_as_a_device_sees_them(predicted: tuple[Path, Path], tmp_path: Path) -> None:
    file, data = predicted
    made = reference(file, data, tmp_path / "reference.json")
    manifest = patched(MANIFEST, json.loads((tmp_path / "reference.json").read_text()))
    assert manifest.reference == made
    assert made.photographs == 60
    counts = cross_fitted(OutOfFold.load(file).data).count
    assert list(made.values["count"]) == sorted(round(float(n), 2) for n in counts)
    samples = read_samples(data, "NNEW_trainval_0.txt")
    seen = [assess(read_photograph(sample.path, 32)).to_dict() for sample in samples]
    assert {name: list(made.values[name]) for name in QUALITY} == {name: sorted(q[name] for q in seen) for name in QUALITY}


def test_outputs_of_other_photographs_are_refused(predicted: tuple[Path, Path], tmp_path: Path) -> None:
    file, data = predicted
    OutOfFold(simulated(2, 0), ["a.png", "b.png"], np.zeros(2, int), {"train_size": 32}).save(file)
    with pytest.raises(UsageError, match=r"predicts a\.png, which .* does not list"):
        reference(file, data, tmp_path / "reference.json")


def test_a_model_that_tells_what_is_unfamiliar_gets_that_into_its_reference(tmp_path: Path) -> None:
    distance = FeatureDistance(np.zeros(2, np.float32), np.eye(2, dtype=np.float32))
    fitted = FittedFamiliarity(distance, Familiarity(2.0, "some"), {}, {}, np.array([1.0, 0.5]))
    fitted.save(tmp_path / "familiarity.npz")
    manifest = make_manifest(reference=Reference({"count": (1.0,)}, 1, ""), training={"lists": {}})
    new = described(manifest, FittedFamiliarity.load(tmp_path / "familiarity.npz"))
    assert new.reference is not None
    assert new.reference.values == {"count": (1.0,), "unfamiliarity": (0.25, 0.5)}
    assert described(make_manifest(training={"lists": {}}), fitted).reference is None
