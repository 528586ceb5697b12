"""The output `close_up`: whether brow or chin lies outside the photograph, by logistic regression on what the heads read.

A linear probe (Alain and Bengio, ICLR 2017 workshop): the network stays as it is, and the output is computed in float behind it.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from acne_edge.errors import ModelError, UsageError
from acne_edge.grading import CloseUp
from acne_edge.manifest import Manifest
from acne_edge.training.checkpoint import load_network
from acne_edge.training.data import Sample, load_images, read_samples
from acne_edge.training.data.splits import read_groups
from acne_edge.training.model import FusionModel, Normalize
from acne_edge.training.run import Run
from export import restamp
from export.familiarity import declared, heads_input, without
from export.graph import attach, read

OUTPUT = "close_up"
ALL = "NNEW_trainval_0.txt"  # the list of all photographs with public labels
JUDGE = "judge"  # the part of the told views that chooses nothing
PRECISION = 0.9  # of what the threshold flags among the others, cross-fitted, at least so much is a close-up
STRENGTHS = (0.003, 0.01, 0.03, 0.1)  # of regression; the one of the largest area under the ROC, cross-validated, is taken
FOLDS = 10
BATCH = 32


@dataclass(frozen=True)
class FittedView:
    """A network's probe, the threshold that goes with it, and what says which network that is."""

    weights: NDArray[np.float32]  # [D]
    bias: float
    close_up: CloseUp
    lists: Mapping[str, Any]  # the run's own, as its results and its model's manifest have them
    measured: Mapping[str, Any]  # on the part that judges

    def __call__(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Features [N, D] -> probabilities [N]."""
        return np.asarray(1 / (1 + np.exp(-(features.astype(np.float64) @ self.weights + self.bias))))

    def save(self, path: Path) -> None:
        """Write an `.npz` file."""
        about = {"close_up": vars(self.close_up), "lists": dict(self.lists), "measured": dict(self.measured), "bias": self.bias}
        np.savez_compressed(path, weights=self.weights, about=np.array(json.dumps(about)))

    @staticmethod
    def load(path: Path) -> FittedView:
        """Read what `save` wrote. Raises UsageError for anything else."""
        try:
            with np.load(io.BytesIO(path.read_bytes())) as file:
                about, weights = json.loads(str(file["about"])), file["weights"]
            return FittedView(weights, about["bias"], CloseUp(**about["close_up"]), about["lists"], about["measured"])
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise UsageError(f"{path}: not what python -m export view writes ({error})") from error


def fit(run: Path, data: Path, views: Path, out: Path) -> FittedView:
    """Fit a run's probe on photographs whose views were told by eye, judge it on the part `judge` of them, and write `out`.

    Args:
        run: folder of the finished run whose model files are to tell.
        data: ACNE04.
        views: CSV with the columns file, view (`close_up` or another word) and part.
        out: an `.npz` file, for `extend_shipped` and `python -m export model`.

    Raises UsageError for files that cannot be read or photographs that ACNE04's lists do not have.
    """
    told = read_views(views)
    known = {sample.name: sample for sample in read_samples(data, ALL)}
    missing = [name for name, _, _ in told if name not in known]
    if missing:
        raise UsageError(f"{views}: {missing[0]} is not in {ALL}")
    samples = [known[name] for name, _, _ in told]
    features = head_features(load_network(Run(run).model), samples)
    close, judges = np.array([view == OUTPUT for _, view, _ in told]), np.array([part == JUDGE for _, _, part in told])
    groups = read_groups([s.name for s in samples])
    weights, bias, threshold = fit_probe(features[~judges], close[~judges], groups[~judges])
    fitted_on = f"{int((~judges).sum())} photographs of ACNE04 whose views one reader told, {int(close[~judges].sum())} close-ups"
    found = FittedView(weights, bias, CloseUp(threshold, fitted_on), Run(run).results()["lists"], {})
    flagged = found(features[judges]) >= threshold
    measured = {
        "split": f"{int(judges.sum())} other photographs of the same reader; the network has learned to count on them",
        "close_ups": int(close[judges].sum()),
        "flagged": int(flagged.sum()),
        "flagged_close_ups": int((flagged & close[judges]).sum()),
    }
    found = replace(found, measured=measured)
    found.save(out)
    return found


def read_views(path: Path) -> list[tuple[str, str, str]]:
    """File, view and part of each photograph. Raises UsageError for a table without these columns."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            return [(row["file"], row["view"], row["part"]) for row in csv.DictReader(stream)]
    except (OSError, KeyError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not a table with the columns file, view, part ({error})") from error


def fit_probe(
    features: NDArray[np.floating], close: NDArray[np.bool_], groups: NDArray[np.int64]
) -> tuple[NDArray[np.float32], float, float]:
    """Weights [D], bias and threshold of a probe for features [N, D] of which some are `close` [N].

    The threshold is the least at which `PRECISION` of what is flagged is close, by probes that were fitted without the
    photograph's group. Raises UsageError if there is none.
    """
    folds = list(StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0).split(features, close, groups))
    found = []
    for strength in STRENGTHS:
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=5000))
        scores = cross_val_predict(probe, features, close, cv=folds, method="predict_proba")[:, 1]
        found.append((roc_auc_score(close, scores), strength, scores, probe))
    _, _, scores, probe = max(found, key=lambda one: one[:2])
    scaler, regression = probe.fit(features, close)
    order = np.argsort(-scores)
    precision = np.cumsum(close[order]) / np.arange(1, len(close) + 1)
    enough = np.flatnonzero(precision >= PRECISION)
    if not len(enough):
        raise UsageError("the features do not tell close-ups")
    weights = regression.coef_[0] / scaler.scale_
    bias = float(regression.intercept_[0] - weights @ scaler.mean_)
    return weights.astype(np.float32), bias, float(np.floor(scores[order[enough[-1]]] * 1e4) / 1e4)


