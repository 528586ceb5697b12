"""What a finished run can and cannot do: where it sees lesions, what it makes of clear skin, and whether it reads the source."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from acne_edge.errors import UsageError
from acne_edge.evaluation.labels import read_labels
from acne_edge.evaluation.metrics import bootstrap, count_metrics, expected_calibration_error, grade_metrics, risk_coverage
from acne_edge.fit.positions import measure_positions
from acne_edge.grading import Interpretation, decode_count
from acne_edge.training.checkpoint import load_network
from acne_edge.training.data import Sample, load_images, read_groups, read_samples
from acne_edge.training.loop import predict
from acne_edge.training.model import FusionModel, Normalize
from acne_edge.training.uncertainty import LEVEL, LabelledOutputs, cross_fitted, fit_calibration, fit_decoding

Outputs = dict[str, NDArray[np.float32]]  # grade_probs [N, G], count_probs [N, K], lesion_map [N, h, w]
HOSPITAL = (3112, 3456)  # pixels of the hospital's camera; other sizes came from the web


def analyse(runs: Sequence[Path], data: Path, part: str = "val") -> dict[str, Any]:
    """JSON results of runs, together, on the `val` or `test` photographs of each; see the functions below for each figure.

    A photograph that several runs held out, as some stand on two test lists, is judged by the first of them.
    """
    measured: list[_Measured] = []
    for run in runs:
        measured.append(_run(run, data, part, {s.name for m in measured for s in m.samples}))
    samples = [s for m in measured for s in m.samples]
    maps = np.concatenate([m.outputs["lesion_map"] for m in measured])
    labels = LabelledOutputs.join([_held_out(m.outputs, m.samples) for m in measured])
    results = cross_fitted(labels, LEVEL)
    probs = np.array([r.grade_probs for r in results])
    right = np.array([r.grade for r in results]) == labels.grades
    masks = {"all": np.ones(len(samples), bool)}
    masks["hospital"] = hospital = is_hospital(data, samples)
    masks["web"] = ~hospital
    met = [seen for run, m in zip(runs, measured, strict=True) if (seen := met_in_training(run, m.samples)) is not None]
    if len(met) == len(runs):
        masks["with a look-alike in training"] = seen = np.concatenate(met)
        masks["without a look-alike in training"] = ~seen
    probes = [source_probe(m.features, np.array([s.count for s in m.samples]), is_hospital(data, m.samples)) for m in measured]
    return {
        "part": part,
        "images": len(samples),
        "localisation": measure_positions(maps, [s.boxes for s in samples]),
        "clear_skin": clear_skin([m.clear for m in measured], labels),
        "calibration": {"ece": expected_calibration_error(labels.grades, probs), **risk_coverage(right, probs.max(1))},
        "subsets": {
            name: _figures(labels.take(np.nonzero(mask)[0]), [r for r, inside in zip(results, mask, strict=True) if inside])
            for name, mask in masks.items()
            if mask.any()
        },
        # Features of one network mean nothing to another.
        "source_probe": {name: float(np.mean([p[name] for p in probes])) for name in probes[0] if all(name in p for p in probes)},
    }


class _Measured(NamedTuple):
    """A run's photographs, and its network's outputs for them, for crops of them without a lesion, and its features of them."""

    samples: list[Sample]
    outputs: Outputs
    clear: Outputs | None
    features: NDArray[np.float32]


def _run(run: Path, data: Path, part: str, taken: set[str]) -> _Measured:
    samples = [s for s in read_samples(data, run / f"{part}.txt") if s.name not in taken]
    model = load_network(run / "model.safetensors")
    images = load_images(samples, model.config.image_size)
    crops = clear_crops(samples, images)
    clear = predict(model, crops, 32, torch.device("cpu")) if len(crops) else None
    return _Measured(samples, predict(model, images, 32, torch.device("cpu")), clear, features(model, images))


def _held_out(outputs: Outputs, samples: Sequence[Sample]) -> LabelledOutputs:
    return LabelledOutputs.of(outputs, [s.grade for s in samples], [s.count for s in samples])


def clear_crops(samples: Sequence[Sample], images: NDArray[np.uint8], seed: int = 0) -> NDArray[np.uint8]:
    """Crops of 30..50 % of the side, at the middle of the frame, that hold no lesion: as many images [n, S, S, 3] as have one."""
    rng = np.random.default_rng(seed)
    crops = []
    for sample, image in zip(samples, images, strict=True):
        if sample.boxes is None:
            continue
        for _ in range(20):
            side = rng.uniform(0.3, 0.5)
            low = rng.uniform(0.15, 0.85 - side, 2)
            apart = (sample.boxes[:, :2] > low + side) | (sample.boxes[:, 2:] < low)
            if apart.any(1).all():
                crops.append(_crop(image, low, side))
                break
    return np.array(crops, np.uint8)


def clear_skin(parts: Sequence[Outputs | None], labels: LabelledOutputs) -> dict[str, Any]:
    """What is counted where no lesion is, of the networks' outputs for `clear_crops`.

    By the lesion map, and as a device counts with constants fitted on `labels`, the outputs for the whole photographs.
    """
    clear = [LabelledOutputs.of(o, [0] * len(o["lesion_map"]), [0] * len(o["lesion_map"])) for o in parts if o is not None]
    if not clear:
        return {"crops": 0}
    outputs = LabelledOutputs.join(clear)
    calibration = fit_calibration(labels)
    decoding = fit_decoding(labels.calibrated(calibration))
    calibrated = outputs.calibrated(calibration)
    counts = np.array([decode_count(p, s, decoding) for p, s in zip(calibrated.count_probs, outputs.lesions, strict=True)])
    return {
        "crops": len(counts),
        "map_mean": float(outputs.lesions.mean()),
        "map_under_one": float((outputs.lesions < 1).mean()),
        "count_mean": float(counts.mean()),
        "count_under_one": float((counts < 1).mean()),
    }


def _crop(image: NDArray[np.uint8], low: NDArray[np.float64], side: float) -> NDArray[np.uint8]:
    from acne_edge.preprocess import resize

    size = len(image)
    x, y = (low * size).astype(int)
    return resize(np.ascontiguousarray(image[y : y + int(side * size), x : x + int(side * size)]), size, size)


def is_hospital(data: Path, samples: Sequence[Sample]) -> NDArray[np.bool_]:
    """Which photographs came from the hospital's camera, by the size that `images.csv` gives of the original."""
    with (data / "Classification" / "images.csv").open(newline="") as stream:
        size = {row["file"]: (int(row["original_width"]), int(row["original_height"])) for row in csv.DictReader(stream)}
    return np.array([size[s.name] == HOSPITAL for s in samples])


