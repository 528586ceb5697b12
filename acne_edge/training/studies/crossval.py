"""Cross-validation: one resumable run per row of settings and fold, and tables in the form of the acne-grading literature.

A fold's test list is evaluated once, after the last epoch. Decoding, temperature and conformal constants are fitted on the fold's
inner validation images. If it has none, they are fitted on the other folds' predictions for their own test images. So no image
influences the constants that it is judged by.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from acne_edge.errors import UsageError
from acne_edge.evaluation.bootstrap import REPEATS
from acne_edge.evaluation.metrics import confusion_matrix, risk_coverage
from acne_edge.evaluation.outcome import Outcome, figures, per_grade, with_intervals
from acne_edge.evaluation.tables import cell, number, strict
from acne_edge.fit.constants import LEVEL
from acne_edge.fit.outputs import LabelledOutputs, OutOfFold
from acne_edge.grading import HAYASHI
from acne_edge.training.calibrate import Postprocessing
from acne_edge.training.config import TrainConfig, renamed
from acne_edge.training.loop import Trainer
from acne_edge.training.run import Run, read_json, shared_settings

Overrides = Mapping[str, Any]  # settings in which a row differs from those that all rows share

logger = logging.getLogger(__name__)

WITHOUT_BOXES: Overrides = {"density_weight": 0.0, "zoom": 0.0, "mix": 0.0}
STUDIES: dict[str, dict[str, Overrides]] = {
    "methods": {"ViT": {"method": "vit"}, "ResNet": {"method": "resnet"}, "fusion": {}},
    "losses": {
        "LDL": {},
        "LDL-grade": {"loss": "ldl-grade"},
        "LDS": {"loss": "lds", "lam": 0.3},
        "L2": {"loss": "l2"},
        "cross-entropy": {"loss": "ce"},
    },
    "optimizers": {"Adam": {}, "SGD": {"optimizer": "sgd", "lr": 0.01, "weight_decay": 5e-4}},
    "denoising": {"none": {}, "median": {"denoise": "median"}, "bilateral": {"denoise": "bilateral"}},
    "boxes": {"with boxes": {}, "without boxes": WITHOUT_BOXES},
    "peers": {
        "ViT": {"method": "vit"},
        "ResNet": {"method": "resnet"},
        "fusion": {},
        "LDL": {"method": "resnet", **WITHOUT_BOXES},  # label distributions on a ResNet (Wu et al., ICCV 2019)
    },
}
FOLDS = (1, 2, 3, 4)
COVERAGES = (0.5, 0.7, 0.8, 0.9, 1.0)  # the tables give the error of these shares of the most confident photographs


def fold_run(out: Path, config: TrainConfig, overrides: Overrides) -> Run:
    """The run of a row's fold. Its folder's name follows from the settings, so studies share runs with the same settings."""
    name = "-".join(f"{key}={value}" for key, value in sorted(overrides.items())) or "base"
    return Run(out / config.protocol / name / f"fold-{config.cross_validation}")


def fold_configs(base: TrainConfig, overrides: Overrides) -> dict[int, TrainConfig]:
    """The settings of a row on each fold."""
    return {fold: TrainConfig.from_dict({**base.to_dict(), **overrides, "cross_validation": fold}) for fold in FOLDS}


def finished_runs(base: TrainConfig, overrides: Overrides, out: Path) -> dict[int, Run]:
    """The finished runs of a row, by fold."""
    configs = fold_configs(base, overrides)
    runs = {fold: fold_run(out, config, overrides) for fold, config in configs.items()}
    return {fold: run for fold, run in runs.items() if finished(run, configs[fold])}


def finished(run: Run, config: TrainConfig) -> bool:
    """Whether a run has ended. Raises UsageError if it ended with other settings."""
    if run.finished and TrainConfig.from_dict(run.results()["config"]) != config:
        raise UsageError(f"{run.path}: holds a run with other settings; choose another --out")
    return run.finished


def train_rows(
    base: TrainConfig,
    rows: Mapping[str, Overrides],
    folds: Iterable[int],
    data: Path,
    weights: Path | None,
    out: Path,
    device: str = "auto",
    teacher: Path | None = None,
) -> None:
    """Train every row on every fold; finished runs are kept, and a stopped run is resumed.

    `weights` is a folder of ImageNet weights, the folder of an earlier cross-validation whose runs are continued, or None. A
    fold's network learns from the network of the same fold in the cross-validation `teacher`, which has not seen its test list.
    """
    for fold in folds:
        for label, overrides in rows.items():
            config = TrainConfig.from_dict({**base.to_dict(), **overrides, "cross_validation": fold})
            run = fold_run(out, config, overrides)
            if finished(run, config):
                continue
            logger.info("%s, fold %d, %s protocol: %s", label, fold, config.protocol, run.path)
            begun = initial_weights(weights, config, overrides)
            taught_by = None if teacher is None else initial_weights(teacher, config, {})
            Trainer(config, data, run.path, begun, device, teacher=taught_by).fit(resume=True)
            run.forget_last()


def initial_weights(weights: Path | None, config: TrainConfig, overrides: Overrides) -> Path | None:
    """The folder of ImageNet weights, or the model of the same row and fold where `weights` is an earlier cross-validation."""
    if weights is None or not (weights / config.protocol).is_dir():
        return weights
    model = fold_run(weights, config, overrides).model
    if not model.is_file():
        raise UsageError(f"{model}: there is no such run to continue from; finish the earlier cross-validation first")
    return model


def constants_data(runs: Mapping[int, Run], fold: int) -> LabelledOutputs:
    """The outputs that a fold's constants are fitted on: its validation images, or the other folds' test images without its own.

    Raises UsageError if there are neither.
    """
    if runs[fold].has("val"):
        return runs[fold].outputs("val")
    own = {label.name for label in runs[fold].labels("test")}
    parts = []
    for run in (run for other, run in runs.items() if other != fold):
        keep = [i for i, label in enumerate(run.labels("test")) if label.name not in own]
        parts.append(run.outputs("test").take(np.array(keep)))
    if not parts:
        raise UsageError(
            f"{runs[fold].path}: held nothing out and is the only fold, so nothing can be calibrated; train a second one"
        )
    return LabelledOutputs.join(parts)


def summarize(
    base: TrainConfig, rows: Mapping[str, Overrides], folds: Iterable[int], out: Path, repeats: int = REPEATS
) -> dict[str, Any]:
    """JSON-ready results of the finished runs under `out`; rows without finished runs are left out.

    If a row's runs are gone from `out`, its results in an earlier table with the same settings and folds are kept.
    """
    folds = sorted(set(folds))
    table, earlier = [], earlier_rows(base, out)
    for label, overrides in rows.items():
        runs = finished_runs(base, overrides, out)
        asked = [fold for fold in runs if fold in folds]
        kept = [row for row in earlier if row["overrides"] == overrides and row["folds"] == folds]
        if kept and len(asked) < len(folds):
            table.append({**kept[0], "row": label})
        elif asked:
            table.append({"row": label, "overrides": dict(overrides), **_measured(runs, asked, repeats)})
    return {"protocol": base.protocol, "base": base.to_dict(), "rows": strict(table)}


def _measured(runs: Mapping[int, Run], folds: list[int], repeats: int) -> dict[str, Any]:
    """A row's figures on the test images of its `folds`, each fold with constants fitted on other images."""
    parts: dict[int, Outcome] = {}
    for fold in folds:
        constants = Postprocessing.fit(constants_data(runs, fold), LEVEL, "images outside the fold's test list")
        parts[fold] = constants.outcome(runs[fold].outputs("test"))
    joined = Outcome.join(list(parts.values()))
    curve = risk_coverage(joined.grade == joined.true_grade, joined.grade_probs.max(1))
    ended = [runs[fold].results() for fold in folds]
    return {
        "folds": folds,
        "images": len(joined),
        "figures": with_intervals([joined], repeats),
        "per_fold": {str(fold): figures(part) for fold, part in parts.items()},
        "per_grade": per_grade(joined),
        "confusion": confusion_matrix(joined.true_grade, joined.grade, joined.grade_probs.shape[1]).tolist(),
        "risk_at_coverage": {f"{c:.1f}": float(np.interp(c, curve["coverage"], curve["risk"])) for c in COVERAGES},
        "aurc": curve["aurc"],
        "trained_on": [r["lists"]["train"]["n"] for r in ended],
        "seconds": sum(r["seconds"] for r in ended),
        "environment": ended[0]["environment"],
    }


