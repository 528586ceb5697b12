from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from acne_edge.adapt.camera import adapt, adapted_manifest
from acne_edge.errors import UsageError
from acne_edge.fit.correction import corrected
from acne_edge.fit.outputs import LabelledOutputs
from acne_edge.grading import BANDED, CountCorrection
from acne_edge.manifest import CORRECTION, Manifest
from tests.simulation import simulated
from tests.toy_model import make_manifest

MANIFEST = make_manifest()


def through_a_poor_camera(n: int, seed: int) -> LabelledOutputs:
    """Outputs for photographs on which the network sees six of ten lesions."""
    return corrected(simulated(n, seed), CountCorrection(0.6, 1.0))


@pytest.mark.parametrize("n", [30, 100])
def test_another_camera_is_adapted_to_and_new_photographs_of_it_are_counted_better(n: int) -> None:
    found = adapt(through_a_poor_camera(n, 0), MANIFEST, "drawn")
    assert found.is_better
    assert found.after["mae"] < found.before["mae"] / 2
    new = through_a_poor_camera(300, 1)
    judged = corrected(new, found.correction).interpret(found.decoding, found.uncertainty)
    error = np.mean([abs(r.count - t) for r, t in zip(judged, new.counts, strict=True)])
    assert error == pytest.approx(found.after["mae"], rel=0.35), "cross-fitted figures tell what to expect"
    holds = np.mean([r.interval[0] <= t <= r.interval[1] for r, t in zip(judged, new.counts, strict=True)])
    assert holds > 0.8


def test_a_model_that_is_right_already_is_seldom_changed() -> None:
    better = [adapt(simulated(40, seed), MANIFEST, "drawn").is_better for seed in range(3)]
    assert not any(better)


def test_the_new_manifest_says_where_it_is_from_and_what_readers_must_know() -> None:
    found = adapt(through_a_poor_camera(40, 0), MANIFEST, "40 photographs, clinic")
    new = adapted_manifest(MANIFEST, found, {"from": {"name": "toy", "sha256": "0" * 64}, "photographs": 40})
    assert Manifest.from_json(new.to_json()) == new
    assert CORRECTION in new.requires
    assert new.version == "0+adapted"
    assert new.metrics["adapted"]["photographs"] == 40
    assert new.metrics["adapted"]["after"]["mae"] < new.metrics["adapted"]["before"]["mae"]
    assert new.pairs is None
    assert new.uncertainty.fitted_on == "40 photographs, clinic"


def test_what_cannot_be_adapted_is_refused() -> None:
    data = simulated(40, 0)
    adapted = replace(MANIFEST, correction=CountCorrection(), requires=(CORRECTION,))
    for manifest, message in ((adapted, "adapted already"), (replace(MANIFEST, scale=BANDED), "only those of hayashi")):
        with pytest.raises(UsageError, match=message):
            adapt(data, manifest, "")
