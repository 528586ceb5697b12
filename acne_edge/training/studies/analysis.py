"""Analyses finished runs: where they see lesions, what they count on clear skin, and whether they detect the source."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from acne_edge.errors import UsageError
from acne_edge.evaluation.labels import Label
from acne_edge.evaluation.metrics import risk_coverage
from acne_edge.evaluation.outcome import Outcome, calibration, with_intervals
from acne_edge.fit.constants import decode_counts, fit_decoding
from acne_edge.fit.outputs import LabelledOutputs
from acne_edge.fit.positions import measure_positions
from acne_edge.grading import HAYASHI
from acne_edge.training.calibrate import calibrated, cross_fitted, fit_calibration
from acne_edge.training.checkpoint import load_network
from acne_edge.training.data import Sample, image_sources, load_images, read_groups, read_samples
from acne_edge.training.inference import predict
from acne_edge.training.model import FusionModel, Normalize
from acne_edge.training.run import Run

Outputs = dict[str, NDArray[np.float32]]  # grade_probs [N, G], count_probs [N, K], lesion_map [N, h, w]


def analyse(runs: Sequence[Path], data: Path, part: str = "val") -> dict[str, Any]:
    """JSON-ready results of runs, taken together, on the `val` or `test` photographs of each; the functions below explain them.

    If several runs held out a photograph (some are on two test lists), the first one judges it.
    """
    measured: list[_Measured] = []
    for run in runs:
        measured.append(_run(Run(run), data, part, {s.name for m in measured for s in m.samples}))
    samples = [s for m in measured for s in m.samples]
    maps = np.concatenate([m.outputs["lesion_map"] for m in measured])
    labels = LabelledOutputs.join([LabelledOutputs.of(m.outputs, m.samples) for m in measured])
    outcome = cross_fitted(labels)
    masks = {"all": np.ones(len(samples), bool)}
    masks["hospital"] = hospital = is_hospital(data, samples)
    masks["web"] = ~hospital
    met = [seen for run, m in zip(runs, measured, strict=True) if (seen := met_in_training(Run(run), m.samples)) is not None]
    if len(met) == len(runs):
        masks["with a look-alike in training"] = seen = np.concatenate(met)
        masks["without a look-alike in training"] = ~seen
    masks |= _bands(outcome.count, "counted") | _bands(outcome.true_count, "labelled")
    probes = [source_probe(m.features, np.array([s.count for s in m.samples]), is_hospital(data, m.samples)) for m in measured]
    return {
        "part": part,
        "images": len(samples),
        "localisation": measure_positions(maps, [s.boxes for s in samples]),
        "clear_skin": clear_skin([m.clear for m in measured], labels),
        "calibration": {
            **calibration(outcome),
            **risk_coverage(outcome.grade == outcome.true_grade, outcome.grade_probs.max(1)),
        },
        "subsets": {name: _subset(outcome.take(np.nonzero(mask)[0])) for name, mask in masks.items() if mask.any()},
        # Features are comparable only within one network.
        "source_probe": {name: float(np.mean([p[name] for p in probes])) for name in probes[0] if all(name in p for p in probes)},
    }


def _bands(count: NDArray[Any], how: str) -> dict[str, NDArray[np.bool_]]:
    """Masks of the photographs [N] on which so many lesions are counted, or labelled, as a grade has."""
    grades, lower = np.array([HAYASHI.grade(c) for c in count]), HAYASHI.lower
    names = [f"{low} to {high - 1} {how}" for low, high in pairwise(lower)] + [f"over {lower[-1] - 1} {how}"]
    return {name: grades == grade for grade, name in enumerate(names)}


class _Measured(NamedTuple):
    """A run's photographs, and its network's outputs and features for them, and its outputs for crops without a lesion."""

    samples: list[Sample]
    outputs: Outputs
    clear: Outputs | None
    features: NDArray[np.float32]


def _run(run: Run, data: Path, part: str, taken: set[str]) -> _Measured:
    samples = [s for s in read_samples(data, run.list_file(part)) if s.name not in taken]
    model = load_network(run.model)
    images = load_images(samples, model.config.image_size)
    crops = clear_crops(samples, images)
    clear = predict(model, crops, 32, torch.device("cpu")) if len(crops) else None
    return _Measured(samples, predict(model, images, 32, torch.device("cpu")), clear, features(model, images))


def clear_crops(samples: Sequence[Sample], images: NDArray[np.uint8], seed: int = 0) -> NDArray[np.uint8]:
    """Lesion-free crops of 30..50 % of the side near the middle of the frame: [n, S, S, 3], one from each image that has one."""
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
    """Lesions counted where there are none, from the networks' outputs for `clear_crops`.

    Once by the lesion map, and once as a device counts, with constants fitted on `labels`, the outputs for whole photographs.
    """
    clear = [LabelledOutputs.of(o, [Label("", 0, 0)] * len(o["lesion_map"])) for o in parts if o is not None]
    if not clear:
        return {"crops": 0}
    outputs = LabelledOutputs.join(clear)
    fitted = fit_calibration(labels)
    counts = decode_counts(calibrated(outputs, fitted), fit_decoding(calibrated(labels, fitted)))
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
    """Which photographs came from the hospital's camera; the others came from the web.

    Raises UsageError if the source of one is not known.
    """
    sources = image_sources(data)
    missing = [s.name for s in samples if s.name not in sources]
    if missing:
        raise UsageError(f"{data}: Classification/images.csv does not say where {missing[0]} came from")
    return np.array([sources[s.name] == "hospital" for s in samples])


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
    """Area under the ROC curve of a linear probe for hospital against web, over 5 folds: from features, and from the count.

    The true count's own score shows confounding in the data; a higher score of the features comes from other information.
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


def met_in_training(run: Run, samples: Sequence[Sample]) -> NDArray[np.bool_] | None:
    """Which photographs have one of the same subject group in the run's training list; None for photographs without groups."""
    trained = [label.name for label in run.labels("train")]
    try:
        groups = read_groups([*trained, *(s.name for s in samples)])
    except UsageError:
        return None
    return np.isin(groups[len(trained) :], groups[: len(trained)])


def _subset(outcome: Outcome) -> dict[str, Any]:
    by_grade = np.bincount(outcome.true_grade, minlength=outcome.grade_probs.shape[1]).tolist()
    return {"images": len(outcome), "by_grade": by_grade, "figures": with_intervals([outcome])}
