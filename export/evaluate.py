"""`python -m export evaluate RUN...`: what INT8 does to networks on photographs that these had not seen.

Where a network has learned all photographs, the gate of `python -m export model` can only compare INT8 with float32 on those. How
good INT8 is, runs tell that did without some: those of `acne-edge crossval`, and the parts of `acne-edge extend`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from acne_edge.errors import UsageError
from acne_edge.evaluation.labels import read_labels
from acne_edge.files import write
from acne_edge.grading import HAYASHI, CountDecoding
from acne_edge.manifest import InputSpec, Manifest
from acne_edge.training.checkpoint import load_network
from acne_edge.training.data import load_images, read_samples
from acne_edge.training.studies.compare import compare, cross_fitted_outcomes, markdown
from acne_edge.training.studies.crossval import load_outputs
from acne_edge.training.uncertainty import FOLD_SETTINGS, LabelledOutputs
from calibration import METHODS
from calibration import crops as crop_sets
from calibration.ranges import collect
from export.gptq import covariances, round_weights
from export.graph import to_onnx
from export.parity import outputs
from export.quantize import Recipe, corrected, cpu, tensorrt
from export.search import STATISTICS_IMAGES, runner

CROPS = 400
FLOAT = "float32"


def evaluate(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Finished runs; what each did without is taken together.")],
    data: Annotated[Path, typer.Option(help="ACNE04 in the layout of its distribution.")],
    out: Annotated[Path, typer.Option(help="JSON results.")],
    part: Annotated[str, typer.Option(help="What they did without: test, or val.")] = "test",
    method: Annotated[str, typer.Option(help="Calibration method: minmax, percentile or entropy.")] = "minmax",
    reduce_range: Annotated[bool, typer.Option(help="7-bit weights, for processors without VNNI.")] = True,
) -> None:
    """Quantise runs as `model` first tries it, and judge them on the photographs that each did without.

    Crops are drawn of what a run learned. No version is chosen by its result, and no layer left in float.
    """
    if part not in ("test", "val"):
        raise UsageError(f"unknown part {part!r}; choose test or val")
    if method not in METHODS:
        raise UsageError(f"unknown calibration method {method!r}; choose one of: {', '.join(METHODS)}")
    recipes = (cpu(reduce_range), tensorrt())
    parts: dict[str, list[LabelledOutputs]] = {name: [] for name in (FLOAT, *(recipe.name for recipe in recipes))}
    names: list[str] = []
    settings = _settings(runs)
    for run in runs:
        if not (run / f"{part}_outputs.npz").is_file():
            raise UsageError(f"{run}: no finished run that did without photographs, as there is no {part}_outputs.npz")
    for run in runs:
        typer.echo(f"{run}", err=True)
        names += [label.name for label in read_labels(run / f"{part}.txt")]
        parts[FLOAT].append(load_outputs(run, part))
        for recipe, predicted in _quantised(run, part, data, method, recipes):
            parts[recipe.name].append(predicted)
    once = np.sort(np.unique(names, return_index=True)[1])  # some photographs stand on two test lists
    versions = {name: LabelledOutputs.join(of_runs).take(once) for name, of_runs in parts.items()}
    results = compare({name: cross_fitted_outcomes(judged, versions[FLOAT]) for name, judged in versions.items()})
    about = {
        "settings": settings,
        "trained_on": [len(read_labels(run / "train.txt")) for run in runs],
        "images": len(once),
        "method": method,
        "reduce_range": reduce_range,
    }
    write(out, (json.dumps(about | results, indent=1) + "\n").encode())
    typer.echo(markdown(results))


def _settings(runs: Sequence[Path]) -> dict[str, Any]:
    """Those that the runs share. Raises UsageError where they differ in one that a fold does not make."""
    found = []
    for run in runs:
        try:
            config = dict(json.loads((run / "run.json").read_text())["config"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{run}: no finished run ({error})") from error
        found.append({name: value for name, value in config.items() if name not in FOLD_SETTINGS})
        if found[-1] != found[0]:
            raise UsageError(f"{run}: has other settings than {runs[0]}; measure them apart")
    return found[0]


def _quantised(run: Path, part: str, data: Path, method: str, recipes: Sequence[Recipe]) -> list[tuple[Recipe, LabelledOutputs]]:
    """What the INT8 versions of a run's network give for the photographs that it did without."""
    network = load_network(run / "model.safetensors")
    config = network.config
    manifest = Manifest(
        name=run.name,
        version="0",
        input=InputSpec(config.image_size, config.image_size),
        count_bins=config.count_bins,
        scale=HAYASHI,
        decoding=CountDecoding(),
    )
    samples = read_samples(data, (run / f"{part}.txt").resolve())
    learned = read_samples(data, (run / "train.txt").resolve())
    crop_sets.refuse_scored([s.name for s in learned], [s.name for s in samples], str(run))
    sources = crop_sets.image_sources(data)
    crops = np.stack([c.image for c in crop_sets.draw(learned, CROPS, config.image_size, sources=sources)])
    images = load_images(samples, config.image_size)
    graph = to_onnx(network)
    ranges, found = collect(graph, crops, [method])[method], covariances(graph, crops[:STATISTICS_IMAGES])
    labels = [s.grade for s in samples], [s.count for s in samples]
    versions = []
    for recipe in recipes:
        integers = round_weights(graph, recipe, found)
        version = corrected(graph, ranges, recipe, crops[:STATISTICS_IMAGES], integers=integers)
        versions.append((recipe, LabelledOutputs.of(outputs(runner(version, recipe, manifest), images)._asdict(), *labels)))
    return versions