def earlier_rows(base: TrainConfig, out: Path) -> list[dict[str, Any]]:
    """The rows of all tables in `out` whose runs had the settings `base`. Raises UsageError for an unreadable table."""
    rows: list[dict[str, Any]] = []
    for path in sorted(out.glob(f"*-{base.protocol}*.json")):
        table = read_json(path, "a table of acne-edge crossval; move it away")
        try:
            found = table["rows"] if TrainConfig.from_dict(table["base"]) == base else []
            rows += [{**row, "overrides": renamed(row["overrides"]), "folds": row["folds"]} for row in found]
        except (KeyError, TypeError) as error:
            raise UsageError(f"{path}: cannot be read as a table of acne-edge crossval; move it away ({error!r})") from error
    return rows


def table_name(study: str, base: TrainConfig, folds: Iterable[int]) -> str:
    """The name of a study's tables; tables of some folds have another name than those of all folds."""
    some = sorted(set(folds))
    return f"{study}-{base.protocol}" + ("" if some == sorted(FOLDS) else f"-fold-{'-'.join(map(str, some))}")


def write_out_of_fold(base: TrainConfig, rows: Mapping[str, Overrides], out: Path) -> None:
    """Write, for each row that is finished on all folds, its runs' predictions for their test photographs.

    The file is beside the folds. A run of these settings on all photographs gets its constants from it.
    """
    for overrides in rows.values():
        runs = finished_runs(base, overrides, out)
        if len(runs) == len(FOLDS):
            predicted = {fold: (run.outputs("test"), [label.name for label in run.labels("test")]) for fold, run in runs.items()}
            settings = shared_settings(fold_configs(base, overrides)[FOLDS[0]].to_dict())
            OutOfFold.join(predicted, settings).save(Run(runs[FOLDS[0]].path.parent).out_of_fold)


