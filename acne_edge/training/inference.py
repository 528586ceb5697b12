"""Runs a torch network on photographs, and measures it before any output calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from acne_edge.evaluation.metrics import count_metrics, grade_metrics
from acne_edge.grading import HAYASHI, SeverityScale, median
from acne_edge.training.data import Sample
from acne_edge.training.model import FusionModel, Normalize

Outputs = dict[str, NDArray[np.float32]]  # grade_probs [N, G], count_probs [N, K], lesion_map [N, h, w]


def predict(model: FusionModel, images: NDArray[np.uint8], batch_size: int, device: torch.device) -> Outputs:
    """Run uint8 images [N, S, S, 3] through the network: grade_probs [N, G], count_probs [N, K], lesion_map [N, h, w]."""
    normalize = Normalize().to(device)
    model.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(images), batch_size):
            x = normalize(torch.from_numpy(images[start : start + batch_size]).to(device))
            grade, count, lesions = model(x)
            parts.append([t.float().cpu().numpy() for t in (grade.softmax(1), count.softmax(1), lesions)])
    names = ("grade_probs", "count_probs", "lesion_map")
    return {name: np.concatenate(arrays) for name, arrays in zip(names, zip(*parts, strict=True), strict=True)}


def evaluate(outputs: Outputs, samples: Sequence[Sample], scale: SeverityScale = HAYASHI) -> dict[str, Any]:
    """Grade metrics from the grade head, from the count and combined; count metrics by median, mean and lesion map."""
    grades, counts = [s.grade for s in samples], [s.count for s in samples]
    from_count = outputs["count_probs"] @ scale.bands(outputs["count_probs"].shape[1])
    by_source = {"head": outputs["grade_probs"], "count": from_count, "combined": (outputs["grade_probs"] + from_count) / 2}
    decoded = {
        "median": np.array([median(p) for p in outputs["count_probs"]]),
        "mean": outputs["count_probs"] @ np.arange(outputs["count_probs"].shape[1]),
        "map": outputs["lesion_map"].sum((1, 2)),
    }
    return {
        "grade": {name: grade_metrics(grades, probs.argmax(1), probs.shape[1]) for name, probs in by_source.items()},
        "count": {name: count_metrics(counts, values) for name, values in decoded.items()},
    }


def flatten(metrics: dict[str, Any]) -> dict[str, float]:
    """The main figures of `evaluate`, for a log line."""
    grade, count = metrics["grade"], metrics["count"]
    row = {f"accuracy_{name}": part["accuracy"] for name, part in grade.items()}
    row |= {"qwk": grade["combined"]["qwk"], "balanced_accuracy": grade["combined"]["balanced_accuracy"]}
    return row | {f"mae_{name}": part["mae"] for name, part in count.items()} | {"rmse_mean": count["mean"]["rmse"]}
