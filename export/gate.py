"""The gates that an INT8 model must pass, and the search for a model that passes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from acne_edge.errors import ModelError
from acne_edge.manifest import Manifest
from acne_edge.metrics import confusion_matrix, quadratic_kappa
from calibration.ranges import Ranges
from export.graph import attach
from export.parity import Images, Readings, onnx_runner, outputs, readings, simulated_runner
from export.quantize import Recipe, candidates, quantize
from export.sensitivity import layer_errors

BUDGET = {
    "accuracy_drop": 0.005,  # share of images
    "mae_increase": 0.1,  # lesions
    "grade_flips": 0.02,  # share of images whose grade differs from the float model's, rightly or wrongly
    "qwk_drop": 0.01,
}
RESAMPLES = 1000
RANKING_IMAGES = 24
MAX_EXCLUDED = 0.5  # of the layers; a model with fewer INT8 layers is no INT8 model

Say = Callable[[str], None]


class GateError(ModelError):
    """No version of the INT8 model keeps within the budget."""


@dataclass(frozen=True)
class Labelled:
    """Images that neither training nor calibration has seen: uint8 [N, S, S, 3], RGB, with grades [N] and counts [N]."""

    images: Images
    grades: NDArray[np.int64]
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class Gated:
    """An INT8 graph that passed, and how."""

    graph: onnx.ModelProto
    method: str
    excluded: tuple[str, ...]  # layers left in float beyond the recipe
    losses: dict[str, dict[str, float]]


def losses(reference: Readings, candidate: Readings, truth: Labelled, resamples: int = RESAMPLES) -> dict[str, dict[str, float]]:
    """What a candidate loses against a reference, by the names of `BUDGET`.

    Each has its `value`, the `low` and `high` end of a 95 % interval (percentile bootstrap over images, both models on the
    same resample; Efron and Tibshirani 1993, ch. 13) and its `budget`. The value is judged; the interval says how far to
    trust the verdict.
    """
    grades = int(max(truth.grades.max(), reference.grades.max(), candidate.grades.max())) + 1

    def measure(index: NDArray[np.int64]) -> list[float]:
        true, before, after = truth.grades[index], reference.grades[index], candidate.grades[index]
        errors = [np.abs(r.counts[index] - truth.counts[index]).mean() for r in (reference, candidate)]
        # Kappa is undefined where one grade is all there is and all that is predicted; that is full agreement.
        kappas = [np.nan_to_num(quadratic_kappa(confusion_matrix(true, p, grades)), nan=1.0) for p in (before, after)]
        drop = (before == true).mean() - (after == true).mean()
        return [drop, errors[1] - errors[0], (before != after).mean(), kappas[0] - kappas[1]]

    everything = np.arange(len(truth.grades))
    rng = np.random.default_rng(0)
    samples = np.array([measure(rng.choice(everything, len(everything))) for _ in range(resamples)])
    low, high = np.percentile(samples, [2.5, 97.5], axis=0)
    return {
        name: {"value": float(value), "low": float(low[i]), "high": float(high[i]), "budget": BUDGET[name]}
        for i, (name, value) in enumerate(zip(BUDGET, measure(everything), strict=True))
    }


def strain(lost: dict[str, dict[str, float]]) -> float:
    """The largest loss in units of its budget; up to 1 the gate holds."""
    return max(loss["value"] / loss["budget"] for loss in lost.values())


def line(lost: dict[str, dict[str, float]]) -> str:
    """The losses as one line."""
    return "  ".join(f"{name} {v['value']:+.4f} [{v['low']:+.4f}, {v['high']:+.4f}]" for name, v in lost.items())


def search(
    graph: onnx.ModelProto,
    ranges: dict[str, Ranges],
    recipe: Recipe,
    methods: Sequence[str],
    manifest: Manifest,
    reference: Readings,
    truth: Labelled,
    say: Say,
) -> Gated:
    """The INT8 graph with the least strain among the methods; if none passes, with the worst layers left in float.

    Layers are ranked by their own quantisation error and left out 1, 2, 4, ... at a time until the gate holds.

    Args:
        graph: the float graph.
        ranges: activation ranges by method.
        recipe: which kind of INT8 file.
        methods: names in `ranges` to try.
        manifest: for the decoding of counts and grades.
        reference: what the float model reads on `truth`.
        truth: images disjoint from those of training and calibration.
        say: told, in a line each, what was tried and what came of it.

    Raises GateError if half of the layers in float are not enough.
    """

    def judge(method: str, excluded: Sequence[str]) -> Gated:
        quantised = quantize(graph, ranges[method], recipe, excluded)
        runner = onnx_runner if recipe.judged_on == "kernels" else simulated_runner
        read = readings(outputs(runner(attach(quantised, manifest)), truth.images), manifest)
        result = Gated(quantised, method, tuple(excluded), losses(reference, read, truth))
        said = f", {len(excluded)} worst layers in float" if excluded else ""
        say(f"{recipe.name}, {method}{said}: {'passes' if strain(result.losses) <= 1 else 'FAILS'}  {line(result.losses)}")
        return result

    best = min((judge(method, ()) for method in methods), key=lambda tried: strain(tried.losses))
    if strain(best.losses) <= 1:
        return best
    ranking = layer_errors(graph, best.graph, truth.images[:RANKING_IMAGES])
    worst = list(ranking)
    say(f"{recipe.name}: largest quantisation errors: " + ", ".join(f"{name} {ranking[name]:.2g}" for name in worst[:5]))
    count, limit = 1, int(len(candidates(graph)) * MAX_EXCLUDED)
    while count <= limit:
        result = judge(best.method, worst[:count])
        if strain(result.losses) <= 1:
            say(f"{recipe.name}: left in float: {', '.join(result.excluded)}")
            return result
        count *= 2
    raise GateError(
        f"{recipe.name}: the gate fails even with {count // 2} of {len(candidates(graph))} layers in float; nothing is written"
    )


def record(gated: Gated, recipe: Recipe, crops: int, crops_sha256: str, images: int) -> dict[str, Any]:
    """The manifest's `quantisation`."""
    return {
        "recipe": recipe.name,
        "method": gated.method,
        "reduce_range": recipe.reduce_range,
        "crops": {"n": crops, "sha256": crops_sha256},
        "excluded": list(gated.excluded),
        "gate": {
            "split": f"validation: {images} images held out of training and calibration",
            "judged_on": recipe.judged_on,
            "interval": "95 % percentile bootstrap over images",
            "losses": gated.losses,
        },
    }
