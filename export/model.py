"""The steps of `python -m export model`, in order: training run, float ONNX file, INT8 files that pass the gate."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from acne_edge import framing
from acne_edge.errors import ModelError, UsageError
from acne_edge.evaluation.outcome import summary
from acne_edge.evaluation.tables import changes_line
from acne_edge.files import write
from acne_edge.fit.constants import LEVEL
from acne_edge.fit.familiarity import FittedFamiliarity
from acne_edge.fit.outputs import LabelledOutputs, OutOfFold
from acne_edge.grading import SeverityScale
from acne_edge.manifest import InputSpec, Manifest
from acne_edge.preprocess import DECODE_SCALE
from acne_edge.reference import Reference
from acne_edge.training.calibrate import Postprocessing, cross_fitted
from acne_edge.training.checkpoint import load_network
from acne_edge.training.config import TrainConfig, scale_of
from acne_edge.training.data import Sample, load_images, read_samples
from acne_edge.training.model import FusionModel, ModelConfig
from acne_edge.training.run import ACNE04, Run, read_json
from calibration import METHODS
from calibration import crops as crop_sets
from calibration import report as reports
from calibration.crops import CropSet
from calibration.ranges import Ranges, load_or_collect
from export.familiarity import model_file
from export.gate import EvaluationSet, GateError, Losses, granularity
from export.graph import attach, to_onnx
from export.parity import Images, decode_all, difference, onnx_runner, outputs, torch_runner
from export.quantize import Recipe, cpu, tensorrt
from export.reference import reference_of
from export.restamp import fingerprints, patched
from export.search import quantisation_record, search_int8
from export.view import FittedView, extended

CHOICE = 300  # photographs to choose ranges and layers on; as many judge if none were held out of training
EXPOSURES = (1.0, 0.9, 1.1, 0.8, 1.2)  # gains at which a photograph may be judged
LEAST_VIEWS = 200  # fewer cannot tell the gate's 2 % of flips from a single one
PARITY = 1e-4  # largest allowed difference of a probability between torch and ONNX
LICENCE = "Weights: academic use only, as the ACNE04 data they were trained on. Code: Apache-2.0."
OWN_LICENCE = "Weights: as those decide whose photographs they were trained on. Code: Apache-2.0."
INTENDED_USE = (
    "Research on and development of tools that support dermatology professionals: lesion count and severity of facial acne "
    "vulgaris from one photograph of a half face. Not a medical device; not for diagnosis."
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """The run to export, the photographs to choose and judge on, and the output folder."""

    run: Path  # folder of a training run
    data: Path  # ACNE04
    crops: Path  # INT8 calibration crops, .npz
    out: Path  # folder
    name: str = "acne-edge-s"
    version: str = "0.1.0"
    method: str = "auto"  # how to choose ranges; auto tries all of `calibration.METHODS`
    reduce_range: bool = True  # 7-bit weights in the file for CPUs
    out_of_fold: Path | None = None  # predictions to fit constants on, for a run that held nothing out
    patch: Path | None = None  # JSON merge patch of the manifest
    familiarity: Path | None = None  # what `export.familiarity.fit` wrote of the run
    view: Path | None = None  # what `export.view.fit` wrote of the run


@dataclass(frozen=True)
class TrainedRun:
    """A training run, read from its folder."""

    network: FusionModel
    results: dict[str, Any]
    learned: list[Sample]
    held_out: list[Sample]  # its validation photographs; empty for a run on all photographs

    @property
    def scale(self) -> SeverityScale:
        """The severity scale of the grades."""
        return scale_of(self.results["config"])

    @property
    def size(self) -> int:
        """Pixels per side of the network's input."""
        return self.network.config.image_size


@dataclass(frozen=True)
class Photographs:
    """The photographs that an INT8 model is chosen on, and those that only judge it."""

    choice: list[Sample]
    judge: list[Sample]
    judges: str  # the origin of those that judge, for the manifest


@dataclass(frozen=True)
class FloatModel:
    """The float graph, its manifest, and the file that holds both."""

    graph: onnx.ModelProto
    manifest: Manifest
    data: bytes
    fitted: FittedFamiliarity | None = None  # of outputs that every file gets in the end
    view: FittedView | None = None

    def file(self, graph: onnx.ModelProto, manifest: Manifest) -> bytes:
        """The file of one of its graphs, with those outputs."""
        if self.view is not None:
            graph, manifest = extended(graph, manifest, self.view)
        return model_file(graph, manifest, self.fitted)


@dataclass(frozen=True)
class WrittenModel:
    """A model file and its losses by INT8; a float file has no method and no losses."""

    path: Path
    method: str = ""
    excluded: tuple[str, ...] = ()  # layers that the search left in float
    losses: Losses | None = None


@dataclass(frozen=True)
class Exported:
    """The result of an export: the files, and why others were not written."""

    files: list[WrittenModel]
    failures: list[str]


