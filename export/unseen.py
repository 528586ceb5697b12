"""`python -m export unseen RUN...`: what INT8 does to networks on photographs that these had not seen.

Where a network has learned all photographs, the gate of `python -m export model` can only compare INT8 with float32 on those. How
good INT8 is, runs tell that did without some: those of `acne-edge crossval`, and the parts of `acne-edge extend`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from acne_edge.errors import UsageError
from acne_edge.evaluation import read_labels
from acne_edge.files import write
from acne_edge.grading import HAYASHI, CountDecoding
from acne_edge.manifest import InputSpec, Manifest
from acne_edge.metrics import bootstrap
from acne_edge.training.checkpoint import load_network
from acne_edge.training.crossval import Outcome, cell, figures, held_out
from acne_edge.training.data import load_images, read_samples
from acne_edge.training.uncertainty import LEVEL, OF_A_FOLD, Constants, HeldOut, cross_fits
from calibration import crops as crop_sets
from calibration.ranges import METHODS, collect
from export.gate import STATISTICS_IMAGES, line, runner
from export.graph import to_onnx
from export.parity import outputs
from export.quantize import Recipe, corrected, cpu, tensorrt
from export.rounding import covariances, round_weights

CROPS = 400
DIVISIONS = 5  # into the parts that constants are fitted on and judge: each moves some photographs over a threshold
FLOAT = "float32"


def unseen(
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
    parts: dict[str, list[HeldOut]] = {name: [] for name in (FLOAT, *(recipe.name for recipe in recipes))}
    names: list[str] = []
    settings = _settings(runs)
    for run in runs:
        if not (run / f"{part}_outputs.npz").is_file():
            raise UsageError(f"{run}: no finished run that did without photographs, as there is no {part}_outputs.npz")
    for run in runs:
        typer.echo(f"{run}", err=True)
        names += [name for name, _, _ in read_labels(run / f"{part}.txt")]
        parts[FLOAT].append(held_out(run, part))
        for recipe, predicted in _quantised(run, part, data, method, recipes):
            parts[recipe.name].append(predicted)
    once = np.sort(np.unique(names, return_index=True)[1])  # some photographs stand on two test lists
    results = compare({name: HeldOut.join(of_runs).take(once) for name, of_runs in parts.items()})
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
        found.append({name: value for name, value in config.items() if name not in OF_A_FOLD})
        if found[-1] != found[0]:
            raise UsageError(f"{run}: has other settings than {runs[0]}; measure them apart")
    return found[0]


def _quantised(run: Path, part: str, data: Path, method: str, recipes: Sequence[Recipe]) -> list[tuple[Recipe, HeldOut]]:
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
        versions.append((recipe, HeldOut.of(outputs(runner(version, recipe, manifest), images)._asdict(), *labels)))
    return versions


def compare(versions: Mapping[str, HeldOut], repeats: int = 1000) -> dict[str, Any]:
    """Figures of each version, and what it changes against `FLOAT`, with 95 % bootstrap intervals over photographs.

    Calibration, decoding and uncertainty are fitted on what the float networks give for other photographs, as those of a shipped
    file are. Figures are means over `DIVISIONS` ways to divide the photographs for that.
    """
    n = len(versions[FLOAT].grades)
    fitted = [list(cross_fits(versions[FLOAT], LEVEL, seed)) for seed in range(DIVISIONS)]
    read = {name: [_outcome(judged, constants) for constants in fitted] for name, judged in versions.items()}

    def mean(found: list[dict[str, float]]) -> dict[str, float]:
        return {key: float(np.mean([f[key] for f in found])) for key in found[0]}

    def of(name: str, index: NDArray[np.int64]) -> dict[str, float]:
        return mean([figures(o.take(index)) for o in read[name]])

    def against(name: str, index: NDArray[np.int64]) -> dict[str, float]:
        return mean([changes(f.take(index), o.take(index)) for f, o in zip(read[FLOAT], read[name], strict=True)])

    return {
        "divisions": DIVISIONS,
        "figures": {name: bootstrap(lambda index, name=name: of(name, index), n, repeats) for name in versions},
        "changes": {
            name: bootstrap(lambda index, name=name: against(name, index), n, repeats) for name in versions if name != FLOAT
        },
    }


def _outcome(judged: HeldOut, fitted: Sequence[tuple[NDArray[np.int64], Constants]]) -> Outcome:
    order = np.concatenate([test for test, _ in fitted])
    results = [result for test, constants in fitted for result in constants.interpret(judged.take(test))]
    return Outcome.of(judged.take(order), results, np.zeros(len(order), np.int64)).take(np.argsort(order))


def changes(before: Outcome, after: Outcome) -> dict[str, float]:
    """What another version of a network changes for the worse, by the names of the gate's budget."""
    return {
        "accuracy_drop": float((before.combined == before.grade).mean() - (after.combined == after.grade).mean()),
        "mae_increase": float(np.abs(after.lesions - after.count).mean() - np.abs(before.lesions - before.count).mean()),
        "grade_flips": float((before.combined != after.combined).mean()),
    }


def markdown(results: Mapping[str, Any]) -> str:
    """The figures as a Markdown table, and a line for each INT8 version of what it changes."""
    shown = {
        "accuracy": "accuracy_combined", "balanced": "balanced_accuracy", "QWK": "qwk", "MAE": "mae", "RMSE": "rmse",
        "interval coverage": "interval_coverage", "ECE": "ece",
    }  # fmt: skip
    lines = [f"| | {' | '.join(shown)} | recall by grade |", "|---" * (len(shown) + 2) + "|"]
    for name, found in results["figures"].items():
        recalls = " ".join(f"{found[f'recall_{g}']['value']:.2f}" for g in range(len(HAYASHI.labels)))
        lines.append(f"| {name} | {' | '.join(cell(key, found[key]) for key in shown.values())} | {recalls} |")
    lines.append("")
    for name, found in results["changes"].items():
        lines.append(f"* {name}: {line(found)}")
    return "\n".join(lines)
