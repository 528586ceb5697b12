"""Checkpoint -> ONNX -> INT8 -> engine, checked at every step; see `python -m export --help`.

Exit codes: 0 ok, 1 a file cannot be written, 2 usage (arguments, checkpoint, calibration set, missing package), 3 a photograph
that cannot be used, 4 a model that is refused (no manifest, external data, custom operators, a gate or a tolerance not met).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from acne_edge import console
from acne_edge.errors import ModelError, UsageError
from acne_edge.evaluation.outcome import summary
from acne_edge.evaluation.tables import changes_line
from acne_edge.files import write
from acne_edge.fit.constants import LEVEL
from acne_edge.fit.outputs import LabelledOutputs, OutOfFold
from acne_edge.grading import HAYASHI
from acne_edge.manifest import InputSpec, Manifest
from acne_edge.preprocess import DECODE_SCALE
from acne_edge.training.calibrate import Postprocessing, cross_fitted
from acne_edge.training.checkpoint import load_network
from acne_edge.training.data import Sample, load_images, read_samples
from acne_edge.training.model import FusionModel, ModelConfig, OutputCalibration
from acne_edge.training.run import Run, read_json
from calibration import crops as crop_sets
from calibration import report as reports
from calibration.ranges import METHODS, load_or_collect
from export.card import write_card
from export.evaluate import evaluate
from export.gate import GateError, Labelled, granularity, record, search
from export.graph import attach, read, to_onnx
from export.parity import Runner, decode_all, difference, onnx_runner, outputs, simulated_runner, torch_runner
from export.positions import positions
from export.quantize import cpu, tensorrt
from export.register import register
from export.restamp import patched, restamp

CHOICE = 300  # photographs to choose ranges and layers on; as many judge, where none were held out of training
EXPOSURES = (1.0, 0.9)  # that each photograph judges in
PARITY = 1e-4  # largest difference of a probability between torch and ONNX
LICENCE = "Weights: academic use only, as the ACNE04 data they were trained on. Code: Apache-2.0."
INTENDED_USE = (
    "Research on and development of tools that support dermatology professionals: lesion count and severity of facial acne "
    "vulgaris from one photograph of a half face. Not a medical device; not for diagnosis."
)

app = console.application("Turn a trained checkpoint into model files for devices, and prove what they are worth.")


@app.command()
def model(
    run: Annotated[Path, typer.Argument(help="Directory of a training run.")],
    data: Annotated[Path, typer.Option(help="ACNE04 in the layout of its distribution.")],
    calibration: Annotated[Path, typer.Option(help="Calibration crops made by python -m calibration crops.")],
    out: Annotated[Path, typer.Option(help="Directory for the model files and the cached ranges.")],
    name: Annotated[str, typer.Option(help="Model name.")] = "acne-edge-s",
    version: Annotated[str, typer.Option(help="Model version.")] = "0.1.0",
    method: Annotated[str, typer.Option(help="Calibration method: auto, minmax, percentile or entropy.")] = "auto",
    reduce_range: Annotated[bool, typer.Option(help="7-bit weights, for processors without VNNI.")] = True,
    out_of_fold: Annotated[
        Path | None,
        typer.Option(
            help="Of a run without validation images: out_of_fold.npz of acne-edge crossval or refit, for the constants."
        ),
    ] = None,
    patch: Annotated[
        Path | None, typer.Option(help="JSON merge patch of the manifest, as of python -m export positions.")
    ] = None,
) -> None:
    """Export a run's model to float ONNX and to INT8 for CPUs and for TensorRT; an INT8 file that fails its gate is not written.

    Writes NAME-fp32.onnx, NAME-int8.onnx, NAME-int8-trt.onnx, ranges.json and ranges.png.
    """
    if method not in ("auto", *METHODS):
        raise UsageError(f"unknown calibration method {method!r}; choose one of: auto, {', '.join(METHODS)}")
    files = Run(run)
    network = load_network(files.model)
    results = files.results()
    crops = crop_sets.load(calibration, network.config.image_size)
    trained = read_samples(data, files.list_file("train"))
    held = read_samples(data, files.list_file("val")) if files.has("val") else []
    if bool(held) == (out_of_fold is not None):
        raise UsageError(
            f"{run}: {'has' if held else 'has no'} validation images, so it takes {'no' if held else 'an'} --out-of-fold"
        )
    crop_sets.refuse_scored(crops.names, [s.name for s in held], str(calibration))
    free = _free(trained, [*crops.names, *(s.name for s in held)], str(calibration))
    number = min(CHOICE, len(free) if held else len(free) // 2)
    choice_samples, samples = free[:number], held or free[number : 2 * number]
    judges = "held out of training, calibration and choice" if held else "of training, held out of calibration and choice"
    images = load_images(samples, network.config.image_size)

    predicted, origin = _held_out_outputs(network, samples, images, results, out_of_fold)
    constants = Postprocessing.fit(predicted, LEVEL, f"{len(predicted.counts)} photographs {origin}")
    manifest = describe(name, version, network.config, results, predicted, constants)
    manifest = patched(manifest, read_json(patch, "a patch of a manifest")) if patch else manifest
    reference = outputs(torch_runner(network, constants.calibration), images)
    graph = to_onnx(network, constants.calibration)
    fp32 = attach(graph, manifest)
    fp32_outputs = outputs(onnx_runner(fp32), images)
    apart = difference(reference, fp32_outputs)
    typer.echo(f"torch vs ONNX fp32 on {len(images)} images: {_line(apart)}")
    if max(apart["grade_probs"], apart["count_probs"]) > PARITY:
        raise ModelError(f"the ONNX graph differs from the checkpoint by more than {PARITY:g}; see python -m export verify")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{out}: cannot be made ({error.strerror})") from error
    write(out / f"{name}-fp32.onnx", fp32)

    ranges, said = load_or_collect(out / "ranges.json", graph, crops, manifest.input)
    typer.echo(said)
    reports.draw(out / "ranges.png", graph, ranges)
    judge = _views(samples, images, EXPOSURES, fp32, manifest)
    choice = _views(choice_samples, load_images(choice_samples, network.config.image_size), (1.0,), fp32, manifest)
    for what, labelled in (("choice", choice), ("judge", judge)):
        typer.echo(granularity(what, len(labelled.images)))
    methods = METHODS if method == "auto" else (method,)
    failed = []
    for recipe in (cpu(reduce_range), tensorrt()):
        target = out / f"{name}-{recipe.suffix}.onnx"
        try:
            gated = search(graph, ranges, crops.images, recipe, methods, manifest, choice, judge, typer.echo)
        except GateError as error:
            failed.append(str(error))
            continue
        quantisation = record(gated, recipe, crops, choice, judge, judges)
        write(target, attach(gated.graph, Manifest(**{**vars(manifest), "quantisation": quantisation})))
        typer.echo(f"{target}: {gated.method}, {changes_line(gated.losses)}")
    if failed:
        raise GateError("; ".join(failed))


@app.command()
def engine(
    file: Annotated[Path, typer.Argument(metavar="MODEL", help="NAME-int8-trt.onnx for INT8, NAME-fp32.onnx for FP16.")],
    target: Annotated[str, typer.Option(help="current, or with TensorRT for RTX: sm86, sm89, sm120.")] = "current",
    precision: Annotated[str | None, typer.Option(help="int8 or fp16 [what the file is for].")] = None,
    out: Annotated[Path | None, typer.Option(help="Engine file [beside the model].")] = None,
    timing_cache: Annotated[Path | None, typer.Option(help="TensorRT's measurements, to make a second build fast.")] = None,
) -> None:
    """Build a TensorRT engine file."""
    from acne_edge.backends.tensorrt.build import build
    from acne_edge.backends.tensorrt.engine_file import unpack

    read(file)
    data = build(file.read_bytes(), precision, target, timing_cache)
    key = unpack(data).key
    out = out or file.with_name(f"{file.stem}-{target}.engine")
    write(out, data)
    typer.echo(f"{out}: {key.precision} for {key.gpu} GPU of compute capability {key.compute_capability}, {key.tensorrt}")


@app.command()
def verify(
    run: Annotated[Path, typer.Argument(help="Directory of a training run.")],
    files: Annotated[list[Path], typer.Option("--model", help="Model files to compare with the checkpoint (repeatable).")],
    data: Annotated[Path | None, typer.Option(help="ACNE04, for photographs of the run's validation or training list.")] = None,
    number: Annotated[int, typer.Option(min=1, help="Photographs.")] = 32,
    with_engine: Annotated[bool, typer.Option("--engine", help="Run the models in TensorRT too, on this machine's GPU.")] = False,
) -> None:
    """Compare model files with the checkpoint, output by output, on photographs and on adversarial images.

    On failure, names the first layer that diverges.
    """
    from export import verify as checks

    network = load_network(Run(run).model)
    size = network.config.image_size
    sets = checks.adversarial(size)
    if data is not None:
        shown = Run(run).list_file("val" if Run(run).has("val") else "train")
        sets = {"photographs": load_images(read_samples(data, shown)[:number], size)} | sets
    output_calibration = _calibration_of(files)
    reference = {name: outputs(torch_runner(network, output_calibration), images) for name, images in sets.items()}
    versions = [version for file in files for version in _versions(file, size, with_engine)]
    graph, failed = None, []
    for title, runner, proto, exact in versions:
        found = [
            row
            for name, images in sets.items()
            for row in checks.rows(name, reference[name], outputs(runner, images), checks.EXACT if exact else checks.REDUCED)
        ]
        typer.echo(f"{title}")
        for row in found:
            verdict = "ok" if row.ok else "FAILS"
            typer.echo(f"  {row.images:<12} {row.output:<12} {row.difference:>10.2e}  (at most {row.tolerance:g})  {verdict}")
        wrong = next((row for row in found if not row.ok), None)
        if wrong is None:
            continue
        image = sets[wrong.images][:1]
        if exact:
            layer = checks.first_diverging_layer_from_torch(network, proto, image, checks.LAYER_EXACT, output_calibration)
        else:
            graph = graph or to_onnx(network, output_calibration)
            layer = checks.first_diverging_layer(graph, proto, image, checks.LAYER_REDUCED)
        failed.append(f"{title} differs in {wrong.output} on {wrong.images}; first diverging layer: {layer or 'none alone'}")
    if failed:
        raise ModelError("; ".join(failed))


def _calibration_of(files: Sequence[Path]) -> OutputCalibration | None:
    """That of the model files, which were fitted when they were exported and are not in the checkpoint."""
    found = [read(file)[1].training.get("output_calibration") for file in files]
    if any(other != found[0] for other in found):
        raise UsageError("the model files differ in their output calibration: they come of several exports; verify them apart")
    return OutputCalibration.from_dict(found[0])


def _versions(file: Path, size: int, with_engine: bool) -> list[tuple[str, Runner, Any, bool]]:
    """A model file in each runtime that can run it: title, runner, graph, and whether it must agree to rounding."""
    proto, manifest = read(file)
    if manifest.input.height != size:
        raise UsageError(f"{file}: takes {manifest.input.height} pixels a side; the checkpoint takes {size}")
    content = file.read_bytes()
    recipe = str(manifest.quantisation.get("recipe", ""))
    if recipe.startswith("S8S8"):
        found = [(f"{file.name} simulated", simulated_runner(content), proto, False)]
    else:
        found = [(f"{file.name} in ONNX Runtime", onnx_runner(content), proto, not recipe)]
    if with_engine and not recipe.startswith("U8S8"):
        from acne_edge.backends.tensorrt.backend import TensorRTBackend

        found.append((f"{file.name} in TensorRT", TensorRTBackend(content).run, proto, False))
    return found


@app.command()
def bench(
    run: Annotated[Path, typer.Argument(help="Directory of a training run.")],
    calibration: Annotated[Path, typer.Option(help="Calibration crops: input of the runs, and what NNCF calibrates on.")],
    out: Annotated[Path, typer.Option(help="Directory of the exported model files.")],
    name: Annotated[str, typer.Option(help="Model name.")] = "acne-edge-s",
    threads: Annotated[int, typer.Option(min=1, help="Threads.")] = 2,
    rounds: Annotated[int, typer.Option(min=5, help="Timed calls of each.")] = 100,
) -> None:
    """Print a table of the time an image takes: PyTorch, ONNX Runtime and, where installed, OpenVINO, taking turns."""
    from export import bench as timing

    network = load_network(Run(run).model)
    crops = crop_sets.load(calibration, network.config.image_size)
    proto, _ = read(out / f"{name}-int8.onnx")
    symmetric, fp32 = out / f"{name}-int8-trt.onnx", out / f"{name}-fp32.onnx"
    for file in (symmetric, fp32):
        read(file)
    files = [file.read_bytes() for file in (fp32, out / f"{name}-int8.onnx", symmetric)]
    calls = timing.contestants(network, *files, crops.images, threads)
    typer.echo(f"milliseconds, batch 1, {threads} threads, {rounds} interleaved calls each")
    typer.echo(timing.table(timing.interleaved(calls, rounds), "ONNX Runtime fp32"))
    typer.echo("\nmilliseconds by operator, as ONNX Runtime fused them")
    typer.echo(timing.operator_table(*(timing.operators(file, crops.images, threads, rounds) for file in files[:2])))
    typer.echo(f"\nlayers that the INT8 file computes in float: {', '.join(timing.float_layers(proto)) or 'none'}")


def describe(
    name: str,
    version: str,
    config: ModelConfig,
    results: dict[str, Any],
    held_out: LabelledOutputs,
    constants: Postprocessing,
) -> Manifest:
    """The manifest of a run's model, whose constants were fitted on `held_out`; measured there by cross-fitting."""
    uncertainty = constants.uncertainty
    return Manifest(
        name=name,
        version=version,
        input=InputSpec(config.image_size, config.image_size, decode_scale=DECODE_SCALE),
        count_bins=config.count_bins,
        scale=HAYASHI,
        decoding=constants.decoding,
        uncertainty=uncertainty,
        licence=LICENCE,
        intended_use=INTENDED_USE,
        training={
            "dataset": "ACNE04 (Wu et al., ICCV 2019), open part",
            "lists": results["lists"],
            "settings": results["config"],
            "output_calibration": constants.calibration.to_dict(),  # in the graph; here for people, and for `verify`
        },
        metrics={
            "split": f"{uncertainty.fitted_on}; last epoch; decoding and calibration constants cross-fitted in 5 folds",
            **summary(cross_fitted(held_out, uncertainty.level)),
        },
    )