def export_model(options: Options) -> Exported:
    """Export a run's model to float ONNX and to INT8 for CPUs and for TensorRT.

    Raises UsageError for a run, crops or photographs that do not fit each other, ModelError if the float graph differs from the
    checkpoint, and AcneEdgeError if a file cannot be written.
    """
    run = load_run(options.run, options.data, options.out_of_fold)
    fitted = None if options.familiarity is None else FittedFamiliarity.load(options.familiarity)
    view = None if options.view is None else FittedView.load(options.view)
    crops = crop_sets.load(options.crops, run.size)
    photographs = choose_photographs(run, crops, options.crops)
    images = load_images(photographs.judge, run.size)
    predicted, constants = fit_postprocessing(run, photographs.judge, images, options.out_of_fold)
    manifest = describe(options.name, options.version, run.network.config, run.results, predicted, constants)
    manifest = replace(manifest, reference=describe_photographs(run, predicted, constants, options.out_of_fold))
    manifest = patched(manifest, fingerprints({"train": run.learned, "val": run.held_out}))
    if options.patch is not None:
        manifest = patched(manifest, read_json(options.patch, "a patch of a manifest"))
    model = replace(export_float(run.network, constants, manifest, images), fitted=fitted, view=view)
    _make_folder(options.out)
    float_path = options.out / f"{options.name}-fp32.onnx"
    write(float_path, model.file(model.graph, manifest))
    ranges = load_or_collect(options.out / "ranges.json", model.graph, crops, manifest.input)
    reports.draw(options.out / "ranges.png", model.graph, ranges)
    judge = evaluation_set(photographs.judge, images, exposures(len(images), 2), model)
    chosen = load_images(photographs.choice, run.size)
    choice = evaluation_set(photographs.choice, chosen, exposures(len(chosen), 1), model)
    for name, images_of in (("choice", choice), ("judge", judge)):
        logger.info(granularity(name, len(images_of.images)))
    files, failures = [WrittenModel(float_path)], []
    for recipe in (cpu(options.reduce_range), tensorrt()):
        try:
            files.append(quantise(options, recipe, model, ranges, crops, choice, judge, photographs.judges))
        except GateError as error:
            failures.append(str(error))
    return Exported(files, failures)


def load_run(folder: Path, data: Path, out_of_fold: Path | None) -> TrainedRun:
    """Read a run's checkpoint, results and lists.

    Raises UsageError if one cannot be read. Constants need either held-out photographs or predictions of the folds, so both, or
    neither, is a UsageError too.
    """
    run = Run(folder)
    network, results = load_network(run.model), run.results()
    learned = read_samples(data, run.list_file("train"))
    held_out = read_samples(data, run.list_file("val")) if run.has("val") else []
    if bool(held_out) == (out_of_fold is not None):
        raise UsageError(
            f"{folder}: {'has' if held_out else 'has no'} validation images, "
            f"so it takes {'no' if held_out else 'an'} --out-of-fold"
        )
    return TrainedRun(network, results, learned, held_out)