def head_features(model: FusionModel, samples: Sequence[Sample]) -> NDArray[np.float32]:
    """What the heads read, [N, D], of photographs."""
    images, normalize, parts = load_images(samples, model.config.image_size), Normalize(), []
    hook = model.fuse[0].register_forward_hook(lambda module, given, result: parts.append(result))
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(images), BATCH):
            model(normalize(torch.from_numpy(images[start : start + BATCH])))
    hook.remove()
    return torch.cat(parts).numpy()


def append(graph: onnx.ModelProto, fitted: FittedView) -> onnx.ModelProto:
    """The graph with one more output, float32 [N] in 0..1. No other node changes. One that is there already is replaced.

    Raises ModelError for a graph whose features are not those of the probe.
    """
    extended = without(graph, OUTPUT)
    features = heads_input(extended)
    constants = {
        f"{OUTPUT}.weights": fitted.weights.astype(np.float32),
        f"{OUTPUT}.bias": np.array(fitted.bias, np.float32),
    }
    weights, bias = constants
    extended.graph.node.extend(
        [
            helper.make_node("MatMul", [features, weights], [f"{OUTPUT}.product"], f"{OUTPUT}.product"),
            helper.make_node("Add", [f"{OUTPUT}.product", bias], [f"{OUTPUT}.logit"], f"{OUTPUT}.logit"),
            helper.make_node("Sigmoid", [f"{OUTPUT}.logit"], [OUTPUT], OUTPUT),
        ]
    )
    return declared(extended, OUTPUT, constants, "probe")


def extended(graph: onnx.ModelProto, manifest: Manifest, fitted: FittedView) -> tuple[onnx.ModelProto, Manifest]:
    """The graph with that output, and the manifest that describes it. Raises ModelError if they are of another network."""
    if manifest.training.get("lists") != fitted.lists:
        raise ModelError(f"{manifest.name} {manifest.version} is not of the run that the view was fitted on")
    metrics = {**manifest.metrics, "view": dict(fitted.measured)}
    return append(graph, fitted), replace(manifest, close_up=fitted.close_up, metrics=metrics)


def extend_shipped(fitted: FittedView, model: Sequence[str] | None = None) -> list[str]:
    """Put the output into shipped models, all or those named; returns a line a model. See `restamp.replace_files`."""
    return restamp.replace_files(model, lambda file: attach(*extended(*read(file), fitted)))
