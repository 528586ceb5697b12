from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from calibration.crops import CropSet
from calibration.ranges import Ranges, layers, observed
from export import gate
from export.gate import BUDGET, CHOSEN_BY, GateError, Labelled, granularity, losses, record, search, strain
from export.graph import attach
from export.parity import Decoded, decode_all, onnx_runner, outputs
from export.quantize import Recipe, candidates, cpu, tensorrt
from tests.export.conftest import draw_images, make_manifest

BLOCKS = tuple(f"resnet.layer{i}.{j}" for i in (1, 2, 3) for j in (0, 1))


def truth_of(grades: list[int], counts: list[float], reference: Decoded | None = None) -> Labelled:
    reference = reference or Decoded(np.array(counts, float), np.array(grades))
    return Labelled(np.zeros((len(grades), 1, 1, 3), np.uint8), np.array(grades), np.array(counts), reference)


def test_losses_are_what_they_say() -> None:
    grades, counts = [0, 1, 2, 3] * 25, [3.0, 12.0, 30.0, 55.0] * 25
    truth = truth_of(grades, counts)
    worse = Decoded(np.array(counts) + 0.5, np.array([1, *grades[1:]]))
    lost = losses(worse, truth)
    assert lost["accuracy_drop"]["value"] == pytest.approx(0.01)
    assert lost["grade_flips"]["value"] == pytest.approx(0.01)
    assert lost["mae_increase"]["value"] == pytest.approx(0.5)
    assert 0.003 < lost["qwk_drop"]["value"] < 0.01
    assert {name: loss["budget"] for name, loss in lost.items()} == BUDGET
    assert strain(lost) == pytest.approx(5)


def test_a_better_model_loses_nothing_but_flips() -> None:
    grades, counts = np.array([0, 1, 2, 3] * 25), np.array([3.0, 12.0, 30.0, 55.0] * 25)
    wrong = Decoded(counts + 1.0, np.where(np.arange(100) < 8, 0, grades))
    lost = losses(Decoded(counts, grades), truth_of(list(grades), list(counts), wrong))
    assert lost["accuracy_drop"]["value"] == pytest.approx(-0.06)
    assert lost["mae_increase"]["value"] == pytest.approx(-1)
    assert lost["grade_flips"]["value"] == pytest.approx(0.06)
    assert strain(lost) == pytest.approx(3)


def test_the_interval_covers_the_loss_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    inside, trials, share = 0, 60, 0.1
    for _ in range(trials):
        grades = rng.integers(0, 4, 120)
        flipped = rng.random(120) < share
        candidate = Decoded(np.zeros(120), np.where(flipped, (grades + 1) % 4, grades))
        flips = losses(candidate, truth_of(list(grades), [0.0] * 120), resamples=200)["grade_flips"]
        assert flips["low"] <= flips["value"] <= flips["high"]
        inside += flips["low"] <= share <= flips["high"]
    assert 0.85 <= inside / trials <= 1
    assert flips["high"] - flips["low"] < 0.2


def test_one_grade_only_is_full_agreement() -> None:
    same = Decoded(np.full(10, 3.0), np.zeros(10, np.int64))
    assert losses(same, truth_of([0] * 10, [3.0] * 10, same))["qwk_drop"]["value"] == 0


def test_a_small_set_says_what_one_image_is_worth() -> None:
    assert granularity("judge", 167) == "judge: 167 images, one is 0.60 points: at most 0 lost in net, 3 flipped"
    assert granularity("choice", 400) == "choice: 400 images, one is 0.25 points: at most 2 lost in net, 8 flipped"


@pytest.fixture(scope="module")
def hard(graph: onnx.ModelProto, ranges: dict[str, Ranges], crops: np.ndarray) -> tuple[onnx.ModelProto, dict[str, Ranges]]:
    """The same function with, six times, one channel 4096 times as loud as the others, which 8 bits a tensor cannot hold."""
    model = onnx.ModelProto()
    model.CopyFrom(graph)
    nodes = {node.name: node for node in layers(model)}
    known = {tensor.name: tensor for tensor in model.graph.initializer}

    def change(name: str, factor: float, index: tuple[int | slice, ...]) -> None:
        values = numpy_helper.to_array(known[name]).copy()
        values[index] *= factor
        known[name].CopyFrom(numpy_helper.from_array(values, name))

    names = []
    for loud, deaf in ((nodes[f"{block}.conv1"], nodes[f"{block}.conv2"]) for block in BLOCKS):
        assert len(loud.input) == 2  # the bias of a fresh batch norm is nothing
        change(loud.input[1], 4096, (0,))
        change(deaf.input[1], 1 / 4096, (slice(None), 0))
        names += [loud.output[0], deaf.input[0]]
    values = observed(model, names).run(names, {"image": crops})
    wide = {name: (float(v.min()), float(v.max())) for name, v in zip(names, values, strict=True)}
    return model, {"minmax": ranges["minmax"] | wide}


def judged(graph: onnx.ModelProto, ranges: dict[str, Ranges], recipe: Recipe, methods: tuple[str, ...]) -> gate.Gated:
    """Search against what the float model itself says of twice 100 images, so that every loss is the quantisation's."""
    manifest = make_manifest()
    twin = onnx.ModelProto()
    twin.CopyFrom(graph)
    run = onnx_runner(attach(twin, manifest))

    def drawn(seed: int) -> Labelled:
        images = draw_images(100, seed)
        reference = decode_all(outputs(run, images), manifest)
        return Labelled(images, reference.grades, reference.counts, reference)

    return search(graph, ranges, draw_images(32, 3), recipe, methods, manifest, drawn(9), drawn(10), LINES.append)


