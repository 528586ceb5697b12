"""Fits everything that a manifest holds, makes the model files, and puts them into the package: all but the training."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from acne_edge import AcneGrader
from acne_edge.errors import UsageError
from acne_edge.evaluation.tables import to_json
from acne_edge.files import write
from acne_edge.fit.outputs import OutOfFold
from acne_edge.training.data import read_samples
from acne_edge.training.run import Run, shared_settings
from acne_edge.training.studies.analysis import analyse
from calibration import crops as crop_sets
from export import familiarity, pairs, positions, view
from export.evaluate import CROPS, evaluate
from export.gate import GateError
from export.model import Options, export_model
from export.register import register
from export.restamp import merged

# What of a run's folder stays with the code, beside what this module measures. An average of runs has no log,
# and no run has later results when it is shipped first: those of an earlier model are not its own.
KEPT = ("model.safetensors", "config.json", "run.json", "train.txt", "log.csv", "later.json")
PART = "test"  # what runs on folds held out

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shipment:
    """What is to be shipped, and where."""

    run: Path  # folder of the run on all photographs
    folds: Sequence[Path]  # folders of runs with its settings, each of which held a fold out
    data: Path  # ACNE04
    version: str
    checkpoint: Path  # folder for the run and what is measured here, with the code
    networks: Path  # folder for the folds' INT8 networks and their outputs, with the code
    work: Path  # folder for what need not be kept
    name: str = "acne-edge-s"
    views: Path = Path("experiments/views.csv")


def ship(shipment: Shipment) -> list[str]:
    """Fit all constants on what folds held out, make the model files, and put those that pass their gates into the package.

    Nothing is trained. Constants are the calibration of the outputs, decoding, quantiles, thresholds (positions, abstention,
    familiarity, close-ups), the errors of pairs, and the reference for drift. The card and the golden predictions are made from
    the package: `python -m export card`, and `acne-edge predict`.

    Returns a line per shipped model. Raises UsageError for runs that do not belong together, and GateError if a file does not
    pass; then the package stays what it was.
    """
    run, work = Run(shipment.run), shipment.work
    work.mkdir(parents=True, exist_ok=True)
    out_of_fold = work / "out_of_fold.npz"
    joined(shipment.folds).save(out_of_fold)
    found = positions.positions(shipment.folds, shipment.data, PART, work / "positions.json")
    patch = merged(found, pairs.pairs(out_of_fold, None, work / "pairs.json"))
    write(work / "patch.json", to_json(patch, indent=2).encode())
    familiarity.fit(shipment.run, shipment.folds, shipment.data, PART, work / "familiarity.npz")
    view.fit(shipment.run, shipment.data, shipment.views, work / "view.npz")
    logger.info("constants are fitted")
    learned = read_samples(shipment.data, run.list_file("train"))
    size = int(run.results()["config"]["train_size"])
    drawn = crop_sets.draw(learned, CROPS, size, sources=crop_sets.image_sources(shipment.data))
    crop_sets.save(work / "crops.npz", drawn, 0)
    exported = export_model(
        Options(
            shipment.run, shipment.data, work / "crops.npz", work / "model", shipment.name, shipment.version,
            out_of_fold=out_of_fold, patch=work / "patch.json", familiarity=work / "familiarity.npz", view=work / "view.npz",
        )
    )  # fmt: skip
    if exported.failures:
        raise GateError("; ".join(exported.failures))
    int8 = evaluate(shipment.folds, shipment.data, PART, keep=shipment.networks)
    analysis = analyse(shipment.folds, shipment.data, PART)
    _, cpu, tensorrt = (file.path for file in exported.files)
    lines = [register(cpu, shipment.name), register(tensorrt, f"{shipment.name}-trt")]
    _keep(shipment, out_of_fold, {"int8.json": int8, "analysis.json": analysis})
    return lines


def joined(folds: Sequence[Path]) -> OutOfFold:
    """What runs predicted of the folds that they held out. Raises UsageError if they are of one fold, or of other settings."""
    runs = [Run(fold) for fold in folds]
    configs = [run.results()["config"] for run in runs]
    numbers = [int(config["cross_validation"]) for config in configs]
    settings = shared_settings(configs[0])
    for run, config, number in zip(runs, configs, numbers, strict=True):
        if not number or numbers.count(number) > 1:
            raise UsageError(f"{run.path}: expected one run a fold")
        if shared_settings(config) != settings:
            raise UsageError(f"{run.path}: has other settings than {runs[0].path}")
    predicted = {
        number: (run.outputs(PART), [label.name for label in run.labels(PART)]) for number, run in zip(numbers, runs, strict=True)
    }
    return OutOfFold.join(predicted, settings)


def write_golden(folder: Path, model: str) -> Path:
    """Write a shipped model's prediction for `drawn_face.png` beside it, into `golden-MODEL.jsonl`. Returns its path."""
    photograph, golden = folder / "drawn_face.png", folder / f"golden-{model}.jsonl"
    with AcneGrader.load(model, on_unfamiliar="warn") as grader:
        write(golden, (grader.predict(str(photograph)).to_json() + "\n").encode())
    return golden


def _keep(shipment: Shipment, out_of_fold: Path, results: dict[str, object]) -> None:
    """Copy the run and its outputs beside the code, with what was measured; small enough to be committed."""
    shipment.checkpoint.mkdir(parents=True, exist_ok=True)
    if shipment.run.resolve() != shipment.checkpoint.resolve():
        for name in KEPT:
            (shipment.checkpoint / name).unlink(missing_ok=True)
            if (shipment.run / name).exists():
                shutil.copyfile(shipment.run / name, shipment.checkpoint / name)
    shutil.copyfile(out_of_fold, shipment.checkpoint / out_of_fold.name)
    for name, found in results.items():
        write(shipment.checkpoint / name, (to_json(found, indent=2) + "\n").encode())
