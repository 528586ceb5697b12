"""`python -m export RUN --data DIR --calibration crops.npz --out DIR`: checkpoint -> ONNX -> INT8, checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from acne_edge.errors import AcneEdgeError, ModelError, UsageError
from acne_edge.grading import HAYASHI
from acne_edge.manifest import InputSpec, Manifest
from acne_edge.preprocess import DECODE_SCALE
from acne_edge.training.data import load_images, read_samples
from acne_edge.training.model import ModelConfig
from acne_edge.training.uncertainty import HeldOut, cross_fit, fit_decoding, fit_uncertainty
from export.graph import attach, load_network, to_onnx, write
from export.parity import compare, difference, onnx_runner, outputs, torch_runner
from export.quantize import METHODS, quantize

PARITY = 1e-4  # largest difference of a probability between torch and ONNX
LICENCE = "Weights: academic use only, as the ACNE04 data they were trained on. Code: Apache-2.0."
INTENDED_USE = (
    "Research on and development of tools that support dermatology professionals: lesion count and severity of facial acne "
    "vulgaris from one photograph of a half face. Not a medical device; not for diagnosis."
)


def main(
    run: Annotated[Path, typer.Argument(help="Directory of a training run.")],
    data: Annotated[Path, typer.Option(help="ACNE04 in the layout of its distribution.")],
    calibration: Annotated[Path, typer.Option(help="Calibration crops made by python -m calibration.")],
    out: Annotated[Path, typer.Option(help="Directory for the model files.")],
    name: Annotated[str, typer.Option(help="Model name.")] = "acne-edge-s",
    version: Annotated[str, typer.Option(help="Model version.")] = "0.1.0",
    method: Annotated[str, typer.Option(help="Calibration method: minmax, entropy or percentile.")] = "minmax",
    reduce_range: Annotated[bool, typer.Option(help="7-bit weights, for processors without VNNI.")] = True,
) -> None:
    """Export a run's model to ONNX and INT8, fit its constants on the run's validation images, and print the parity."""
    if method not in METHODS:
        raise UsageError(f"unknown calibration method {method!r}; choose one of: {', '.join(METHODS)}")
    model = load_network(run / "model.safetensors")
    results = _read_json(run / "run.json")
    crops = _read_crops(calibration, model.config.image_size)
    samples = read_samples(data, run / "val.txt")
    images = load_images(samples, model.config.image_size)
    labels = {"grades": [s.grade for s in samples], "counts": [s.count for s in samples]}

    reference = outputs(torch_runner(model), images)
    held_out = HeldOut(
        reference.grade_probs.astype(np.float64),
        reference.count_probs.astype(np.float64),
        reference.lesion_map.sum((1, 2), dtype=np.float64),
        np.array(labels["grades"]),
        np.array(labels["counts"]),
    )
    manifest = describe(name, version, model.config, results, held_out)
    graph = to_onnx(model)
    fp32 = attach(graph, manifest)
    fp32_outputs = outputs(onnx_runner(fp32), images)
    apart = difference(reference, fp32_outputs)
    typer.echo(f"torch vs ONNX fp32 on {len(images)} validation images: {_line(apart)}")
    if max(apart["grade_probs"], apart["count_probs"]) > PARITY:
        raise ModelError(f"the ONNX graph differs from the checkpoint by more than {PARITY:g}")

    int8_graph = quantize(graph, crops, method, reduce_range)
    recipe = {"recipe": "U8S8 QDQ per-channel", "method": method, "reduce_range": reduce_range, "crops": len(crops)}
    plain = attach(int8_graph, manifest)
    lost = compare(fp32_outputs, outputs(onnx_runner(plain), images), manifest, **labels)
    typer.echo(f"fp32 vs INT8: {_line(lost)}")
    final = Manifest(**{**vars(manifest), "quantisation": {**recipe, "against_fp32": lost}})
    out.mkdir(parents=True, exist_ok=True)
    write(out / f"{name}-fp32.onnx", fp32)
    write(out / f"{name}-int8.onnx", attach(int8_graph, final))
    typer.echo(f"{out}: {name}-fp32.onnx, {name}-int8.onnx")


def describe(name: str, version: str, config: ModelConfig, results: dict[str, Any], held_out: HeldOut) -> Manifest:
    """The manifest of a run's model, its constants fitted, and measured by cross-fitting, on the held-out images."""
    decoding = fit_decoding(held_out)
    fitted_on = f"{len(held_out.counts)} validation images held out of training, duplicates kept apart"
    uncertainty = fit_uncertainty(held_out, decoding, 0.9, fitted_on)
    return Manifest(
        name=name,
        version=version,
        input=InputSpec(config.image_size, config.image_size, decode_scale=DECODE_SCALE),
        count_bins=config.count_bins,
        scale=HAYASHI,
        decoding=decoding,
        uncertainty=uncertainty,
        licence=LICENCE,
        intended_use=INTENDED_USE,
        training={
            "dataset": "ACNE04 (Wu et al., ICCV 2019), open part",
            "lists": results["lists"],
            "settings": results["config"],
        },
        metrics={
            "split": f"validation: {len(held_out.counts)} images held out of training, duplicates kept apart; last epoch; "
            "decoding and calibration constants cross-fitted in 5 folds",
            **cross_fit(held_out, uncertainty.level),
        },
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read as a run's results ({error})") from error


def _read_crops(path: Path, size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    try:
        with np.load(path) as file:
            images = np.asarray(file["images"])
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"{path}: not a calibration set; make one with python -m calibration ({error})") from error
    if images.dtype != np.uint8 or images.shape[1:] != (size, size, 3):
        raise UsageError(f"{path}: crops are {images.dtype} {images.shape[1:]}; the model wants uint8 ({size}, {size}, 3)")
    return images


def _line(values: dict[str, float]) -> str:
    return "  ".join(f"{k} {v:.3g}" for k, v in values.items())


if __name__ == "__main__":
    try:
        typer.run(main)
    except AcneEdgeError as error:
        typer.echo(f"export: {error}", err=True)
        raise SystemExit(error.exit_code) from None