def refuse(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the verdict of that number, from 1, be against."""
    measured: list[gate.Losses] = []

    def lost(candidate: Decoded, truth: Labelled) -> gate.Losses:
        measured.append(losses(candidate, truth, resamples=2))
        if len(measured) == number:
            measured[-1]["grade_flips"]["value"] = 1.0
        return measured[-1]

    monkeypatch.setattr(gate, "losses", lost)


LINES: list[str] = []


@pytest.fixture(autouse=True)
def _clear() -> None:
    LINES.clear()


@pytest.fixture
def loose(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random heads magnify rounding: budgets that the plain network keeps and the hard one breaks by far."""
    monkeypatch.setattr(gate, "BUDGET", {"accuracy_drop": 0.04, "mae_increase": 0.6, "grade_flips": 0.04, "qwk_drop": 0.04})


@pytest.mark.usefixtures("loose")
def test_the_method_with_the_least_strain_is_taken(graph: onnx.ModelProto, ranges: dict[str, Ranges]) -> None:
    crippled = {name: (low / 30, high / 30) for name, (low, high) in ranges["minmax"].items()}
    chosen = judged(graph, {"entropy": crippled, "minmax": ranges["minmax"]}, tensorrt(), ("entropy", "minmax"))
    assert (chosen.method, chosen.excluded) == ("minmax", ())
    assert ["FAILS" in line for line in LINES] == [True, False, False]  # the failed method is not shown to the judge
    assert "judged with 0 layers in float" in LINES[2]
    images = truth_of([0] * 100, [0.0] * 100)
    kept = record(chosen, tensorrt(), CropSet(images.images, (), "hash"), images, images, "drawn")
    assert (kept["method"], kept["gate"]["judged"], kept["gate"]["image"]) == ("minmax", 1, 0.01)
    assert kept["gate"]["split"] == "100 photographs drawn"
    assert set(kept["gate"]["losses"]) == set(kept["gate"]["choice"]["losses"]) == set(BUDGET)


@pytest.mark.usefixtures("loose")
def test_a_method_that_the_judge_refuses_gives_way_to_the_next_that_passed(
    graph: onnx.ModelProto, ranges: dict[str, Ranges], monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(3, monkeypatch)  # choice, choice, judge, judge
    chosen = judged(graph, {"a": ranges["minmax"], "b": ranges["minmax"]}, tensorrt(), ("a", "b"))
    assert (chosen.method, chosen.excluded, chosen.judged) == ("b", (), 2)


@pytest.mark.usefixtures("loose")
def test_what_the_judge_refuses_goes_on_and_is_counted(
    graph: onnx.ModelProto, ranges: dict[str, Ranges], monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(2, monkeypatch)  # choice, judge, choice, judge
    chosen = judged(graph, {"minmax": ranges["minmax"]}, tensorrt(), ("minmax",))
    assert chosen.judged == 2
    assert len(chosen.excluded) == 1


@pytest.mark.usefixtures("loose")
@pytest.mark.parametrize("recipe", [cpu(), tensorrt()], ids=["cpu", "tensorrt"])
def test_a_hard_model_passes_with_its_worst_layers_in_float(
    recipe: Recipe, hard: tuple[onnx.ModelProto, dict[str, Ranges]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "MAX_EXCLUDED", 0.8)  # twelve of this small network's 22 layers are hard
    model, ranges = hard
    found = judged(model, ranges, recipe, ("minmax",))
    assert "FAILS" in LINES[0]
    assert any(block in LINES[1] for block in BLOCKS)
    assert {name.rpartition(".")[0] for name in found.excluded[:2]} <= set(BLOCKS)
    assert 1 <= len(found.excluded) <= 16 < len(candidates(model))
    assert strain(found.losses) <= 1
    assert LINES[-1].endswith(", ".join(found.excluded))
    assert found.judged >= 1
    assert strain(found.chosen_by, CHOSEN_BY) <= 1


@pytest.mark.usefixtures("loose")
def test_what_cannot_be_saved_is_refused(
    hard: tuple[onnx.ModelProto, dict[str, Ranges]], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, ranges = hard
    monkeypatch.setattr(gate, "MAX_EXCLUDED", 0.0)
    with pytest.raises(GateError, match="the gate fails even with 0 of") as error:
        judged(model, ranges, tensorrt(), ("minmax",))
    assert error.value.exit_code == 4


def test_a_second_view_of_a_photograph_is_no_second_photograph() -> None:
    grades = [0, 1, 2, 3] * 20
    changed = Decoded(np.zeros(160), np.array([1, *grades[1:]] * 2))
    once = losses(Decoded(np.zeros(80), changed.grades[:80]), truth_of(grades, [0.0] * 80))
    twice = losses(changed, replace(truth_of(grades * 2, [0.0] * 160), views=2))
    assert twice == once


@pytest.mark.parametrize(
    ("views", "said"),
    [
        (1, "4 photographs"),
        (2, "4 photographs and their mirror images"),
        (4, "4 photographs and their mirror images, each in 2 exposures"),
    ],
)
def test_the_record_says_how_often_a_photograph_was_shown(views: int, said: str) -> None:
    assert gate._described(replace(truth_of([0] * 4 * views, [0.0] * 4 * views), views=views)) == said


def test_a_loss_of_just_the_budget_is_within_it() -> None:
    grades = [0, 1, 2, 3] * 150
    flipped = Decoded(np.zeros(600), np.array([1, 1, 2, 3, 1, 1, 2, 3, 1, 1, 2, 3, *grades[12:]]))
    assert strain(losses(flipped, truth_of(grades, [0.0] * 600))) == 1
