from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from calibration.crops import CropSet
from calibration.ranges import Ranges, collect, layers
from export import gate
from export import search as searching
from export.gate import BUDGET, CHOSEN_BY, EvaluationSet, GateError, Losses, losses, strain
from export.graph import attach
from export.parity import Decoded, decode_all, onnx_runner, outputs
from export.quantize import Recipe, candidates, cpu, tensorrt
from export.search import Gated, quantisation_record, search_int8
from tests.export.test_gate import labelled
from tests.toy_model import draw_images, make_manifest

BLOCKS = tuple(f"resnet.layer{i}.{j}" for i in (1, 2, 3) for j in (0, 1))


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The search's log."""
    caplog.set_level(logging.INFO, "export")
    return caplog


@pytest.fixture(scope="module")
def hard(graph: onnx.ModelProto, crops: np.ndarray) -> tuple[onnx.ModelProto, dict[str, Ranges]]:
    """A network with six layers in which one channel is 4096 times the others: too much range for 8 bits per tensor.

    The layers that read them amplify that channel, so that its error reaches the outputs.
    """
    model = onnx.ModelProto()
    model.CopyFrom(graph)
    nodes = {node.name: node for node in layers(model)}
    known = {tensor.name: tensor for tensor in model.graph.initializer}

    def change(name: str, factor: float, index: tuple[int | slice, ...]) -> None:
        values = numpy_helper.to_array(known[name]).copy()
        values[index] *= factor
        known[name].CopyFrom(numpy_helper.from_array(values, name))

    for loud, deaf in ((nodes[f"{block}.conv1"], nodes[f"{block}.conv2"]) for block in BLOCKS):
        assert len(loud.input) == 2  # the bias of a fresh batch norm is nothing
        change(loud.input[1], 4096, (0,))
        change(deaf.input[1], 4, (slice(None),))
        change(deaf.input[1], 1 / 4096, (slice(None), 0))
    return model, collect(model, crops, ["minmax"])


def judged(graph: onnx.ModelProto, ranges: dict[str, Ranges], recipe: Recipe, methods: tuple[str, ...]) -> Gated:
    """Search against what the float model itself says of twice 100 images, so that every loss is the quantisation's."""
    manifest = make_manifest()
    twin = onnx.ModelProto()
    twin.CopyFrom(graph)
    run = onnx_runner(attach(twin, manifest))

    def drawn(seed: int) -> EvaluationSet:
        images = draw_images(100, seed)
        reference = decode_all(outputs(run, images), manifest)
        return EvaluationSet(images, reference.grades, reference.counts, reference)

    return search_int8(graph, ranges, draw_images(32, 3), recipe, methods, manifest, drawn(9), drawn(10))


def refuse(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the verdict of that number, from 1, a refusal."""
    measured: list[Losses] = []

    def lost(candidate: Decoded, truth: EvaluationSet) -> Losses:
        measured.append(losses(candidate, truth, resamples=2))
        if len(measured) == number:
            measured[-1]["grade_flips"]["value"] = 1.0
        return measured[-1]

    monkeypatch.setattr(searching, "losses", lost)


@pytest.fixture
def loose(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random heads magnify rounding: budgets that the plain network keeps and the hard one breaks by far."""
    monkeypatch.setattr(gate, "BUDGET", {"accuracy_drop": 0.04, "mae_increase": 0.6, "grade_flips": 0.04, "qwk_drop": 0.04})


@pytest.mark.slow
@pytest.mark.usefixtures("loose")
def test_the_method_with_the_least_strain_is_taken(
    graph: onnx.ModelProto, ranges: dict[str, Ranges], log: pytest.LogCaptureFixture
) -> None:
    crippled = {name: (low / 30, high / 30) for name, (low, high) in ranges["minmax"].items()}
    chosen = judged(graph, {"entropy": crippled, "minmax": ranges["minmax"]}, tensorrt(), ("entropy", "minmax"))
    assert (chosen.method, chosen.excluded) == ("minmax", ())
    assert ["FAILS" in line for line in log.messages] == [True, False, False]  # the failed method is not shown to the judge
    assert "judged with 0 layers in float" in log.messages[2]
    images = labelled([0] * 100, [0.0] * 100)
    kept = quantisation_record(chosen, tensorrt(), CropSet(images.images, (), "hash"), images, images, "drawn")
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


@pytest.mark.slow
@pytest.mark.usefixtures("loose")
def test_what_the_judge_refuses_goes_on_and_is_counted(
    graph: onnx.ModelProto, ranges: dict[str, Ranges], monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(2, monkeypatch)  # choice, judge, choice, judge
    chosen = judged(graph, {"minmax": ranges["minmax"]}, tensorrt(), ("minmax",))
    assert chosen.judged == 2
    assert len(chosen.excluded) == 1


@pytest.mark.usefixtures("loose")
@pytest.mark.parametrize("recipe", [cpu(), pytest.param(tensorrt(), marks=pytest.mark.slow)], ids=["cpu", "tensorrt"])
def test_a_hard_model_passes_with_its_worst_layers_in_float(
    recipe: Recipe,
    hard: tuple[onnx.ModelProto, dict[str, Ranges]],
    log: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(searching, "MAX_EXCLUDED", 0.8)  # twelve of this small network's 22 layers are hard
    model, ranges = hard
    found = judged(model, ranges, recipe, ("minmax",))
    assert "FAILS" in log.messages[0]
    assert any(block in log.messages[1] for block in BLOCKS)
    assert {name.rpartition(".")[0] for name in found.excluded[:2]} <= set(BLOCKS)
    assert 1 <= len(found.excluded) <= 16 < len(candidates(model))
    assert strain(found.losses) <= 1
    assert log.messages[-1].endswith(", ".join(found.excluded))
    assert found.judged >= 1
    assert strain(found.chosen_by, CHOSEN_BY) <= 1


@pytest.mark.slow
@pytest.mark.usefixtures("loose")
def test_what_cannot_be_saved_is_refused(
    hard: tuple[onnx.ModelProto, dict[str, Ranges]], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, ranges = hard
    monkeypatch.setattr(searching, "MAX_EXCLUDED", 0.0)
    with pytest.raises(GateError, match="the gate fails even with 0 of") as error:
        judged(model, ranges, tensorrt(), ("minmax",))
    assert error.value.exit_code == 4


@pytest.mark.parametrize(
    ("views", "said"),
    [
        (1, "4 photographs"),
        (2, "4 photographs and their mirror images"),
        (4, "4 photographs and their mirror images, each in 2 exposures"),
    ],
)
def test_the_record_says_how_often_a_photograph_was_shown(views: int, said: str) -> None:
    choice, judge = labelled([0] * 5, [0.0] * 5), replace(labelled([0] * 4 * views, [0.0] * 4 * views), views=views)
    passed = Gated(onnx.ModelProto(), "minmax", (), {}, {}, 1)
    kept = quantisation_record(passed, tensorrt(), CropSet(choice.images, (), "hash"), choice, judge, "of a drawn world")
    assert kept["gate"]["split"] == f"{said} of a drawn world"
    assert kept["gate"]["choice"]["split"] == "5 photographs of training held out of calibration"
