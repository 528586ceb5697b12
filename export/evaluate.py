"""Measures what INT8 changes on photographs that the networks were not trained on.

If a network has learned all photographs, the gate of `python -m export model` can compare INT8 with float32 only on those. Runs
that held photographs out, of `acne-edge crossval` or the parts of `acne-edge refit`, show how good INT8 is on new photographs.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from acne_edge import framing
from acne_edge.errors import UsageError
from acne_edge.files import write
from acne_edge.fit.outputs import LabelledOutputs, first_of_each
from acne_edge.grading import HAYASHI, CountDecoding
from acne_edge.manifest import InputSpec, Manifest
from acne_edge.training.checkpoint import load_network
from acne_edge.training.data import Sample, load_images, read_samples
from acne_edge.training.run import Run, shared_settings
from acne_edge.training.studies.compare import compare, cross_fitted_outcomes
from calibration import Method
from calibration import crops as crop_sets
from calibration.ranges import collect
from export.gptq import covariances, round_weights
from export.graph import attach, to_onnx
from export.parity import outputs
from export.quantize import Recipe, corrected, cpu, tensorrt
from export.search import STATISTICS_IMAGES, runner

CROPS = 400
FLOAT = "float32"

logger = logging.getLogger(__name__)


def evaluate(
    runs: Sequence[Path],
    data: Path,
    part: str = "test",
    method: Method = "minmax",
    reduce_range: bool = True,
    keep: Path | None = None,
) -> dict[str, Any]:
    """Quantise runs as `model` does at first, and measure them on the photographs that each held out.

    Calibration crops come from each run's training photographs. No version is chosen by its result; no layer is left in float.

    Args:
        runs: folders of finished runs; their held-out photographs are taken together.
        data: ACNE04.
        part: which held-out photographs, `test` or `val`.
        method: how to choose activation ranges.
        reduce_range: 7-bit weights in the version for CPUs.
        keep: a folder for each run's version for CPUs, `fold-1.onnx`, and its outputs for what the run held out, `fold-1.npz`, as
            `fit.outputs` reads them; the file's decoding and its limits are not fitted.

    Returns JSON-ready results: `figures` by version, `changes` by INT8, and which runs, photographs and recipes they belong to.
    Raises UsageError for runs that are not finished, held nothing out, or differ in their settings.
    """
    recipes = (cpu(reduce_range), tensorrt())
    parts: dict[str, list[LabelledOutputs]] = {name: [] for name in (FLOAT, *(recipe.name for recipe in recipes))}
    names: list[str] = []
    found = [Run(path) for path in runs]
    settings = _settings(found)
    for run in found:
        outputs_file = run.outputs_file(part)
        if not outputs_file.is_file():
            raise UsageError(f"{run.path}: not a finished run that held photographs out: it has no {outputs_file.name}")
    for run in found:
        logger.info(f"{run.path}")
        names += [label.name for label in run.labels(part)]
        parts[FLOAT].append(run.outputs(part))
        for recipe, predicted in _quantised(run, part, data, method, recipes, keep):
            parts[recipe.name].append(predicted)
    once = first_of_each(names)
    versions = {name: LabelledOutputs.join(of_runs).take(once) for name, of_runs in parts.items()}
    results = compare({name: cross_fitted_outcomes(judged, versions[FLOAT]) for name, judged in versions.items()})
    about = {
        "settings": settings,
        "trained_on": [len(run.labels("train")) for run in found],
        "images": len(once),
        "method": method,
        "reduce_range": reduce_range,
    }
    return about | results


def _settings(runs: Sequence[Run]) -> dict[str, Any]:
    """The settings that the runs share. Raises UsageError if they differ in more than their fold."""
    found = []
    for run in runs:
        found.append(shared_settings(run.results()["config"]))
        if found[-1] != found[0]:
            raise UsageError(f"{run.path}: has other settings than {runs[0].path}; measure them separately")
    return found[0]


def _quantised(
    run: Run, part: str, data: Path, method: Method, recipes: Sequence[Recipe], keep: Path | None
) -> list[tuple[Recipe, LabelledOutputs]]:
    """The outputs of the INT8 versions of a run's network for the photographs that it held out."""
    network = load_network(run.model)
    config = network.config
    manifest = Manifest(
        name=run.path.name,
        version="0",
        input=InputSpec(config.image_size, config.image_size),
        count_bins=config.count_bins,
        scale=HAYASHI,
        decoding=CountDecoding(),
        requires=(framing.RULE,),
        training={"lists": run.results()["lists"]},
    )
    samples = read_samples(data, run.list_file(part).resolve())
    learned = read_samples(data, run.list_file("train").resolve())
    crop_sets.refuse_scored([s.name for s in learned], [s.name for s in samples], str(run.path))
    sources = crop_sets.image_sources(data)
    crops = np.stack([c.image for c in crop_sets.draw(learned, CROPS, config.image_size, sources=sources)])
    images = load_images(samples, config.image_size)
    graph = to_onnx(network)
    ranges, found = collect(graph, crops, [method])[method], covariances(graph, crops[:STATISTICS_IMAGES])
    versions = []
    for recipe in recipes:
        integers = round_weights(graph, recipe, found)
        version = corrected(graph, ranges, recipe, crops[:STATISTICS_IMAGES], integers=integers)
        found_outputs = outputs(runner(version, recipe, manifest), images)._asdict()
        versions.append((recipe, LabelledOutputs.of(found_outputs, samples)))
        if keep is not None and recipe is recipes[0]:
            _keep(keep / run.path.name, attach(version, manifest), found_outputs, samples)
    return versions


def _keep(stem: Path, model: bytes, outputs: dict[str, Any], samples: Sequence[Sample]) -> None:
    """Write a fold's model file, and its outputs with labels; lesion maps in half precision."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    write(stem.with_suffix(".onnx"), model)
    content = io.BytesIO()
    arrays = {name: value for name, value in outputs.items() if value is not None}
    arrays["lesion_map"] = arrays["lesion_map"].astype(np.float16)
    labels = {"names": [s.name for s in samples], "grades": [s.grade for s in samples], "counts": [s.count for s in samples]}
    np.savez_compressed(content, **arrays, **labels)
    write(stem.with_suffix(".npz"), content.getvalue())
