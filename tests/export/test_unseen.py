from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from acne_edge.grading import HAYASHI
from acne_edge.training.uncertainty import HeldOut
from export.unseen import FLOAT, compare, markdown
from tests.training.test_uncertainty import simulated


@pytest.fixture(scope="module")
def predicted() -> HeldOut:
    """A float network's outputs."""
    return simulated(160, seed=0)


def one_grade_milder(data: HeldOut) -> HeldOut:
    """What a version says that is biased: constants fitted on it would take the bias back."""
    milder = np.roll(data.grade_probs, -1, axis=1)
    milder[:, 0] += milder[:, -1]
    milder[:, -1] = 0
    counts = np.roll(data.count_probs, -15, axis=1)
    return replace(data, grade_probs=milder, count_probs=counts, lesions=(data.lesions - 15).clip(0))


def test_a_version_that_says_the_same_changes_nothing(predicted: HeldOut) -> None:
    results = compare({FLOAT: predicted, "same": predicted}, repeats=5)
    assert all(set(change.values()) == {0.0} for change in results["changes"]["same"].values())
    assert results["figures"]["same"] == results["figures"][FLOAT]


def test_constants_are_those_of_the_float_network_so_that_a_bias_shows(predicted: HeldOut) -> None:
    changes = compare({FLOAT: predicted, "biased": one_grade_milder(predicted)}, repeats=5)["changes"]["biased"]
    assert changes["accuracy_drop"]["value"] > 0.2
    assert changes["mae_increase"]["value"] > 3
    assert changes["grade_flips"]["value"] >= changes["accuracy_drop"]["value"]


def test_figures_are_of_photographs_that_the_constants_had_not_seen(predicted: HeldOut) -> None:
    random = np.random.default_rng(0)
    counts = random.permutation(predicted.counts)
    shuffled = replace(predicted, counts=counts, grades=np.array([HAYASHI.grade(c) for c in counts]))
    found = compare({FLOAT: shuffled}, repeats=5)["figures"][FLOAT]
    chance = np.bincount(shuffled.grades).max() / len(counts)
    assert found["accuracy_combined"]["value"] < chance + 0.05, "nothing but the commonest grade can be learned of these"


def test_the_table_has_a_row_for_each_version_and_a_line_for_each_change(predicted: HeldOut) -> None:
    text = markdown(compare({FLOAT: predicted, "U8S8": predicted}, repeats=5)).splitlines()
    assert [line.split(" | ")[0] for line in text[2:4]] == ["| float32", "| U8S8"]
    assert text[-1].startswith("* U8S8: accuracy_drop +0.0000 [+0.0000, +0.0000]")