def _held_out_outputs(
    network: FusionModel, samples: list[Sample], images: NDArray[np.uint8], results: dict[str, Any], out_of_fold: Path | None
) -> tuple[LabelledOutputs, str]:
    """What is predicted for photographs that training had not seen, and where these came from: held out, or out of fold."""
    if out_of_fold is None:
        predicted = outputs(torch_runner(network), images)
        return LabelledOutputs.of(predicted._asdict(), samples), "held out of training, duplicates kept apart"
    folds = OutOfFold.load(out_of_fold)
    folds.check(results["config"])
    number = len(np.unique(folds.folds))
    return folds.data, f"held out, each predicted by one of {number} runs of these settings without it"


def _free(samples: Sequence[Sample], used: Sequence[str], calibration: str) -> list[Sample]:
    """Training photographs that were not calibrated on, in random order."""
    free = [sample for sample in samples if sample.name not in set(used)]
    if len(free) < 2:
        raise UsageError(
            f"{calibration}: every training photograph is among the crops; draw fewer, to leave some to choose and judge on"
        )
    return [free[i] for i in np.random.default_rng(0).permutation(len(free))]


def _views(
    samples: Sequence[Sample], images: NDArray[np.uint8], exposures: Sequence[float], fp32: bytes, manifest: Manifest
) -> Labelled:
    """Photographs and their mirror images, which show the other half of a face, in each exposure: more cases to tell versions
    apart by, of the same labels.
    """
    exposed = [np.rint(images * gain).clip(0, 255).astype(np.uint8) for gain in exposures]
    views = [side for image in exposed for side in (image, image[:, :, ::-1])]
    grades, counts = (np.tile(labels, len(views)) for labels in _labels(samples))
    images = np.concatenate(views)
    return Labelled(images, grades, counts, decode_all(outputs(onnx_runner(fp32), images), manifest), len(views))


def _labels(samples: Sequence[Sample]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.array([s.grade for s in samples]), np.array([s.count for s in samples])


def _line(values: dict[str, float]) -> str:
    return "  ".join(f"{k} {v:.3g}" for k, v in values.items())


app.command("register")(register)
app.command("restamp")(restamp)
app.command("positions")(positions)
app.command("card")(write_card)
app.command("evaluate")(evaluate)

if __name__ == "__main__":
    console.run(app, "export")
