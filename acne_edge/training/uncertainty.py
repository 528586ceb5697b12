"""Fits the constants with which a device turns distributions into a count, a grade and honest doubt.

All are fitted on images that the network was not trained on. `cross_fit` measures what they are worth on images that they,
too, have not seen.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from torch import Tensor

from acne_edge.errors import UsageError
from acne_edge.evaluation.metrics import count_metrics, ece_if_calibrated, expected_calibration_error, grade_metrics
from acne_edge.grading import (
    HAYASHI,
    CountDecoding,
    Interpretation,
    Uncertainty,
    combine_grades,
    count_scores,
    decode_count,
    interpret,
    temper,
)
from acne_edge.training.model import OutputCalibration

OUTPUTS = ("grade_probs", "count_probs", "lesions")
LEVEL = 0.9  # share of photographs that intervals and grade sets are to cover
CLASS_WEIGHT_POWER = (
    0.25  # rare grades weigh n^-CLASS_WEIGHT_POWER in their calibration: of severe faces, more are found at the same accuracy
)
# Of the standard deviation of what the calibration reads, all of it logarithms; those of the shipped network are .9 and more.
# What hardly differs between images tells nothing, and to standardise it would be to blow up the rounding of the runtime.
LEAST_SPREAD = 0.05
# Settings in which a run on all photographs may differ from one on a fold.
FOLD_SETTINGS = ("cross_validation", "val_folds", "frequency", "num_workers", "batch_size_test")


@dataclass(frozen=True)
class LabelledOutputs:
    """Outputs of the network on images held out of training, and their labels."""

    grade_probs: NDArray[np.float64]  # [N, G]
    count_probs: NDArray[np.float64]  # [N, K]
    lesions: NDArray[np.float64]  # [N], sums of the lesion maps
    grades: NDArray[np.int64]  # [N]
    counts: NDArray[np.int64]  # [N]

    @staticmethod
    def of(outputs: Mapping[str, NDArray[np.float32]], grades: Sequence[int], counts: Sequence[int]) -> LabelledOutputs:
        """From the network's `grade_probs`, `count_probs` and `lesion_map` of the images, and their labels."""
        return LabelledOutputs(
            outputs["grade_probs"].astype(np.float64),
            outputs["count_probs"].astype(np.float64),
            outputs["lesion_map"].sum((1, 2), dtype=np.float64),
            np.asarray(grades),
            np.asarray(counts),
        )

    def take(self, index: NDArray[np.int64]) -> LabelledOutputs:
        """The images at `index`."""
        return LabelledOutputs(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    def calibrated(self, calibration: OutputCalibration) -> LabelledOutputs:
        """The same with the probabilities that `calibration` makes of the outputs."""
        with torch.inference_mode():
            outputs = (torch.tensor(getattr(self, name)).float() for name in OUTPUTS)
            grade_probs, count_probs = (t.softmax(1).numpy().astype(np.float64) for t in calibration(*outputs))
        return replace(self, grade_probs=grade_probs, count_probs=count_probs)

    @staticmethod
    def join(parts: Sequence[LabelledOutputs]) -> LabelledOutputs:
        """The images of all parts."""
        return LabelledOutputs(
            *(np.concatenate([getattr(p, name) for p in parts]) for name in LabelledOutputs.__dataclass_fields__)
        )


@dataclass(frozen=True)
class OutOfFold:
    """What runs of the same settings predict for the photographs of the folds that each had not seen."""

    data: LabelledOutputs
    names: list[str]  # [N] of the photographs
    folds: NDArray[np.int64]  # [N]
    settings: dict[str, Any]  # of the runs, but for those that differ between them

    def save(self, path: Path) -> None:
        """Write an `.npz` file, outputs as float32."""
        d = self.data
        arrays = {name: getattr(d, name).astype(np.float32) for name in OUTPUTS}
        labels = {"grades": d.grades, "counts": d.counts, "folds": self.folds, "names": np.array(self.names)}
        np.savez_compressed(path, **arrays, **labels, settings=np.array(json.dumps(self.settings)))  # type: ignore[arg-type]

    @staticmethod
    def load(path: Path) -> OutOfFold:
        """Read what `save` wrote. Raises UsageError for anything else."""
        try:
            with np.load(path) as file:
                grade_probs, count_probs, lesions = (file[name].astype(np.float64) for name in OUTPUTS)
                data = LabelledOutputs(grade_probs, count_probs, lesions, file["grades"], file["counts"])
                return OutOfFold(data, file["names"].tolist(), file["folds"], json.loads(str(file["settings"])))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise UsageError(f"{path}: not out-of-fold predictions of acne-edge crossval ({error})") from error

    def check(self, settings: Mapping[str, Any]) -> None:
        """Raise UsageError, naming what differs, unless a run has the settings of these, but for what it held out."""
        differs = [f"{k} is {settings.get(k)!r}, not {v!r}" for k, v in self.settings.items() if settings.get(k) != v]
        if differs:
            raise UsageError(f"the out-of-fold predictions are of other settings than the run's: its {'; '.join(differs)}")


def conformal_quantile(scores: NDArray[np.floating], level: float) -> float:
    """The ceil((n + 1) level)-th smallest score (Vovk et al. 2005; Angelopoulos and Bates 2023, eq. 1), at most 1."""
    rank = int(np.ceil((len(scores) + 1) * level))
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else 1.0


def fit_calibration(data: LabelledOutputs) -> OutputCalibration:
    """Grades by the best penalised likelihood, counts by the least penalised continuous ranked probability score.

    The score is the sum over k of (F(k) - [count <= k])^2, F the predicted distribution function (Gneiting and Raftery 2007,
    eq. 20). Grades stay as they are where one is missing from the data. Fit it on images that training has not seen.
    """
    calibration = OutputCalibration(data.grade_probs.shape[1], data.count_probs.shape[1])
    grade_probs, count_probs, lesions = (torch.tensor(getattr(data, name)) for name in OUTPUTS)
    features = OutputCalibration.grade_features(grade_probs, lesions).numpy()
    frequency = np.bincount(data.grades, minlength=data.grade_probs.shape[1]) / len(data.grades)
    if frequency.all():
        weights = dict(enumerate(frequency**-CLASS_WEIGHT_POWER))
        mean, spread = features.mean(0), features.std(0).clip(LEAST_SPREAD)
        regression = LogisticRegression(max_iter=1000, class_weight=weights).fit((features - mean) / spread, data.grades)
        weight = regression.coef_ / spread
        with torch.no_grad():
            calibration.grade.weight.copy_(torch.tensor(weight))
            calibration.grade.bias.copy_(torch.tensor(regression.intercept_ - weight @ mean))
    _fit_count(calibration, *OutputCalibration.count_features(count_probs, lesions), torch.tensor(data.counts))
    return calibration


def _fit_count(calibration: OutputCalibration, logarithms: Tensor, amount: Tensor, counts: Tensor) -> None:
    """Fit sharpness and weights of the counts, which are smooth in the count: four functions of it, by `amount` or not."""
    k = torch.arange(logarithms.shape[1], dtype=torch.float64)
    share = k / k[-1]
    smooth = torch.stack([torch.log1p(k), share.sqrt(), share, share**2], 1)
    smooth = (smooth - smooth.mean(0)) / smooth.std(0)
    mean, std = amount.mean(), amount.std().clamp(min=LEAST_SPREAD)
    reached = (counts[:, None] <= k).double()
    by_amount = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    always = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    sharpness = torch.ones((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([by_amount, always, sharpness], max_iter=150, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        weights = (((amount - mean) / std)[:, None] * by_amount + always) @ smooth.T
        cumulated = (sharpness * logarithms + weights).softmax(1).cumsum(1)
        penalty = by_amount.square().sum() + always.square().sum() + (sharpness - 1).square()
        value = (cumulated - reached).square().sum(1).mean() + 1e-3 * penalty
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        calibration.count.weight.copy_((smooth @ by_amount / std)[:, None])
        calibration.count.bias.copy_(smooth @ (always - by_amount * mean / std))
        calibration.sharpness.copy_(sharpness)


@dataclass(frozen=True)
class Postprocessing:
    """All that is fitted on images that training has not seen."""

    calibration: OutputCalibration
    decoding: CountDecoding
    uncertainty: Uncertainty

    @staticmethod
    def fit(data: LabelledOutputs, level: float, fitted_on: str) -> Postprocessing:
        """Fit each on what the ones before make of the network's outputs `data`."""
        calibration = fit_calibration(data)
        calibrated = data.calibrated(calibration)
        decoding = fit_decoding(calibrated)
        return Postprocessing(calibration, decoding, fit_uncertainty(calibrated, decoding, level, fitted_on))

    def interpret(self, data: LabelledOutputs) -> list[Interpretation]:
        """What a device would make of each image's outputs as the network gives them."""
        return interpret_all(data.calibrated(self.calibration), self.decoding, self.uncertainty)


def fit_decoding(data: LabelledOutputs) -> CountDecoding:
    """The statistic and the shares of lesion map and grade head with the least count error and the best grade likelihood."""
    choices = [CountDecoding(s, w) for s in ("mean", "median") for w in (0.0, 0.25, 0.5, 0.75, 1.0)]
    errors = [np.abs(_counts(data, c) - data.counts).mean() for c in choices]
    best = choices[int(np.argmin(errors))]
    heads = [CountDecoding(best.count, best.map_weight, h) for h in (0.0, 0.25, 0.5, 0.75, 1.0)]
    losses = [_likelihood_loss(_grades(data, c), data.grades) for c in heads]
    return heads[int(np.argmin(losses))]


def fit_uncertainty(data: LabelledOutputs, decoding: CountDecoding, level: float, fitted_on: str) -> Uncertainty:
    """Temperature by likelihood, then conformal quantiles of the count and of the tempered grade at `level`.

    The abstention threshold is the confidence under which grades were wrong more often than right.
    """
    probs = _grades(data, decoding)
    temperatures = np.exp(np.linspace(np.log(0.3), np.log(4.0), 200))
    temperature = float(temperatures[int(np.argmin([_likelihood_loss(temper(probs, t), data.grades) for t in temperatures]))])
    tempered = temper(probs, temperature)
    rows = np.arange(len(data.counts))
    counts = np.minimum(data.counts, data.count_probs.shape[1] - 1)
    return Uncertainty(
        level=level,
        temperature=round(temperature, 4),
        count_quantile=round(conformal_quantile(count_scores(data.count_probs)[rows, counts], level) + 5e-5, 4),
        grade_quantile=round(conformal_quantile(1 - tempered[rows, data.grades], level) + 5e-5, 4),
        abstain_below=round(abstention_threshold(tempered, data.grades), 3),
        fitted_on=fitted_on,
    )


def abstention_threshold(probs: NDArray[np.floating], grades: NDArray[np.int64]) -> float:
    """The highest confidence, at most 0.5, below which at least half of the grades are wrong; 0 if there is none."""
    confidence, wrong = probs.max(1), probs.argmax(1) != grades
    for threshold in np.sort(confidence[confidence <= 0.5])[::-1]:
        below = confidence < threshold
        if below.any() and wrong[below].mean() >= 0.5:
            return float(threshold)
    return 0.0


def measure(data: LabelledOutputs, decoding: CountDecoding, uncertainty: Uncertainty) -> dict[str, Any]:
    """Grade and count metrics, coverage and size of intervals and sets, ECE."""
    return _summary(data, interpret_all(data, decoding, uncertainty))


def cross_fit(data: LabelledOutputs, level: float) -> dict[str, Any]:
    """The same metrics with every image judged by constants fitted on the other folds."""
    return _summary(data, cross_fitted(data, level))


def cross_fitted(data: LabelledOutputs, level: float, seed: int = 0) -> list[Interpretation]:
    """Each image's interpretation by constants fitted on the other folds."""
    results: list[Any] = [None] * len(data.counts)
    for test, constants in cross_fits(data, level, seed):
        for i, result in zip(test, constants.interpret(data.take(test)), strict=True):
            results[i] = result
    return results


def cross_fits(
    data: LabelledOutputs, level: float, seed: int = 0, folds: int = 5
) -> Iterator[tuple[NDArray[np.int64], Postprocessing]]:
    """The images of each fold, all grades alike in each, and the constants fitted on the other folds."""
    for fit, test in StratifiedKFold(folds, shuffle=True, random_state=seed).split(data.grades, data.grades):
        yield test, Postprocessing.fit(data.take(fit), level, "cross-fit")


def interpret_all(data: LabelledOutputs, decoding: CountDecoding, uncertainty: Uncertainty) -> list[Interpretation]:
    """What a device would make of each image's outputs."""
    return [
        interpret(g, c, s, native=HAYASHI, scale=HAYASHI, decoding=decoding, uncertainty=uncertainty)
        for g, c, s in zip(data.grade_probs, data.count_probs, data.lesions, strict=True)
    ]


def _summary(data: LabelledOutputs, results: list[Interpretation]) -> dict[str, Any]:
    intervals, probs = np.array([r.interval for r in results]), np.array([r.grade_probs for r in results])
    return {
        "grade": grade_metrics(data.grades, [r.grade for r in results], data.grade_probs.shape[1]),
        "count": count_metrics(data.counts, [r.count for r in results]),
        "interval": {
            "coverage": float(((intervals[:, 0] <= data.counts) & (data.counts <= intervals[:, 1])).mean()),
            "width": float((intervals[:, 1] - intervals[:, 0]).mean()),
        },
        "grade_set": {
            "coverage": float(np.mean([g in r.grade_set for g, r in zip(data.grades, results, strict=True)])),
            "size": float(np.mean([len(r.grade_set) for r in results])),
        },
        "ece": expected_calibration_error(data.grades, probs),
        "ece_if_calibrated": ece_if_calibrated(probs),
        "abstained": float(np.mean([r.abstained is not None for r in results])),
    }


def _counts(data: LabelledOutputs, decoding: CountDecoding) -> NDArray[np.float64]:
    return np.array([decode_count(p, s, decoding) for p, s in zip(data.count_probs, data.lesions, strict=True)])


def _grades(data: LabelledOutputs, decoding: CountDecoding) -> NDArray[np.floating]:
    return combine_grades(data.grade_probs, data.count_probs, HAYASHI, HAYASHI, decoding)


def _likelihood_loss(probs: NDArray[np.floating], grades: NDArray[np.int64]) -> float:
    return float(-np.log(np.maximum(probs[np.arange(len(grades)), grades], 1e-12)).mean())