def markdown(results: Mapping[str, Any], title: str) -> str:
    """The results as Markdown: the literature's table of each grade, then accuracies and figures with 95 % intervals."""
    lines = [f"## {title}, {results['protocol']} protocol", ""]
    lines += ["| method | grade | Precision | SE | SP | YI | MAE | RMSE |", "|---|---|---|---|---|---|---|---|"]
    for row in results["rows"]:
        for label, values in zip([*HAYASHI.labels, "average"], row["per_grade"], strict=True):
            cells = " | ".join(number(values[name], 3) for name in ("precision", "SE", "SP", "YI"))
            lines.append(f"| {row['row']} | {label} | {cells} | {number(values['MAE'])} | {number(values['RMSE'])} |")
    shown = {
        "accuracy: grade head as trained": "accuracy_head", "count as trained": "accuracy_count",
        "combined, calibrated": "accuracy", "balanced": "balanced_accuracy", "QWK": "qwk", "MAE": "mae", "RMSE": "rmse",
        "interval coverage": "interval_coverage", "ECE": "ece",
    }  # fmt: skip
    recalls = {f"recall: {label}" if not grade else label: f"recall_{grade}" for grade, label in enumerate(HAYASHI.labels)}
    for columns in (shown, recalls):
        lines += ["", f"| method | folds | images | {' | '.join(columns)} |", "|---" * (len(columns) + 3) + "|"]
        for row in results["rows"]:
            cells = " | ".join(cell(key, row["figures"][key]) for key in columns.values())
            lines.append(f"| {row['row']} | {' '.join(map(str, row['folds']))} | {row['images']} | {cells} |")
    lines += ["", "| method | error among the most confident 50 % | 70 % | 80 % | 90 % | all |", "|---|---|---|---|---|---|"]
    for row in results["rows"]:
        risks = " | ".join(number(100 * value, 1) for value in row["risk_at_coverage"].values())
        lines.append(f"| {row['row']} | {risks} |")
    return "\n".join(lines) + "\n"
