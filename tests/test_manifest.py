from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acne_edge.difference import PairUncertainty
from acne_edge.errors import ManifestError
from acne_edge.grading import HAYASHI, CloseUp, CountCorrection, CountDecoding, Familiarity, Uncertainty
from acne_edge.manifest import InputSpec, Manifest
from acne_edge.positions import PositionDecoding

GOOD = Manifest(
    name="tiny",
    version="1.2.3",
    input=InputSpec(224, 224),
    count_bins=66,
    scale=HAYASHI,
    decoding=CountDecoding("median", 0.25, 0.75),
    uncertainty=Uncertainty(0.9, 1.3, 0.87, 0.71, 0.4, "somewhere"),
    positions=PositionDecoding("cross", 0.25, "elsewhere"),
    licence="academic",
    intended_use="tests",
    training={"dataset": "drawn"},
    metrics={"accuracy": 0.5},
)


def changed(path: str, value: Any) -> str:
    """The good manifest with one field set, or dropped when the value is Ellipsis."""
    root = json.loads(GOOD.to_json())
    *parents, last = path.split(".")
    section = root
    for key in parents:
        section = section[key]
    if value is ...:
        del section[last]
    else:
        section[last] = value
    return json.dumps(root)


def test_what_is_written_is_read() -> None:
    assert Manifest.from_json(GOOD.to_json()) == GOOD


def test_equal_manifests_are_equal_bytes() -> None:
    assert Manifest.from_json(GOOD.to_json()).to_json() == GOOD.to_json()


def test_unknown_fields_and_minor_versions_are_let_pass() -> None:
    assert Manifest.from_json(changed("new_field", 1)) == GOOD
    assert Manifest.from_json(changed("schema", "1.9")) == GOOD


def test_what_a_model_requires_is_understood_or_refused() -> None:
    assert Manifest.from_json(changed("requires", [])).requires == ()
    assert not Manifest.from_json(changed("requires", [])).is_framed
    assert Manifest.from_json(changed("requires", ["framing-1"])).is_framed
    with pytest.raises(ManifestError, match=r"manifest\.requires: this version does not know 'framing-9'; update acne-edge"):
        Manifest.from_json(changed("requires", ["framing-1", "framing-9"]))
    for wrong in ("framing-1", [1], {}, ["x"] * 65):
        with pytest.raises(ManifestError, match=r"manifest\.requires"):
            Manifest.from_json(changed("requires", wrong))
    unreadable = {**json.loads(changed("requires", ["framing-9"])), "input": "of another kind"}
    with pytest.raises(ManifestError, match="does not know 'framing-9'"):  # what to do about it, before what follows from it
        Manifest.from_json(json.dumps(unreadable))


def test_familiarity_is_required_with_its_threshold_or_absent() -> None:
    told = replace(GOOD, familiarity=Familiarity(1.8, "elsewhere"), requires=("familiarity-1",))
    assert Manifest.from_json(told.to_json()) == told
    assert "familiarity" not in json.loads(GOOD.to_json())  # files without it stay what they were
    assert Manifest.from_json(GOOD.to_json()).familiarity is None
    root = json.loads(told.to_json())
    for wrong in ({"threshold": 0, "fitted_on": ""}, {"threshold": 1}, {"threshold": "1", "fitted_on": ""}, None):
        with pytest.raises(ManifestError, match=r"manifest\.familiarity"):
            Manifest.from_json(json.dumps({**root, "familiarity": wrong}))
    del root["familiarity"]
    with pytest.raises(ManifestError, match=r"manifest\.familiarity is missing; the model requires 'familiarity-1'"):
        Manifest.from_json(json.dumps(root))


def test_one_quantile_a_grade_is_required_or_there_is_one_for_all() -> None:
    assert GOOD.with_uncertainty(GOOD.uncertainty) == GOOD
    told = GOOD.with_uncertainty(
        replace(GOOD.uncertainty, count_quantile=(0.7, 0.8, 0.9, 1.0), grade_quantile=(0.5, 0.6, 0.7, 0.8))
    )
    assert told.requires == (*GOOD.requires, "mondrian-1")
    assert Manifest.from_json(told.to_json()) == told
    assert told.with_uncertainty(GOOD.uncertainty) == GOOD
    for requires in (["mondrian-1"], []):
        other = GOOD if requires else told
        with pytest.raises(
            ManifestError, match=r"manifest\.uncertainty: one quantile a grade goes with 'mondrian-1' in manifest"
        ):
            Manifest.from_json(json.dumps({**json.loads(other.to_json()), "requires": requires}))
    root = json.loads(told.to_json())
    for wrong in ([0.7], [], [0.7, 0.8, 0.9, 1.1], [0.7, 0.8, 0.9, True], [0.7, 0.8, 0.9, "1"], "0.9", 1.1, None):
        root["uncertainty"]["count_quantile"] = wrong
        with pytest.raises(ManifestError, match=r"manifest\.uncertainty\.count_quantile"):
            Manifest.from_json(json.dumps(root))