def choose_photographs(run: TrainedRun, crops: CropSet, crops_file: Path) -> Photographs:
    """Photographs to choose on and others to judge on; INT8 was calibrated on none of them.

    The run's validation photographs judge. If it has none, twice `CHOICE` training photographs are divided into both parts.
    Raises UsageError if crops are from validation photographs, or leave fewer than two training photographs.
    """
    crop_sets.refuse_scored(crops.names, [sample.name for sample in run.held_out], str(crops_file))
    used = {*crops.names, *(sample.name for sample in run.held_out)}
    free = [sample for sample in run.learned if sample.name not in used]
    if len(free) < 2:
        raise UsageError(
            f"{crops_file}: every training photograph is among the crops; draw fewer, to leave some for choosing and judging"
        )
    free = [free[i] for i in np.random.default_rng(0).permutation(len(free))]
    number = min(CHOICE, len(free) if run.held_out else len(free) // 2)
    if run.held_out:
        return Photographs(free[:number], run.held_out, "held out of training, calibration and choice")
    return Photographs(free[:number], free[number : 2 * number], "of training, held out of calibration and choice")


def fit_postprocessing(
    run: TrainedRun, samples: Sequence[Sample], images: Images, out_of_fold: Path | None
) -> tuple[LabelledOutputs, Postprocessing]:
    """Predictions for photographs that training had not seen, and the constants that are fitted on them.

    The predictions are the network's for `samples`, or those of runs with the same settings for the folds that they held out.
    """
    if out_of_fold is None:
        found = outputs(torch_runner(run.network), images)
        predicted, origin = LabelledOutputs.of(found._asdict(), samples, run.scale), "held out of training, duplicates kept apart"
    else:
        folds = OutOfFold.load(out_of_fold)
        folds.check(TrainConfig.from_dict(run.results["config"]).to_dict())  # a run from before a setting has its default
        number = len(np.unique(folds.folds))
        without = "it and its look-alikes" if folds.grouped else "it"
        predicted, origin = folds.data, f"held out, each predicted by one of {number} runs of these settings without {without}"
    return predicted, Postprocessing.fit(predicted, LEVEL, f"{len(predicted.counts)} photographs {origin}")


def describe(
    name: str,
    version: str,
    config: ModelConfig,
    results: dict[str, Any],
    held_out: LabelledOutputs,
    constants: Postprocessing,
) -> Manifest:
    """The manifest of a run's model. Its constants were fitted on `held_out`, and its metrics are cross-fitted there."""
    uncertainty = constants.uncertainty
    learned = results.get("learned", [ACNE04])
    return Manifest(
        name=name,
        version=version,
        input=InputSpec(config.image_size, config.image_size, decode_scale=DECODE_SCALE),
        count_bins=config.count_bins,
        scale=scale_of(results["config"]),
        decoding=constants.decoding,
        licence=LICENCE if ACNE04 in learned else OWN_LICENCE,
        intended_use=INTENDED_USE,
        requires=(framing.RULE,),
        training={
            "dataset": "; then ".join(learned),
            "lists": results["lists"],
            "settings": results["config"],
            "output_calibration": constants.calibration.to_dict(),  # in the graph; here for people, and for `verify`
        },
        metrics={
            "split": f"{uncertainty.fitted_on}; last epoch; decoding and calibration constants cross-fitted in 5 folds",
            **summary(cross_fitted(held_out, uncertainty.level)),
        },
    ).with_uncertainty(uncertainty)


def describe_photographs(
    run: TrainedRun, predicted: LabelledOutputs, constants: Postprocessing, out_of_fold: Path | None
) -> Reference | None:
    """The reference for `acne-edge drift`: the photographs that the constants were fitted on, with their counts.

    Of those that a cross-validation predicted, the ones that the run has learned too; others have no file here. None without any.
    """
    paths = {sample.name: sample.path for sample in (*run.learned, *run.held_out)}
    names = [s.name for s in run.held_out] if out_of_fold is None else OutOfFold.load(out_of_fold).names
    known = [i for i, name in enumerate(names) if name in paths]
    if not known:
        return None
    counts = [result.count for result in constants.interpret(predicted.take(np.array(known)))]
    return reference_of([paths[names[i]] for i in known], counts, run.size, constants.uncertainty.fitted_on)


def export_float(network: FusionModel, constants: Postprocessing, manifest: Manifest, images: Images) -> FloatModel:
    """Write the float model file. Raises ModelError if its outputs on the images differ from the checkpoint's."""
    reference = outputs(torch_runner(network, constants.calibration), images)
    graph = to_onnx(network, constants.calibration)
    data = attach(graph, manifest)
    apart = difference(reference, outputs(onnx_runner(data), images))
    logger.info(
        f"torch vs ONNX fp32 on {len(images)} images: " + "  ".join(f"{name} {value:.3g}" for name, value in apart.items())
    )
    if max(apart["grade_probs"], apart["count_probs"]) > PARITY:
        raise ModelError(f"the ONNX graph differs from the checkpoint by more than {PARITY:g}; see python -m export verify")
    return FloatModel(graph, manifest, data)


def exposures(photographs: int, least: int) -> tuple[float, ...]:
    """The exposures, `least` or more, in which so many photographs and their mirror images make `LEAST_VIEWS`, if they can."""
    return EXPOSURES[: max(least, -(-LEAST_VIEWS // (2 * photographs)))]


def evaluation_set(samples: Sequence[Sample], images: Images, exposures: Sequence[float], model: FloatModel) -> EvaluationSet:
    """Photographs and their mirror images in each exposure: more cases with the same labels, to distinguish versions."""
    exposed = [np.rint(images * gain).clip(0, 255).astype(np.uint8) for gain in exposures]
    views = [side for image in exposed for side in (image, image[:, :, ::-1])]
    grades, counts = (np.tile(labels, len(views)) for labels in ([s.grade for s in samples], [s.count for s in samples]))
    images = np.concatenate(views)
    reference = decode_all(outputs(onnx_runner(model.data), images), model.manifest)
    return EvaluationSet(images, grades, counts, reference, len(views))


def quantise(
    options: Options,
    recipe: Recipe,
    model: FloatModel,
    ranges: dict[str, Ranges],
    crops: CropSet,
    choice: EvaluationSet,
    judge: EvaluationSet,
    judges: str,
) -> WrittenModel:
    """Search for the best INT8 model of a recipe and write it. Raises GateError if none passes."""
    methods = METHODS if options.method == "auto" else (options.method,)
    found = search_int8(model.graph, ranges, crops.images, recipe, methods, model.manifest, choice, judge)
    record = quantisation_record(found, recipe, crops, choice, judge, judges)
    path = options.out / f"{options.name}-{recipe.suffix}.onnx"
    write(path, model.file(found.graph, replace(model.manifest, quantisation=record)))
    logger.info(f"{path}: {found.method}, {changes_line(found.losses)}")
    return WrittenModel(path, found.method, found.excluded, found.losses)


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{path}: cannot be made ({error.strerror})") from error
