from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from calibration.ranges import Ranges, layers, observed
from export import gate
from export.gate import BUDGET, GateError, Labelled, losses, record, search, strain
from export.graph import attach
from export.parity import Readings, onnx_runner, outputs, readings
from export.quantize import Recipe, candidates, cpu, tensorrt
from tests.export.conftest import draw_images, make_manifest

BLOCKS = ("resnet.layer1.1", "resnet.layer2.1", "resnet.layer3.1")


def truth_of(grades: list[int], counts: list[float]) -> Labelled:
    return Labelled(np.zeros((len(grades), 1, 1, 3), np.uint8), np.array(grades), np.array(counts))


def test_losses_are_what_they_say() -> None:
    grades, counts = [0, 1, 2, 3] * 25, [3.0, 12.0, 30.0, 55.0] * 25
    truth = truth_of(grades, counts)
    reference = Readings(np.array(counts), np.array(grades))
    worse = Readings(np.array(counts) + 0.5, np.array([1, *grades[1:]]))
    lost = losses(reference, worse, truth)
    assert lost["accuracy_drop"]["value"] == pytest.approx(0.01)
    assert lost["grade_flips"]["value"] == pytest.approx(0.01)
    assert lost["mae_increase"]["value"] == pytest.approx(0.5)
    assert 0.003 < lost["qwk_drop"]["value"] < 0.01
    assert {name: loss["budget"] for name, loss in lost.items()} == BUDGET
    assert strain(lost) == pytest.approx(5)


def test_a_better_model_loses_nothing_but_flips() -> None:
    truth = truth_of([0, 1, 2, 3] * 25, [3.0, 12.0, 30.0, 55.0] * 25)
    right = Readings(truth.counts.astype(float), truth.grades)
    wrong = Readings(truth.counts + 1.0, np.where(np.arange(100) < 8, 0, truth.grades))
    lost = losses(wrong, right, truth)
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
        reference = Readings(np.zeros(120), grades)
        candidate = Readings(np.zeros(120), np.where(flipped, (grades + 1) % 4, grades))
        flips = losses(reference, candidate, truth_of(list(grades), [0.0] * 120), resamples=200)["grade_flips"]
        assert flips["low"] <= flips["value"] <= flips["high"]
        inside += flips["low"] <= share <= flips["high"]
    assert 0.85 <= inside / trials <= 1
    assert flips["high"] - flips["low"] < 0.2


def test_one_grade_only_is_full_agreement() -> None:
    same = Readings(np.full(10, 3.0), np.zeros(10, np.int64))
    assert losses(same, same, truth_of([0] * 10, [3.0] * 10))["qwk_drop"]["value"] == 0


@pytest.fixture(scope="module")
def hard(graph: onnx.ModelProto, ranges: dict[str, Ranges], crops: np.ndarray) -> tuple[onnx.ModelProto, dict[str, Ranges]]:
    """The same function with, three times, one channel 4096 times as loud as the others, which 8 bits a tensor cannot hold."""
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
    """Search against what the float model itself says of 100 images, so that every loss is the quantisation's."""
    images, manifest = draw_images(100, seed=9), make_manifest()
    twin = onnx.ModelProto()
    twin.CopyFrom(graph)
    reference = readings(outputs(onnx_runner(attach(twin, manifest)), images), manifest)
    truth = Labelled(images, reference.grades, reference.counts)
    return search(graph, ranges, recipe, methods, manifest, reference, truth, LINES.append)


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
    assert [("FAILS" in line, "passes" in line) for line in LINES] == [(True, False), (False, True)]
    kept = record(chosen, tensorrt(), 400, "hash", 100)
    assert kept["method"] == "minmax"
    assert set(kept["gate"]["losses"]) == set(BUDGET)


@pytest.mark.usefixtures("loose")
@pytest.mark.parametrize("recipe", [cpu(), tensorrt()], ids=["cpu", "tensorrt"])
def test_a_hard_model_passes_with_its_worst_layers_in_float(
    recipe: Recipe, hard: tuple[onnx.ModelProto, dict[str, Ranges]]
) -> None:
    model, ranges = hard
    found = judged(model, ranges, recipe, ("minmax",))
    assert "FAILS" in LINES[0]
    assert BLOCKS[0] in LINES[1]
    assert {name.rpartition(".")[0] for name in found.excluded[:2]} <= set(BLOCKS)
    assert 1 <= len(found.excluded) <= 8 < len(candidates(model)) / 2
    assert strain(found.losses) <= 1
    assert LINES[-1].endswith(", ".join(found.excluded))


@pytest.mark.usefixtures("loose")
def test_what_cannot_be_saved_is_refused(
    hard: tuple[onnx.ModelProto, dict[str, Ranges]], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, ranges = hard
    monkeypatch.setattr(gate, "MAX_EXCLUDED", 0.0)
    with pytest.raises(GateError, match="the gate fails even with 0 of") as error:
        judged(model, ranges, tensorrt(), ("minmax",))
    assert error.value.exit_code == 4