def test_close_ups_are_told_from_a_probability_on_or_not_at_all() -> None:
    told = replace(GOOD, close_up=CloseUp(0.6, "elsewhere"))
    assert Manifest.from_json(told.to_json()) == told
    assert "close_up" not in json.loads(GOOD.to_json())
    root = json.loads(told.to_json())
    for wrong in ({"threshold": -0.1, "fitted_on": ""}, {"threshold": 1.1, "fitted_on": ""}, {"threshold": 0.5}, None):
        with pytest.raises(ManifestError, match=r"manifest\.close_up"):
            Manifest.from_json(json.dumps({**root, "close_up": wrong}))


def test_a_manifest_of_schema_1_0_requires_nothing_and_a_later_one_says_what() -> None:
    with pytest.raises(ManifestError, match=r"manifest\.requires is missing"):
        Manifest.from_json(changed("requires", ...))
    old = json.loads(changed("requires", ...))
    assert Manifest.from_json(json.dumps({**old, "schema": "1.0"})) == GOOD


def test_a_manifest_may_say_nothing_of_positions() -> None:
    assert Manifest.from_json(changed("positions", ...)).positions == PositionDecoding(threshold=0.5)


def test_an_unknown_major_version_is_refused() -> None:
    with pytest.raises(ManifestError, match=r"schema 2\.0.*update acne-edge"):
        Manifest.from_json(changed("schema", "2.0"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", ...),
        ("name", ...),
        ("name", 7),
        ("input", []),
        ("input.height", 0),
        ("input.height", True),
        ("input.height", 224.5),
        ("input.width", 100_000),
        ("input.layout", "NCHW"),
        ("input.dtype", "float32"),
        ("input.colour", "BGR"),
        ("input.resize", "crop"),
        ("input.filter", "nearest"),
        ("input.normalised_in_graph", False),
        ("input.decode_scale", 0),
        ("count_bins", 1),
        ("count_bins", 40),
        ("scale.labels", ["one"]),
        ("scale.labels", ["a", "b", "c", 4]),
        ("scale.lower", [0, 6, 21]),
        ("scale.lower", [1, 6, 21, 51]),
        ("scale.lower", [0, 21, 6, 51]),
        ("scale.lower", [0, 6, 21, 51.5]),
        ("decoding.count", "mode"),
        ("decoding.map_weight", 1.5),
        ("uncertainty.level", 1.0),
        ("uncertainty.temperature", 0),
        ("uncertainty.temperature", 10**400),
        ("uncertainty.count_quantile", None),
        ("positions", None),
        ("positions.rule", "peaks"),
        ("positions.rule", ...),
        ("positions.threshold", 1.01),
        ("positions.fitted_on", 3),
        ("training", "secret"),
    ],
)
def test_a_wrong_field_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ManifestError) as caught:
        Manifest.from_json(changed(field, value))
    assert field.rsplit(".", 1)[-1].replace("count_bins", "") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "null", "[]", "{", "1", '{"schema": NaN}', "[" * 100_000, "x" * 300_000])
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(ManifestError):
        Manifest.from_json(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELDS = ["schema", "name", "input", "input.height", "count_bins", "scale", "scale.lower", "scale.labels", "decoding.map_weight"]


@settings(max_examples=300)
@given(st.sampled_from(FIELDS), JSON)
def test_any_value_in_any_field_is_taken_or_refused(field: str, value: Any) -> None:
    try:
        manifest = Manifest.from_json(changed(field, value))
    except ManifestError:
        return
    assert Manifest.from_json(manifest.to_json()) == manifest


PAIRS = {"rule": "mover-1", "levels": [0.5, 0.9], "scores": [0.3, 0.9], "fitted_on": "pairs"}


def test_a_manifest_may_tell_how_sure_differences_are() -> None:
    assert Manifest.from_json(GOOD.to_json()).pairs is None
    assert "pairs" not in json.loads(GOOD.to_json())
    told = Manifest.from_json(changed("pairs", PAIRS))
    assert told.pairs == PairUncertainty((0.5, 0.9), (0.3, 0.9), "pairs")
    assert Manifest.from_json(told.to_json()) == told


@pytest.mark.parametrize(
    "wrong",
    [{"levels": [0.9, 0.5]}, {"levels": [0.5]}, {"levels": [0.5, 1.0]}, {"scores": [0.9, 0.3]}, {"scores": [-1, 0]},
     {"scores": ["a", "b"]}, {"scores": [0.1, True]}, {"rule": "another"}, {"fitted_on": 1}],
)  # fmt: skip
def test_figures_of_differences_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.pairs"):
        Manifest.from_json(changed("pairs", {**PAIRS, **wrong}))


def test_a_correction_goes_with_its_name_in_requires() -> None:
    correction = {"factor": 0.8, "power": 1.1, "fitted_on": "clinic"}
    root = {**json.loads(GOOD.to_json()), "correction": correction, "requires": ["count-correction-1"]}
    assert Manifest.from_json(json.dumps(root)).correction == CountCorrection(0.8, 1.1, "clinic")
    for changes in ({"requires": []}, {"correction": {**correction, "factor": 0}}, {"correction": {**correction, "power": 9}}):
        with pytest.raises(ManifestError, match=r"manifest\.correction"):
            Manifest.from_json(json.dumps({**root, **changes}))
    with pytest.raises(ManifestError, match=r"manifest\.correction goes with 'count-correction-1'"):
        Manifest.from_json(changed("requires", ["count-correction-1"]))
