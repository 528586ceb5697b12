from __future__ import annotations

import json

import numpy as np
import pytest

from acne_edge.errors import ManifestError
from acne_edge.manifest import Manifest
from acne_edge.quality import Quality
from acne_edge.reference import MEASURES, MOST, QUALITY, Reference, measures
from tests.toy_model import make_manifest

QUALITIES = Quality(200, 101.26, 0.0, 0.8124, 0.2, 0.7, 0.71, ()).to_dict()


def test_measures_are_rounded_as_in_the_json_form_and_what_is_unknown_is_left_out() -> None:
    assert measures(QUALITIES, 3.456, 0.12345)["count"] == 3.46
    assert measures(QUALITIES, 3.456, 0.12345)["unfamiliarity"] == 0.123
    assert set(measures(QUALITIES)) == set(QUALITY)
    assert measures(QUALITIES)["brightness"] == QUALITIES["brightness"] == 101.3


def test_a_reference_keeps_the_distribution_of_each_measure_in_few_values() -> None:
    rng = np.random.default_rng(0)
    counts = rng.gamma(2, 6, 5000)
    kept = Reference.of([{"count": float(n)} for n in counts], "drawn")
    assert kept.photographs == 5000
    assert list(kept.values) == ["count"]
    assert len(kept.values["count"]) == MOST
    for level in (0.01, 0.1, 0.5, 0.9, 0.99):
        assert np.mean(counts <= np.quantile(kept.values["count"], level)) == pytest.approx(level, abs=0.005)


def test_few_photographs_are_kept_as_they_are() -> None:
    assert Reference.of([{"count": 3.0}, {}, {"count": 1.0}], "").values == {"count": (1.0, 3.0)}


def test_a_manifest_holds_a_reference_that_old_readers_may_ignore() -> None:
    reference = Reference({"count": (1.0, 2.0)}, 2, "drawn")
    manifest = make_manifest(reference=reference)
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert "reference" not in make_manifest().to_json()
    values = json.loads(manifest.to_json())
    assert values["schema"] == "1.1"
    assert values["requires"] == []


def test_measures_of_a_newer_version_are_ignored() -> None:
    values = json.loads(make_manifest(reference=Reference({"count": (1.0,)}, 1, "")).to_json())
    values["reference"]["values"]["readability"] = ["of another kind"]
    assert Manifest.from_json(json.dumps(values)).reference == Reference({"count": (1.0,)}, 1, "")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "manifest.reference.values: expected some of brightness"),
        ({"count": [2, 1]}, "manifest.reference.values.count: expected 1..256 numbers that do not decrease"),
        ({"count": []}, "manifest.reference.values.count"),
        ({"count": [0] * 257}, "manifest.reference.values.count"),
        ({"count": ["1"]}, "manifest.reference.values.count: expected numbers"),
    ],
)
def test_a_bad_reference_is_refused_by_its_field(values: object, message: str) -> None:
    content = json.loads(make_manifest().to_json())
    content["reference"] = {"values": values, "photographs": 3, "fitted_on": ""}
    with pytest.raises(ManifestError, match=message):
        Manifest.from_json(json.dumps(content))


def test_another_measure_can_come_from_other_photographs() -> None:
    reference = Reference({"count": (1.0,)}, 1, "").with_measure("unfamiliarity", [0.9, 0.12345])
    assert reference.values == {"count": (1.0,), "unfamiliarity": (0.123, 0.9)}
    assert set(reference.values) <= set(MEASURES)