def features(model: FusionModel, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The fused features [N, D] that the heads read."""
    taken: list[torch.Tensor] = []
    hook = model.fuse.register_forward_hook(lambda module, inputs, output: taken.append(output))
    normalize = Normalize()
    with torch.inference_mode():
        for start in range(0, len(images), 32):
            model(normalize(torch.from_numpy(images[start : start + 32])))
    hook.remove()
    return torch.cat(taken).numpy()


def source_probe(features: NDArray[np.float32], counts: NDArray[np.int64], hospital: NDArray[np.bool_]) -> dict[str, float]:
    """How well a linear probe tells hospital from web, by area under the ROC curve over 5 folds: from features, from the count.

    What the true count alone gives away is confounding in the data; what features give beyond it, they read elsewhere.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if min(hospital.sum(), (~hospital).sum()) < 5:
        return {"web_share": float((~hospital).mean())}
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    auc = {}
    for name, x in (("features", features), ("count", counts[:, None].astype(np.float64))):
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01 if name == "features" else 1.0, max_iter=2000))
        scores = cross_val_predict(probe, x, hospital, cv=folds, method="decision_function")
        auc[f"auc_{name}"] = float(roc_auc_score(hospital, scores))
    return {"web_share": float((~hospital).mean()), **auc}


def met_in_training(run: Path, samples: Sequence[Sample]) -> NDArray[np.bool_] | None:
    """Which photographs have a look-alike (`subject_groups`) in the run's training list; None for photographs without groups."""
    trained = [label.name for label in read_labels(run / "train.txt")]
    try:
        groups = read_groups([*trained, *(s.name for s in samples)])
    except UsageError:
        return None
    return np.isin(groups[len(trained) :], groups[: len(trained)])


def _figures(labels: LabelledOutputs, results: Sequence[Interpretation]) -> dict[str, Any]:
    grades, lesions = np.array([r.grade for r in results]), np.array([r.count for r in results])

    def figures(index: NDArray[np.int64]) -> dict[str, float]:
        m = grade_metrics(labels.grades[index], grades[index], 4)
        return {k: m[k] for k in ("accuracy", "balanced_accuracy", "qwk")} | count_metrics(labels.counts[index], lesions[index])

    by_grade = np.bincount(labels.grades, minlength=4).tolist()
    return {"images": len(grades), "by_grade": by_grade, "figures": bootstrap(figures, len(grades))}
