"""Fits, with torch and scikit-learn, the output calibration that goes into a model file, and all constants with it.

`Postprocessing` is everything between a network's outputs and a result: output calibration, the reading of count and grade, and
the uncertainty (`fit.constants`). `cross_fitted` gives results for photographs that no constant was fitted on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from torch import Tensor

from acne_edge.evaluation.outcome import Outcome
from acne_edge.fit.constants import LEVEL, fit_decoding, fit_uncertainty
from acne_edge.fit.outputs import OUTPUTS, LabelledOutputs
from acne_edge.grading import CountDecoding, Interpretation, Uncertainty
from acne_edge.training.data import strata
from acne_edge.training.model import OutputCalibration

# A grade weighs n^-CLASS_WEIGHT_POWER in the calibration: more severe faces are found at the same accuracy.
CLASS_WEIGHT_POWER = 0.25
# The least standard deviation of a calibration feature (all are logarithms); the shipped network's are .9 and more. A feature
# that hardly varies carries no information, and standardising it would magnify the runtime's rounding errors.
LEAST_SPREAD = 0.05


def calibrated(data: LabelledOutputs, calibration: OutputCalibration) -> LabelledOutputs:
    """The same photographs with calibrated probabilities."""
    with torch.inference_mode():
        outputs = (torch.tensor(getattr(data, name)).float() for name in OUTPUTS)
        grade_probs, count_probs = (t.softmax(1).numpy().astype(np.float64) for t in calibration(*outputs))
    return replace(data, grade_probs=grade_probs, count_probs=count_probs)


def fit_calibration(data: LabelledOutputs) -> OutputCalibration:
    """Fit the grades by penalised likelihood, and the counts by the penalised continuous ranked probability score.

    The score is the sum over k of (F(k) - [count <= k])^2, where F is the predicted distribution function (Gneiting and Raftery
    2007, eq. 20). If a grade is missing from the data, grades are not calibrated. `data` must be images that training has not
    seen.
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
    """Fit the sharpness and weights of the counts; both are smooth functions of the count, with or without `amount`."""
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
    """Everything that is fitted on images that training has not seen."""

    calibration: OutputCalibration
    decoding: CountDecoding
    uncertainty: Uncertainty

    @staticmethod
    def fit(data: LabelledOutputs, level: float, fitted_on: str) -> Postprocessing:
        """Fit each step to the results of the steps before it, starting from the network's outputs `data`."""
        calibration = fit_calibration(data)
        better = calibrated(data, calibration)
        decoding = fit_decoding(better)
        return Postprocessing(calibration, decoding, fit_uncertainty(better, decoding, level, fitted_on))

    def interpret(self, data: LabelledOutputs) -> list[Interpretation]:
        """Each image's result, as a device would compute it from the network's raw outputs."""
        return calibrated(data, self.calibration).interpret(self.decoding, self.uncertainty)

    def outcome(self, data: LabelledOutputs) -> Outcome:
        """The same results together with the labels, ready to be measured."""
        return Outcome.of_outputs(data, self.interpret(data))


def cross_fits(
    data: LabelledOutputs, level: float = LEVEL, seed: int = 0, folds: int = 5
) -> Iterator[tuple[NDArray[np.int64], Postprocessing]]:
    """Yield each fold's images, stratified by grade, and the constants fitted on the other folds."""
    alike = strata(data.grades, data.counts, folds)
    for fit, test in StratifiedKFold(folds, shuffle=True, random_state=seed).split(alike, alike):
        yield test, Postprocessing.fit(data.take(fit), level, "cross-fit")


def cross_fitted(data: LabelledOutputs, level: float = LEVEL, seed: int = 0, judged: LabelledOutputs | None = None) -> Outcome:
    """Each image's result, in order, with constants fitted on the other folds of `data`.

    `judged` may hold another version's outputs for the same images in the same order. They are then interpreted with the same
    constants, as in shipped files. None: `data` itself is interpreted.
    """
    judged = data if judged is None else judged
    fitted = list(cross_fits(data, level, seed))
    order = np.concatenate([test for test, _ in fitted])
    return Outcome.join([constants.outcome(judged.take(test)) for test, constants in fitted]).take(np.argsort(order))
