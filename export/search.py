"""Searches for an INT8 model that passes the gate: which ranges to use, and which layers to leave in float."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import onnx

from acne_edge.backends.base import Outputs
from acne_edge.bench.parity import Images, Runner, simulated_runner
from acne_edge.evaluation.tables import changes_line
from acne_edge.manifest import Manifest
from calibration.crops import CropSet
from calibration.ranges import Ranges
from export.gate import BUDGET, CHOSEN_BY, EvaluationSet, GateError, Losses, losses, strain
from export.gptq import covariances, round_weights
from export.graph import attach
from export.parity import decode_all, onnx_runner, outputs
from export.quantize import Recipe, candidates, corrected, left_in_float
from export.sensitivity import layer_effects

STATISTICS_IMAGES = 256  # crops on which weights are rounded and biases corrected
RANKING_IMAGES = 64  # crops on which layers are ranked
MAX_EXCLUDED = 0.5  # share of layers that may be left in float; with more, it is hardly an INT8 model

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gated:
    """An INT8 graph that passed, with its losses."""

    graph: onnx.ModelProto
    method: str
    excluded: tuple[str, ...]  # layers left in float besides the recipe's
    chosen_by: Losses  # on the images that methods and layers were chosen on
    losses: Losses  # on the images that only judge
    judged: int  # number of versions that were judged on those images, including this one


def runner(quantised: onnx.ModelProto, recipe: Recipe, manifest: Manifest) -> Runner:
    """Runs a graph of that recipe the way the recipe is judged. The graph is not changed."""
    file = onnx.ModelProto()
    file.CopyFrom(quantised)  # so that the manifest goes only into the copy
    return (onnx_runner if recipe.judged_on == "kernels" else simulated_runner)(attach(file, manifest))


def search_int8(
    graph: onnx.ModelProto,
    ranges: dict[str, Ranges],
    crops: Images,
    recipe: Recipe,
    methods: Sequence[str],
    manifest: Manifest,
    choice: EvaluationSet,
    judge: EvaluationSet,
) -> Gated:
    """The INT8 graph with the least strain among methods that pass; if none passes, the worst layers are left in float.

    Layers are ranked by how much their quantisation changes the outputs, and the worst 1, 2, 4, ... are left in float until the
    gate passes. All choices are made on `choice`, by `CHOSEN_BY`. `judge` gets only versions that pass there, and their number is
    in the result. Each attempt and its result are logged.

    Args:
        graph: the float graph.
        ranges: activation ranges by method.
        crops: calibration crops, uint8 [N, S, S, 3].
        recipe: which kind of INT8 file.
        methods: names in `ranges` to try.
        manifest: for the decoding of counts and grades.
        choice: images disjoint from the crops; training may have seen them.
        judge: images disjoint from those of calibration and choice, and from training's if the run held any out.

    Raises GateError if the gate fails even with half of the layers in float.
    """
    search = _Search(graph, ranges, crops, recipe, manifest, choice, judge)
    return search.among_methods(methods) or search.with_layers_in_float()


class _Search:
    """One recipe's search; see `search_int8`."""

    def __init__(
        self,
        graph: onnx.ModelProto,
        ranges: dict[str, Ranges],
        crops: Images,
        recipe: Recipe,
        manifest: Manifest,
        choice: EvaluationSet,
        judge: EvaluationSet,
    ) -> None:
        self._graph, self._ranges, self._crops, self._recipe, self._manifest = graph, ranges, crops, recipe, manifest
        self._choice, self._judge = choice, judge
        self._integers = round_weights(graph, recipe, covariances(graph, crops[:STATISTICS_IMAGES]))
        self._judged = 0  # versions that were shown to the judge
        self._method = ""  # the one with the least strain

    def among_methods(self, methods: Sequence[str]) -> Gated | None:
        """The version with the least strain among those that pass with every layer in INT8."""
        versions = {method: self._version(method) for method in methods}
        tried = {method: self._measure(version, self._choice, method) for method, version in versions.items()}
        by_strain = sorted(tried, key=lambda method: strain(tried[method], CHOSEN_BY))
        self._method = by_strain[0]
        for method in by_strain:
            if result := self._passed(versions[method], method, (), tried[method]):
                return result
        return None

    def with_layers_in_float(self) -> Gated:
        """The first version by the best method that passes with its 1, 2, 4, ... worst layers in float."""
        method, name, layers = self._method, self._recipe.name, len(candidates(self._graph))
        effects = layer_effects(
            self._graph, self._ranges[method], self._recipe, self._crops[:RANKING_IMAGES], self._run, self._integers
        )
        worst = list(effects)
        logger.info(f"{name}: outputs suffer most from: " + ", ".join(f"{layer} {effects[layer]:.2g}" for layer in worst[:5]))
        count, limit = 1, int(layers * MAX_EXCLUDED)
        while count <= limit:
            version = self._version(method, worst[:count])
            lost = self._measure(version, self._choice, f"{method}, {count} worst layers in float")
            if result := self._passed(version, method, worst[:count], lost):
                logger.info(f"{name}: left in float: {', '.join(result.excluded)}")
                return result
            count *= 2
        raise GateError(f"{name}: the gate fails even with {count // 2} of {layers} layers in float; nothing is written")

    def _version(self, method: str, excluded: Sequence[str] = ()) -> onnx.ModelProto:
        sample = self._crops[:STATISTICS_IMAGES]
        return corrected(self._graph, self._ranges[method], self._recipe, sample, excluded, self._integers)

    def _run(self, version: onnx.ModelProto, images: Images) -> Outputs:
        return outputs(runner(version, self._recipe, self._manifest), images)

    def _measure(self, version: onnx.ModelProto, images: EvaluationSet, what: str, names: Collection[str] = CHOSEN_BY) -> Losses:
        lost = losses(decode_all(self._run(version, images.images), self._manifest), images)
        verdict = "passes" if strain(lost, names) <= 1 else "FAILS"
        logger.info(f"{self._recipe.name}, {what}: {verdict}  {changes_line(lost)}")
        return lost

    def _passed(self, version: onnx.ModelProto, method: str, excluded: Sequence[str], lost: Losses) -> Gated | None:
        """The version with its losses, if it passes on the images for choosing and then on those that judge."""
        if strain(lost, CHOSEN_BY) > 1:
            return None
        self._judged += 1
        kept = tuple(left_in_float(self._graph, self._recipe, excluded))
        found = self._measure(version, self._judge, f"judged with {len(kept)} layers in float", tuple(BUDGET))
        return Gated(version, method, kept, lost, found, self._judged) if strain(found) <= 1 else None


def quantisation_record(
    gated: Gated, recipe: Recipe, crops: CropSet, choice: EvaluationSet, judge: EvaluationSet, judges: str
) -> dict[str, Any]:
    """The manifest's `quantisation`; `judges` names the origin of the photographs that judged."""
    return {
        "recipe": recipe.name,
        "method": gated.method,
        "reduce_range": recipe.reduce_range,
        "crops": {"n": len(crops.images), "sha256": crops.sha256},
        "excluded": list(gated.excluded),
        "gate": {
            "split": f"{_described(judge)} {judges}",
            "image": 1 / len(judge.images),  # the share of one image
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


def _described(images: EvaluationSet) -> str:
    photographs = len(images.images) // images.views
    exposures = {1: "", 2: ""}.get(images.views, f", each in {images.views // 2} exposures")
    return f"{photographs} photographs" + (" and their mirror images" if images.views > 1 else "") + exposures
