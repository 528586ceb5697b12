"""Adapts a model to another camera: a correction of the count, and the constants that depend on it, in a new file.

The figures that decide are cross-fitted: each photograph is judged by constants that were fitted without it. A model whose errors
do not become smaller by more than chance is not written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from acne_edge import framing, preprocess, quality
from acne_edge import image as images
from acne_edge.backends.base import Outputs
from acne_edge.errors import AcneEdgeError, ImageError, UsageError
from acne_edge.evaluation.bootstrap import Figure, bootstrap
from acne_edge.evaluation.labels import Label
from acne_edge.evaluation.outcome import Outcome, figures
from acne_edge.fit.constants import LEVEL, decode_counts, fit_head_share, fit_uncertainty
from acne_edge.fit.correction import corrected, fit_correction
from acne_edge.fit.outputs import LabelledOutputs
from acne_edge.grader import UNFAMILIAR_VARIABLE, AcneGrader
from acne_edge.grading import HAYASHI, CountCorrection, CountDecoding, Uncertainty
from acne_edge.manifest import CORRECTION, Manifest
from acne_edge.reference import COUNT, Reference, measures

LEAST = 30  # photographs: an interval of 90 % needs ten, and a tenth of them is left out
FOLDS, DIVISIONS = 10, 5
SHOWN = ("mae", "bias", "accuracy", "interval_coverage", "interval_width")
Follow: TypeAlias = Callable[[Iterator[Any], int], Iterator[Any]]


@dataclass(frozen=True)
class Adapted:
    """Constants for another camera, and how much better they are on photographs that they were not fitted on."""

    correction: CountCorrection
    decoding: CountDecoding
    uncertainty: Uncertainty
    before: dict[str, float]  # figures of the model as it is
    after: dict[str, float]  # cross-fitted figures
    gain: Figure  # by how many lesions the error becomes smaller on average, with a 95 % interval

    @property
    def is_better(self) -> bool:
        """Whether errors become smaller by more than chance."""
        low = self.gain["low"]
        return low is not None and low > 0

    def to_dict(self) -> dict[str, Any]:
        """What is reported, JSON-ready."""
        return {
            "correction": {"factor": self.correction.factor, "power": self.correction.power},
            "before": {name: round(self.before[name], 4) for name in SHOWN},
            "after": {name: round(self.after[name], 4) for name in SHOWN},
            "error_smaller_by": {end: value if value is None else round(value, 4) for end, value in self.gain.items()},
            "better": self.is_better,
        }


class Seen(NamedTuple):
    """What a model sees of labelled photographs."""

    outputs: LabelledOutputs
    measures: list[dict[str, float]]  # of each, without the count; see `acne_edge.reference`
    errors: list[AcneEdgeError]  # of those that cannot be used


def outputs_of(grader: AcneGrader, folder: Path, labels: Sequence[Label], follow: Follow = lambda items, _: items) -> Seen:
    """The network's outputs for labelled photographs, along the same way as `AcneGrader.predict`, and what could not be used.

    Raises UsageError if fewer than `LEAST` can be used.
    """
    spec = grader.manifest.input
    min_side = spec.decode_scale * max(spec.height, spec.width)
    found, kept, measured, errors = [], [], [], []
    for label in follow(iter(labels), len(labels)):
        path = str(folder / label.name)
        try:
            decoded = images.photograph(path, min_side)
        except AcneEdgeError as error:
            errors.append(error)
            continue
        photograph = framing.cut(path, decoded, min_side) if grader.manifest.is_framed else framing.uncut(decoded)
        outputs = grader.infer(preprocess.pack([photograph.pixels], spec.height, spec.width))
        unfamiliarity = unfamiliarity_of(outputs, grader.manifest)
        if grader.settings["on_unfamiliar"] == "abstain" and unfamiliarity is not None and unfamiliarity > 1:
            left_out = f"looks like nothing that the model learned, so it is left out; {UNFAMILIAR_VARIABLE}=warn keeps it"
            errors.append(ImageError(f"{path}: {left_out}"))
            continue
        found.append(outputs)
        kept.append(label)
        measured.append(measures(quality.assess(photograph.pixels).to_dict(), None, unfamiliarity))
    if len(kept) < LEAST:
        why = f"; the first that cannot: {errors[0]}" if errors else ""
        raise UsageError(f"{folder}: {len(kept)} of {len(labels)} photographs can be used; at least {LEAST} are needed{why}")
    names = ("grade_probs", "count_probs", "lesion_map")
    data = LabelledOutputs.of({name: np.concatenate([getattr(o, name) for o in found]) for name in names}, kept)
    return Seen(data, measured, errors)


def unfamiliarity_of(outputs: Outputs, manifest: Manifest) -> float | None:
    """How far the one photograph lies from those learned, in thresholds; over 1 it gets no count. None: the model cannot tell."""
    if outputs.unfamiliarity is None or manifest.familiarity is None:
        return None
    return float(outputs.unfamiliarity[0]) / manifest.familiarity.threshold


def adapt(data: LabelledOutputs, manifest: Manifest, fitted_on: str, seed: int = 0) -> Adapted:
    """Fit the constants on all photographs, and measure them on photographs left out.

    Args:
        data: outputs of the model, which has not learned these photographs.
        manifest: the model's.
        fitted_on: where the photographs are from.
        seed: of the divisions into folds, and of the bootstrap.

    Raises UsageError for a model that is adapted already, or grades on another scale than Hayashi's.
    """
    if manifest.correction is not None:
        raise UsageError("the model is adapted already; adapt the one that it came from")
    if manifest.scale.lower != HAYASHI.lower:
        raise UsageError(f"the model grades on the scale {manifest.scale.name}; only those of hayashi can be adapted")
    before = Outcome.of_outputs(data, data.interpret(manifest.decoding, manifest.uncertainty))
    divisions = [_cross_fitted(data, manifest, seed + i) for i in range(DIVISIONS)]
    error = np.mean([np.abs(o.count - o.true_count) for o in divisions], axis=0)
    smaller = np.abs(before.count - before.true_count) - error
    gain = bootstrap(lambda index: {"gain": float(smaller[index].mean())}, len(smaller), seed=seed)["gain"]
    each = [figures(o) for o in divisions]
    after = {name: float(np.mean([f[name] for f in each])) for name in SHOWN}
    return Adapted(*_fit(data, manifest, fitted_on), before=figures(before), after=after, gain=gain)


def _fit(data: LabelledOutputs, manifest: Manifest, fitted_on: str) -> tuple[CountCorrection, CountDecoding, Uncertainty]:
    correction = fit_correction(decode_counts(data, manifest.decoding), data.counts, fitted_on)
    better = corrected(data, correction)
    decoding = fit_head_share(better, manifest.decoding)
    return correction, decoding, fit_uncertainty(better, decoding, LEVEL, fitted_on, manifest.uncertainty)


def _cross_fitted(data: LabelledOutputs, manifest: Manifest, seed: int) -> Outcome:
    """Each photograph's result by constants fitted on the other folds, which all have few and many lesions."""
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(len(data.counts)), data.counts))
    fold: NDArray[np.int64] = np.empty(len(order), np.int64)
    for start in range(0, len(order), FOLDS):
        part = order[start : start + FOLDS]
        fold[part] = rng.permutation(FOLDS)[: len(part)]
    results, places = [], []
    for number in range(FOLDS):
        held = np.flatnonzero(fold == number)
        if len(held):
            correction, decoding, uncertainty = _fit(data.take(np.flatnonzero(fold != number)), manifest, "cross-fit")
            judged = data.take(held)
            results.append(Outcome.of_outputs(judged, corrected(judged, correction).interpret(decoding, uncertainty)))
            places.append(held)
    return Outcome.join(results).take(np.argsort(np.concatenate(places)))


def adapted_manifest(manifest: Manifest, found: Adapted, about: dict[str, Any], seen: Seen | None = None) -> Manifest:
    """The manifest of the new file; `about` says from which model, how many photographs and when.

    What was seen of these photographs becomes the reference that `acne-edge drift` compares with; None leaves none.
    What the old one knows of the difference of two counts does not hold for corrected ones, and is left out.
    """
    reference = None
    if seen is not None:
        counts = decode_counts(corrected(seen.outputs, found.correction), found.decoding)
        rows = [{**row, COUNT: round(float(count), 2)} for row, count in zip(seen.measures, counts, strict=True)]
        reference = Reference.of(rows, found.correction.fitted_on)
    refitted = manifest.with_uncertainty(found.uncertainty)
    return replace(
        refitted,
        version=f"{manifest.version}+adapted",
        requires=(*refitted.requires, CORRECTION),
        correction=found.correction,
        decoding=found.decoding,
        pairs=None,
        reference=reference,
        metrics={"adapted": json.loads(json.dumps({**about, **found.to_dict()})), "before_adaptation": manifest.metrics},
    )
