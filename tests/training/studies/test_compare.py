from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from acne_edge.cli import main as cli
from acne_edge.errors import UsageError
from acne_edge.evaluation.outcome import Outcome
from acne_edge.fit.outputs import LabelledOutputs, OutOfFold
from acne_edge.grading import HAYASHI
from acne_edge.training.studies.compare import compare, compare_files, cross_fitted_outcomes, markdown
from tests import command
from tests.simulation import simulated


@pytest.fixture(scope="module", autouse=True)
def _one_division() -> Iterator[None]:
    """Each takes a second or more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("acne_edge.training.studies.compare.DIVISIONS", 1)
        yield


@pytest.fixture(scope="module")
def predicted() -> LabelledOutputs:
    """A network's outputs."""
    return simulated(160, seed=0)


@pytest.fixture(scope="module")
def read(predicted: LabelledOutputs) -> list[Outcome]:
    """The results as on devices."""
    return cross_fitted_outcomes(predicted, predicted)


def biased(data: LabelledOutputs) -> LabelledOutputs:
    """What a version says that sees a milder grade and fewer lesions: constants fitted on it would take that back."""
    milder = np.roll(data.grade_probs, -1, axis=1)
    milder[:, 0] += milder[:, -1]
    milder[:, -1] = 0
    counts = np.roll(data.count_probs, -15, axis=1)
    return replace(data, grade_probs=milder, count_probs=counts, lesions=(data.lesions - 15).clip(0))


def test_a_version_that_says_the_same_changes_nothing(read: list[Outcome]) -> None:
    results = compare({"first": read, "same": read}, repeats=5)
    assert set(results["changes"]) == {"same"}
    assert all(set(change.values()) == {0.0} for change in results["changes"]["same"].values())
    assert results["figures"]["same"] == results["figures"]["first"]


def test_constants_are_of_what_they_are_to_be_fitted_on_so_that_a_bias_shows(
    predicted: LabelledOutputs, read: list[Outcome]
) -> None:
    changes = compare({"first": read, "biased": cross_fitted_outcomes(biased(predicted), predicted)}, repeats=5)["changes"][
        "biased"
    ]
    assert changes["accuracy_drop"]["value"] > 0.2
    assert changes["mae_increase"]["value"] > 3
    assert changes["grade_flips"]["value"] >= changes["accuracy_drop"]["value"]


def test_figures_are_of_photographs_that_the_constants_had_not_seen(predicted: LabelledOutputs) -> None:
    counts = np.random.default_rng(0).permutation(predicted.counts)
    shuffled = replace(predicted, counts=counts, grades=np.array([HAYASHI.grade(c) for c in counts]))
    found = compare({"shuffled": cross_fitted_outcomes(shuffled, shuffled)}, repeats=5)["figures"]["shuffled"]
    chance = np.bincount(shuffled.grades).max() / len(counts)
    assert found["accuracy"]["value"] < chance + 0.05, "nothing but the commonest grade can be learned of these"


def test_the_table_has_a_row_for_each_version_and_a_line_for_each_change(read: list[Outcome]) -> None:
    text = markdown(compare({"float32": read, "U8S8": read}, repeats=5)).splitlines()
    assert [line.split(" | ")[0] for line in text[2:4]] == ["| float32", "| U8S8"]
    assert text[-1].startswith("* U8S8: accuracy_drop +0.0000 [+0.0000, +0.0000]")


def saved(path: Path, data: LabelledOutputs, names: list[str]) -> Path:
    OutOfFold(data, names, np.ones(len(names), np.int64), {}).save(path)
    return path


def test_each_division_is_read_and_figures_are_their_mean(predicted: LabelledOutputs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acne_edge.training.studies.compare.DIVISIONS", 2)
    first, second = read = cross_fitted_outcomes(predicted, predicted)
    assert not np.array_equal(first.count, second.count), "other constants"
    found = compare({"both": read}, repeats=2)["figures"]["both"]["mae"]["value"]
    assert found == pytest.approx(np.mean([np.abs(o.count - o.true_count).mean() for o in read]))


def test_files_are_compared_on_the_photographs_that_both_have_by_name(predicted: LabelledOutputs, tmp_path: Path) -> None:
    names = [f"{i}.jpg" for i in range(160)]
    first = saved(tmp_path / "first.npz", predicted, names)
    order = np.random.default_rng(0).permutation(160)[:150]
    second = saved(tmp_path / "second.npz", predicted.take(order), [names[i] for i in order])
    results = compare_files([first, second], repeats=5)
    assert results["images"] == 150
    assert abs(results["changes"][str(second)]["mae_increase"]["value"]) < 0.3, "other divisions, the same outputs"


def test_files_without_a_common_photograph_are_refused(predicted: LabelledOutputs, tmp_path: Path) -> None:
    files = [saved(tmp_path / f"{kind}.npz", predicted, [f"{kind}{i}" for i in range(160)]) for kind in ("a", "b")]
    with pytest.raises(UsageError, match="no photograph is in all of them"):
        compare_files(files)


def test_a_file_given_twice_is_refused(predicted: LabelledOutputs, tmp_path: Path) -> None:
    file = saved(tmp_path / "a.npz", predicted, [str(i) for i in range(160)])
    with pytest.raises(UsageError, match=r"a\.npz: given twice"):
        compare_files([file, file])


@pytest.mark.slow
def test_the_command_prints_the_table_and_writes_json(predicted: LabelledOutputs, tmp_path: Path) -> None:
    file = saved(tmp_path / "a.npz", predicted, [str(i) for i in range(160)])
    other = Path(shutil.copy(file, tmp_path / "b.npz"))
    code, out, err = command.call(cli.main, "compare", file, other, "--out", tmp_path / "c.json")
    assert (code, err) == (0, "")
    assert out.startswith("160 photographs\n\n| | accuracy")
    assert json.loads((tmp_path / "c.json").read_text())["images"] == 160


def test_one_file_is_nothing_to_compare() -> None:
    code, _, err = command.call(cli.main, "compare", "a.npz")
    assert code == 2
    assert "give two files or more" in err
