"""The gates that an INT8 model must pass, and the search for a model that passes them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from acne_edge.backends.base import Outputs
from acne_edge.errors import ModelError
from acne_edge.evaluation.bootstrap import REPEATS, Figure
from acne_edge.evaluation.outcome import Graded, changes_with_intervals
from acne_edge.evaluation.tables import changes_line
from acne_edge.manifest import Manifest
from calibration.crops import CropSet
from calibration.ranges import Ranges
from export.gptq import covariances, round_weights
from export.graph import attach
from export.parity import Decoded, Images, Runner, decode_all, onnx_runner, outputs, simulated_runner
from export.quantize import Recipe, candidates, corrected, left_in_float
from export.sensitivity import layer_effects

BUDGET = {
    "accuracy_drop": 0.005,  # share of images
    "mae_increase": 0.1,  # lesions
    "grade_flips": 0.02,  # share of images whose grade differs from the float model's, rightly or wrongly
    "qwk_drop": 0.01,
}
# On photographs of training the network is right almost always, so that every flip counts as lost accuracy and kappa.
CHOSEN_BY = ("mae_increase", "grade_flips")
STATISTICS_IMAGES = 256  # crops on which weights are rounded and biases corrected
RANKING_IMAGES = 64  # crops on which layers are ranked
MAX_EXCLUDED = 0.5  # of the layers; a model with fewer INT8 layers is no INT8 model

Say = Callable[[str], None]
Losses = dict[str, Figure]  # by the names of `BUDGET`: value, low, high, budget


class GateError(ModelError):
    """No version of the INT8 model keeps within the budget."""


@dataclass(frozen=True)
class Labelled:
    """Images uint8 [N, S, S, 3], RGB, with true grades [N] and counts [N], and what the float model reads on them.

    Of P photographs each `views` times, N = views * P: all of them in one view, then all in the next.
    """

    images: Images
    grades: NDArray[np.int64]
    counts: NDArray[np.int64]
    reference: Decoded
    views: int = 1


@dataclass(frozen=True)
class Gated:
    """An INT8 graph that passed, and how."""

    graph: onnx.ModelProto
    method: str
    excluded: tuple[str, ...]  # layers left in float beyond the recipe
    chosen_by: Losses  # on the images that methods and layers were chosen on
    losses: Losses  # on the images that only judge
    judged: int  # versions that those images were shown, this one the last


def losses(candidate: Decoded, truth: Labelled, resamples: int = REPEATS) -> Losses:
    """What a candidate loses against the float model, by the names of `BUDGET` (`evaluation.outcome.changes`).

    Each has its `value`, the `low` and `high` end of a 95 % bootstrap interval over photographs, both models on the same sample,
    and its `budget`. The value is judged; the interval says how far to trust the verdict.
    """
    reference, found = (Graded(truth.grades, truth.counts, r.grades, r.counts) for r in (truth.reference, candidate))
    lost = changes_with_intervals([(reference, found)], resamples, truth.views)
    return {name: {**lost[name], "budget": budget} for name, budget in BUDGET.items()}


def strain(lost: Losses, names: Collection[str] = tuple(BUDGET)) -> float:
    """The largest of the named losses in units of its budget; up to 1 the gate holds."""
    return round(max(lost[name]["value"] / lost[name]["budget"] for name in names), 9)  # three of 600 are half a point, not more


def granularity(name: str, images: int) -> str:
    """How finely a set of so many images can tell."""
    step = 1 / images
    return f"{name}: {images} images, one is {100 * step:.2f} points: at most {int(BUDGET['accuracy_drop'] / step + 1e-9)} " + (
        f"lost in net, {int(BUDGET['grade_flips'] / step + 1e-9)} flipped"
    )


def runner(quantised: onnx.ModelProto, recipe: Recipe, manifest: Manifest) -> Runner:
    """A graph of that recipe, run as the recipe is judged. The graph is not changed."""
    file = onnx.ModelProto()
    file.CopyFrom(quantised)  # the manifest goes into the copy
    return (onnx_runner if recipe.judged_on == "kernels" else simulated_runner)(attach(file, manifest))


def search(
    graph: onnx.ModelProto,
    ranges: dict[str, Ranges],
    crops: Images,
    recipe: Recipe,
    methods: Sequence[str],
    manifest: Manifest,
    choice: Labelled,
    judge: Labelled,
    say: Say,
) -> Gated:
    """The INT8 graph with the least strain among the methods that pass; if none does, with the worst layers left in float.

    Layers are ranked by what their quantisation does to the outputs, and the worst 1, 2, 4, ... of them are left in float until
    the gate holds. All of this is chosen on `choice`, by `CHOSEN_BY`; `judge` sees only what holds there, and how many versions
    it saw is in the result.

    Args:
        graph: the float graph.
        ranges: activation ranges by method.
        crops: calibration crops, uint8 [N, S, S, 3].
        recipe: which kind of INT8 file.
        methods: names in `ranges` to try.
        manifest: for the decoding of counts and grades.
        choice: images disjoint from the crops; training may have seen them.
        judge: images disjoint from those of training, calibration and choice.
        say: told, in a line each, what was tried and what came of it.

    Raises GateError if half of the layers in float are not enough.
    """
    sample = crops[:STATISTICS_IMAGES]
    integers = round_weights(graph, recipe, covariances(graph, sample))
    judged = 0

    def make(method: str, excluded: Sequence[str]) -> onnx.ModelProto:
        return corrected(graph, ranges[method], recipe, sample, excluded, integers)

    def run(quantised: onnx.ModelProto, images: Images) -> Outputs:
        return outputs(runner(quantised, recipe, manifest), images)

    def measure(quantised: onnx.ModelProto, images: Labelled, what: str, names: Collection[str] = CHOSEN_BY) -> Losses:
        lost = losses(decode_all(run(quantised, images.images), manifest), images)
        say(f"{recipe.name}, {what}: {'passes' if strain(lost, names) <= 1 else 'FAILS'}  {changes_line(lost)}")
        return lost

    def passed(quantised: onnx.ModelProto, method: str, excluded: Sequence[str], lost: Losses) -> Gated | None:
        nonlocal judged
        if strain(lost, CHOSEN_BY) > 1:
            return None
        judged += 1
        kept = tuple(left_in_float(graph, recipe, excluded))
        found = measure(quantised, judge, f"judged with {len(kept)} layers in float", tuple(BUDGET))
        return Gated(quantised, method, kept, lost, found, judged) if strain(found) <= 1 else None

    versions = {method: make(method, ()) for method in methods}
    tried = {method: measure(quantised, choice, method) for method, quantised in versions.items()}
    by_strain = sorted(tried, key=lambda name: strain(tried[name], CHOSEN_BY))
    for method in by_strain:
        if result := passed(versions[method], method, (), tried[method]):
            return result
    method = by_strain[0]
    ranking = layer_effects(graph, ranges[method], recipe, crops[:RANKING_IMAGES], run, integers)
    worst = list(ranking)
    say(f"{recipe.name}: outputs suffer most from: " + ", ".join(f"{name} {ranking[name]:.2g}" for name in worst[:5]))
    count, limit = 1, int(len(candidates(graph)) * MAX_EXCLUDED)
    while count <= limit:
        quantised = make(method, worst[:count])
        lost = measure(quantised, choice, f"{method}, {count} worst layers in float")
        if result := passed(quantised, method, worst[:count], lost):
            say(f"{recipe.name}: left in float: {', '.join(result.excluded)}")
            return result
        count *= 2
    raise GateError(
        f"{recipe.name}: the gate fails even with {count // 2} of {len(candidates(graph))} layers in float; nothing is written"
    )


def record(gated: Gated, recipe: Recipe, crops: CropSet, choice: Labelled, judge: Labelled, judges: str) -> dict[str, Any]:
    """The manifest's `quantisation`; `judges` says where the photographs that judged come from."""
    return {
        "recipe": recipe.name,
        "method": gated.method,
        "reduce_range": recipe.reduce_range,
        "crops": {"n": len(crops.images), "sha256": crops.sha256},
        "excluded": list(gated.excluded),
        "gate": {
            "split": f"{_described(judge)} {judges}",
            "image": 1 / len(judge.images),  # what one image is worth
            "judged": gated.judged,
            "judged_on": recipe.judged_on,
            "interval": "95 % percentile bootstrap over photographs",
            "losses": gated.losses,
            "choice": {
                "split": f"{_described(choice)} of training held out of calibration",
                "losses": gated.chosen_by,
            },
        },
    }


def _described(labelled: Labelled) -> str:
    photographs = len(labelled.images) // labelled.views
    exposures = {1: "", 2: ""}.get(labelled.views, f", each in {labelled.views // 2} exposures")
    return f"{photographs} photographs" + (" and their mirror images" if labelled.views > 1 else "") + exposures
