"""Finds what withholding unsure grades gains, and the threshold for shipped files, on predictions of photographs held out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acne_edge.evaluation.bootstrap import REPEATS, Figure, bootstrap
from acne_edge.evaluation.outcome import Outcome, mean
from acne_edge.evaluation.tables import number, to_json
from acne_edge.files import write
from acne_edge.fit.constants import LEVEL, WITHHELD
from acne_edge.fit.outputs import OutOfFold
from acne_edge.training.calibrate import Postprocessing
from acne_edge.training.studies.compare import cross_fitted_outcomes

SHARES = (1.0, 0.99, 0.98, 0.95, 0.9, 0.8, 0.7, 0.5)  # of the photographs, the surest, in the curve
USED = "probability of the best grade"  # the score that devices compare with the threshold
SCORES: dict[str, Callable[[Outcome], NDArray[np.float64]]] = {
    USED: lambda o: o.grade_probs.max(1),
    "its lead over the second": lambda o: np.diff(np.sort(o.grade_probs, 1)[:, -2:], axis=1)[:, 0],
    "entropy of the grades": lambda o: (o.grade_probs * np.log(np.maximum(o.grade_probs, 1e-12))).sum(1),
    "number of possible grades": lambda o: o.grade_probs.max(1) - o.grade_set.sum(1),
    "width of the count interval": lambda o: (o.low - o.high).astype(np.float64),
    "its width against the count": lambda o: (o.low - o.high) / (o.count + 1),
}
"""Candidates, [N] each; the higher, the surer."""


def abstention(predictions: Path, out: Path, repeats: int = REPEATS) -> dict[str, Any]:
    """Fit the threshold of `low_confidence` on out-of-fold predictions, and write it as a patch for manifests.

    `predictions` is a file that `fit.outputs.OutOfFold` wrote. Every photograph is judged by constants, the threshold among them,
    that were fitted on others. The threshold is 0 unless the accuracy of the grades given is above that of all beyond noise: the
    95 % interval of `rise` lies above 0. The patch also has the risk-coverage curve and the comparison of scores.

    Returns the patch. Raises UsageError if the predictions cannot be read.
    """
    data = OutOfFold.load(predictions)
    outcomes = cross_fitted_outcomes(data.data, data.data)
    gained = bootstrap(lambda index: _withheld([o.take(index) for o in outcomes]), len(data.names), repeats)
    fitted = Postprocessing.fit(data.data, LEVEL, "").uncertainty.abstain_below
    patch = {
        "uncertainty": {"abstain_below": fitted if (gained["rise"]["low"] or 0) > 0 else 0.0},
        "metrics": {
            "abstention": {
                "split": f"{len(data.names)} photographs, each predicted by one of {len(np.unique(data.folds))} networks of like "
                "settings without it; constants cross-fitted",
                "most": WITHHELD,
                **gained,
                "curve": curve(outcomes, repeats),
                "scores": scores(outcomes, 1 - WITHHELD, repeats),
            }
        },
    }
    write(out, (to_json(patch, indent=2) + "\n").encode())
    return patch


def curve(outcomes: Sequence[Outcome], repeats: int = REPEATS) -> list[dict[str, Any]]:
    """`accuracy` and `mae` of each of `SHARES`, the surest photographs by `USED`, with 95 % intervals; means over `outcomes`."""

    def measured(index: NDArray[np.int64]) -> dict[str, float]:
        return mean([_along(o.take(index)) for o in outcomes])

    found = bootstrap(measured, len(outcomes[0]), repeats)
    return [{"share": share, **{name: found[f"{name} {share}"] for name in ("accuracy", "mae")}} for share in SHARES]


def scores(outcomes: Sequence[Outcome], share: float, repeats: int = REPEATS) -> dict[str, dict[str, Figure]]:
    """By how much `accuracy` and `mae` of the surest `share` differ if another score than `USED` says which these are."""

    def measured(index: NDArray[np.int64]) -> dict[str, float]:
        return mean([_against_used(o.take(index), share) for o in outcomes])

    found = bootstrap(measured, len(outcomes[0]), repeats)
    return {score: {name: found[f"{name} {score}"] for name in ("accuracy", "mae")} for score in SCORES if score != USED}


def table(patch: dict[str, Any]) -> str:
    """What `abstention` found, in lines for a terminal."""
    found, threshold = patch["metrics"]["abstention"], patch["uncertainty"]["abstain_below"]
    lines = [
        f"no grade below a probability of {number(threshold, 3)} (0: nothing is gained); {found['split']}",
        f"without a grade: {_percent(found['withheld'])} % of the photographs; of these, {_percent(found['wrong'])} % are wrong",
        f"the others, against all: accuracy {_percent(found['rise'], 2)} points, MAE {_plain(found['mae_rise'], 3)} lesions",
        "",
        "| the surest | accuracy, % | MAE, lesions |",
        "|---|---|---|",
        *(f"| {100 * r['share']:.0f} % | {_percent(r['accuracy'])} | {_plain(r['mae'])} |" for r in found["curve"]),
        "",
        f"| the surest {100 * (1 - found['most']):.0f} % by | accuracy, points more | MAE, lesions more |",
        "|---|---|---|",
        *(f"| {s} | {_percent(r['accuracy'], 2)} | {_plain(r['mae'], 3)} |" for s, r in found["scores"].items()),
    ]
    return "\n".join(lines)


def _withheld(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """What the fitted thresholds withhold, and what that gains; means over `outcomes`."""
    found = []
    for o in outcomes:
        right, error, kept = o.grade == o.true_grade, np.abs(o.count - o.true_count), ~o.abstained
        found.append(
            {
                "withheld": float(o.abstained.mean()),
                "wrong": float((~right[o.abstained]).mean()) if o.abstained.any() else float("nan"),
                "rise": float(right[kept].mean() - right.mean()),
                "mae_rise": float(error[kept].mean() - error.mean()),
            }
        )
    return mean(found)


def _along(o: Outcome) -> dict[str, float]:
    surest = {share: _of_surest(o, USED, share) for share in SHARES}
    return {f"{name} {share}": value for share, found in surest.items() for name, value in found.items()}


def _against_used(o: Outcome, share: float) -> dict[str, float]:
    used = _of_surest(o, USED, share)
    return {
        f"{name} {score}": value - used[name]
        for score in SCORES
        if score != USED
        for name, value in _of_surest(o, score, share).items()
    }


def _of_surest(o: Outcome, score: str, share: float) -> dict[str, float]:
    """Accuracy and MAE of the surest `share` of the photographs by a score."""
    surest = np.argsort(-SCORES[score](o), kind="stable")[: round(share * len(o))]
    return {
        "accuracy": float((o.grade == o.true_grade)[surest].mean()),
        "mae": float(np.abs(o.count - o.true_count)[surest].mean()),
    }


def _percent(figure: Figure, digits: int = 1) -> str:
    return _plain({name: None if value is None else 100 * value for name, value in figure.items()}, digits)


def _plain(figure: Figure, digits: int = 2) -> str:
    """Value and interval."""
    return f"{number(figure['value'], digits)} [{number(figure['low'], digits)}, {number(figure['high'], digits)}]"
