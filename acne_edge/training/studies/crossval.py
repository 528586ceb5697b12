"""Cross-validation: rows of settings x folds, each a resumable run, and their tables in the form of the acne-grading literature.

A fold's test list is looked at once, by the last epoch. How count and grade are read off the outputs, the temperature and the
conformal constants are fitted on the fold's inner validation images; where nothing is held out for that, on what the other folds'
runs predict for their own test images, so that no image has a part in the constants that it is judged by.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acne_edge.errors import UsageError
from acne_edge.evaluation.labels import read_labels
from acne_edge.evaluation.metrics import bootstrap, count_metrics, expected_calibration_error, grade_metrics, risk_coverage
from acne_edge.grading import HAYASHI, Interpretation
from acne_edge.training.config import TrainConfig
from acne_edge.training.loop import Trainer
from acne_edge.training.uncertainty import FOLD_SETTINGS, LEVEL, LabelledOutputs, OutOfFold, Postprocessing

Changes = Mapping[str, Any]

logger = logging.getLogger(__name__)

STUDIES: dict[str, dict[str, Changes]] = {
    "methods": {"ViT": {"method": "vit"}, "ResNet": {"method": "resnet"}, "fusion": {}},
    "losses": {
        "LDL": {},
        "report": {"loss": "report"},
        "LDS": {"loss": "lds", "lam": 0.3},
        "L2": {"loss": "l2"},
        "cross-entropy": {"loss": "ce"},
    },
    "optimizers": {"Adam": {}, "SGD": {"optimizer": "sgd", "lr": 0.01, "weight_decay": 5e-4}},
    "denoising": {"none": {}, "median": {"denoise": "median"}, "bilateral": {"denoise": "bilateral"}},
    "boxes": {"with boxes": {}, "without boxes": {"density_weight": 0.0, "zoom": 0.0, "mix": 0.0}},
}
FOLDS = (1, 2, 3, 4)


@dataclass(frozen=True)
class Outcome:
    """What a row predicted for the test images of one or more folds; arrays over images."""

    fold: NDArray[np.int64]
    grade: NDArray[np.int64]  # true
    count: NDArray[np.int64]  # true
    head: NDArray[np.int64]  # grade by the grade head, before calibration
    from_count: NDArray[np.int64]  # grade by the count distribution's bands, before calibration
    combined: NDArray[np.int64]  # grade as a device decides
    lesions: NDArray[np.float64]  # count as a device decides
    inside: NDArray[np.bool_]  # true count inside the interval
    width: NDArray[np.float64]  # of the interval, lesions
    in_set: NDArray[np.bool_]  # true grade in the grade set
    set_size: NDArray[np.int64]
    probs: NDArray[np.float64]  # calibrated [N, G]

    @staticmethod
    def of(data: LabelledOutputs, results: Sequence[Interpretation], fold: NDArray[np.int64]) -> Outcome:
        """From the outputs as the network gives them, what a device makes of them, and each image's fold."""
        intervals = np.array([r.interval for r in results])
        bands = HAYASHI.bands(data.count_probs.shape[1])
        return Outcome(
            fold=fold,
            grade=data.grades,
            count=data.counts,
            head=data.grade_probs.argmax(1),
            from_count=(data.count_probs @ bands).argmax(1),
            combined=np.array([r.grade for r in results]),
            lesions=np.array([r.count for r in results]),
            inside=(intervals[:, 0] <= data.counts) & (data.counts <= intervals[:, 1]),
            width=(intervals[:, 1] - intervals[:, 0]).astype(np.float64),
            in_set=np.array([g in r.grade_set for g, r in zip(data.grades, results, strict=True)]),
            set_size=np.array([len(r.grade_set) for r in results]),
            probs=np.array([r.grade_probs for r in results]),
        )

    def take(self, index: NDArray[np.int64]) -> Outcome:
        """The images at `index`."""
        return Outcome(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    @staticmethod
    def join(parts: Sequence[Outcome]) -> Outcome:
        """The images of all parts."""
        return Outcome(*(np.concatenate([getattr(p, name) for p in parts]) for name in Outcome.__dataclass_fields__))


def run_directory(out: Path, config: TrainConfig, changes: Changes) -> Path:
    """Where a row's fold is trained: by its settings, so that rows of several studies with the same settings share a run."""
    name = "-".join(f"{key}={value}" for key, value in sorted(changes.items())) or "base"
    return out / config.protocol / name / f"fold-{config.cross_validation}"


def train_rows(
    base: TrainConfig,
    rows: Mapping[str, Changes],
    folds: Iterable[int],
    data: Path,
    weights: Path | None,
    out: Path,
    device: str = "auto",
) -> None:
    """Train every row on every fold; runs that are finished are kept, one that was stopped goes on.

    `weights` is a folder of ImageNet weights, that of an earlier cross-validation, whose runs are gone on from, or None.
    """
    for fold in folds:
        for label, changes in rows.items():
            config = TrainConfig.from_dict({**base.to_dict(), **changes, "cross_validation": fold})
            run = run_directory(out, config, changes)
            if finished(run, config):
                continue
            logger.info("%s", f"{label}, fold {fold}, {config.protocol} protocol: {run}")
            Trainer(config, data, run, initial_weights(weights, config, changes), device).fit(resume=True)
            (run / "last.safetensors").unlink()  # 70 MB a run, and the run is over


def initial_weights(weights: Path | None, config: TrainConfig, changes: Changes) -> Path | None:
    """The folder of ImageNet weights, or the model of the same row and fold where `weights` is an earlier cross-validation."""
    if weights is None or not (weights / config.protocol).is_dir():
        return weights
    model = run_directory(weights, config, changes) / "model.safetensors"
    if not model.is_file():
        raise UsageError(f"{model}: there is no such run to go on from; finish the earlier cross-validation first")
    return model


def finished(run: Path, config: TrainConfig) -> bool:
    """Whether a run has ended. Raises UsageError if it ended with other settings."""
    if not (run / "run.json").is_file():
        return False
    if TrainConfig.from_dict(json.loads((run / "run.json").read_text())["config"]) != config:
        raise UsageError(f"{run}: holds a run with other settings; choose another --out")
    return True


def load_outputs(run: Path, part: str) -> LabelledOutputs:
    """The outputs and labels of a finished run's `val` or `test` images."""
    rows = read_labels(run / f"{part}.txt")
    with np.load(run / f"{part}_outputs.npz") as outputs:
        return LabelledOutputs.of(outputs, [label.grade for label in rows], [label.count for label in rows])


def constants_data(runs: Mapping[int, Path], fold: int) -> LabelledOutputs:
    """What a fold's constants are fitted on: its validation images, or the other folds' test images that are not its own too.

    Raises UsageError if there are neither.
    """
    if (runs[fold] / "val.txt").is_file():
        return load_outputs(runs[fold], "val")
    own = {label.name for label in read_labels(runs[fold] / "test.txt")}
    parts = []
    for run in (run for other, run in runs.items() if other != fold):
        keep = [i for i, label in enumerate(read_labels(run / "test.txt")) if label.name not in own]
        parts.append(load_outputs(run, "test").take(np.array(keep)))
    if not parts:
        raise UsageError(f"{runs[fold]}: held nothing out and is the only fold, so nothing can be calibrated; train a second one")
    return LabelledOutputs.join(parts)


def outcome(run: Path, fold: int, fit: LabelledOutputs) -> Outcome:
    """What a run predicts for its test images, with constants fitted on `fit`."""
    test = load_outputs(run, "test")
    constants = Postprocessing.fit(fit, LEVEL, "images outside the fold's test list")
    return Outcome.of(test, constants.interpret(test), np.full(len(test.grades), fold))


def figures(o: Outcome) -> dict[str, float]:
    """The figures of a row, by name."""
    grades = o.probs.shape[1]
    combined = grade_metrics(o.grade, o.combined, grades)
    return {
        "accuracy_head": float((o.head == o.grade).mean()),
        "accuracy_count": float((o.from_count == o.grade).mean()),
        "accuracy_combined": combined["accuracy"],
        "balanced_accuracy": combined["balanced_accuracy"],
        "qwk": combined["qwk"],
        **{f"recall_{g}": combined["per_grade"]["SE"][g] for g in range(grades)},
        **count_metrics(o.count, o.lesions),
        "interval_coverage": float(o.inside.mean()),
        "interval_width": float(o.width.mean()),
        "grade_set_coverage": float(o.in_set.mean()),
        "grade_set_size": float(o.set_size.mean()),
        "ece": expected_calibration_error(o.grade, o.probs),
    }


def per_grade(o: Outcome) -> list[dict[str, float]]:
    """The literature's table: precision, SE, SP, YI, MAE and RMSE of each grade, and last their average over the grades."""
    metrics = grade_metrics(o.grade, o.combined, o.probs.shape[1])["per_grade"]
    rows = []
    for g in range(o.probs.shape[1]):
        count = count_metrics(o.count[o.grade == g], o.lesions[o.grade == g])
        rows.append({**{name: values[g] for name, values in metrics.items()}, "MAE": count["mae"], "RMSE": count["rmse"]})
    return [*rows, {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}]


def summarize(
    base: TrainConfig, rows: Mapping[str, Changes], folds: Iterable[int], out: Path, repeats: int = 1000
) -> dict[str, Any]:
    """The JSON results of those runs under `out` that are finished; rows without any are left out.

    Of a row whose runs are gone from `out` the results that an earlier table there has of the same settings and folds are kept.
    """
    folds = sorted(set(folds))
    table, earlier = [], earlier_rows(base, out)
    for label, changes in rows.items():
        configs = {fold: TrainConfig.from_dict({**base.to_dict(), **changes, "cross_validation": fold}) for fold in FOLDS}
        runs = {fold: run_directory(out, config, changes) for fold, config in configs.items()}
        runs = {fold: run for fold, run in runs.items() if finished(run, configs[fold])}
        asked = [fold for fold in runs if fold in folds]
        if len(asked) < len(folds):
            kept = [row for row in earlier if row["changes"] == changes and row["folds"] == folds]
            if kept:
                table.append({**kept[0], "row": label})
                continue
        if not asked:
            continue
        parts = {fold: outcome(runs[fold], fold, constants_data(runs, fold)) for fold in asked}
        joined = Outcome.join(list(parts.values()))
        curve = risk_coverage(joined.combined == joined.grade, joined.probs.max(1))
        ended = [json.loads((runs[fold] / "run.json").read_text()) for fold in asked]
        table.append(
            {
                "row": label,
                "changes": dict(changes),
                "folds": asked,
                "images": len(joined.grade),
                "figures": bootstrap(lambda index, o=joined: figures(o.take(index)), len(joined.grade), repeats),  # type: ignore[misc]
                "per_fold": {str(fold): figures(part) for fold, part in parts.items()},
                "per_grade": per_grade(joined),
                "confusion": grade_metrics(joined.grade, joined.combined, joined.probs.shape[1])["confusion"],
                "risk_at_coverage": {
                    f"{c:.1f}": float(np.interp(c, curve["coverage"], curve["risk"])) for c in (0.5, 0.7, 0.8, 0.9, 1.0)
                },
                "aurc": curve["aurc"],
                "trained_on": [r["lists"]["train"]["n"] for r in ended],
                "seconds": sum(r["seconds"] for r in ended),
                "environment": ended[0]["environment"],
            }
        )
    return {"protocol": base.protocol, "base": base.to_dict(), "rows": table}


def earlier_rows(base: TrainConfig, out: Path) -> list[dict[str, Any]]:
    """The rows of all tables in `out` whose runs had the settings `base`. Raises UsageError if one cannot be read."""
    rows: list[dict[str, Any]] = []
    for path in sorted(out.glob(f"*-{base.protocol}*.json")):
        try:
            table = json.loads(path.read_text())
            rows += table["rows"] if TrainConfig.from_dict(table["base"]) == base else []
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{path}: not a table of acne-edge crossval ({error}); move it away") from error
    return rows


def table_name(study: str, base: TrainConfig, folds: Iterable[int]) -> str:
    """What a study's tables are called: those of some folds do not stand where those of all folds do."""
    some = sorted(set(folds))
    return f"{study}-{base.protocol}" + ("" if some == sorted(FOLDS) else f"-fold-{'-'.join(map(str, some))}")


def write_out_of_fold(base: TrainConfig, rows: Mapping[str, Changes], out: Path) -> None:
    """For each row that is finished on all folds, what its runs predict for the photographs that they had not seen.

    It stands beside the folds as `out_of_fold.npz`: what a run of these settings on all photographs gets its constants from.
    """
    for changes in rows.values():
        configs = {fold: TrainConfig.from_dict({**base.to_dict(), **changes, "cross_validation": fold}) for fold in FOLDS}
        runs = {fold: run_directory(out, config, changes) for fold, config in configs.items()}
        if all(finished(run, configs[fold]) for fold, run in runs.items()):
            names = {fold: [label.name for label in read_labels(run / "test.txt")] for fold, run in runs.items()}
            flat = [name for part in names.values() for name in part]
            once = np.sort(np.unique(flat, return_index=True)[1])  # some stand on two test lists
            data = LabelledOutputs.join([load_outputs(run, "test") for run in runs.values()]).take(once)
            folds = np.repeat(list(names), [len(part) for part in names.values()])[once]
            settings = {k: v for k, v in configs[1].to_dict().items() if k not in FOLD_SETTINGS}
            OutOfFold(data, [flat[i] for i in once], folds, settings).save(runs[1].parent / "out_of_fold.npz")


def markdown(results: Mapping[str, Any], title: str) -> str:
    """The results as Markdown: the literature's table of each grade, then accuracies and figures with 95 % intervals.

    The ECE has no interval: images drawn twice make it larger, so that a resampled one says nothing of the measured one.
    """
    lines = [f"## {title}, {results['protocol']} protocol", ""]
    lines += ["| method | grade | Precision | SE | SP | YI | MAE | RMSE |", "|---|---|---|---|---|---|---|---|"]
    for row in results["rows"]:
        for label, values in zip([*HAYASHI.labels, "average"], row["per_grade"], strict=True):
            cells = " | ".join(f"{values[name]:.3f}" for name in ("precision", "SE", "SP", "YI"))
            lines.append(f"| {row['row']} | {label} | {cells} | {values['MAE']:.2f} | {values['RMSE']:.2f} |")
    shown = {
        "accuracy: grade head as trained": "accuracy_head", "count as trained": "accuracy_count",
        "combined, calibrated": "accuracy_combined", "balanced": "balanced_accuracy", "QWK": "qwk", "MAE": "mae", "RMSE": "rmse",
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
        risks = " | ".join(f"{100 * value:.1f}" for value in row["risk_at_coverage"].values())
        lines.append(f"| {row['row']} | {risks} |")
    return "\n".join(lines) + "\n"


def cell(name: str, figure: Mapping[str, float]) -> str:
    """The figure `name` with its 95 % interval; shares in percent."""
    percent = name.startswith(("accuracy", "balanced", "recall", "interval_coverage"))
    value, low, high = (f"{100 * figure[k]:.1f}" if percent else f"{figure[k]:.2f}" for k in ("value", "low", "high"))
    return value if name == "ece" else f"{value} [{low}, {high}]"
