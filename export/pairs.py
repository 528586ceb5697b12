"""Fits the uncertainty of the difference of two counts on pairs of look-alikes, and measures it on groups left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acne_edge.difference import LEVEL, Counted, Difference, PairUncertainty, arms, difference
from acne_edge.errors import UsageError
from acne_edge.evaluation.bootstrap import bootstrap
from acne_edge.evaluation.outcome import Outcome
from acne_edge.evaluation.tables import to_json
from acne_edge.files import write
from acne_edge.fit.outputs import OutOfFold
from acne_edge.fit.pairs import Pairs, fit_pairs, pairs_of, scores
from acne_edge.training.calibrate import cross_fitted
from acne_edge.training.data.splits import read_groups

FOLDS = 5  # of groups, for figures
LEAST = 20  # groups with pairs; fewer cannot tell an interval of 90 %
LARGE = 5  # lesions; a difference of labels whose sign should be right
TYPICAL = (5, 10, 20, 40)  # lesions
NEAREST = 60  # photographs around a typical count whose arms are taken


def pairs(out_of_fold: Path, groups: Path | None, out: Path, repeats: int = 1000) -> dict[str, Any]:
    """Fit on all groups with pairs, and write a patch for manifests with the figures of `measured`. Returns the patch.

    Args:
        out_of_fold: outputs of networks for photographs that each had held out; count and interval are cross-fitted on them.
        groups: CSV with the columns file and group; None: the committed groups of ACNE04.
        out: file for the patch, which `export.restamp` reads.
        repeats: samples of the bootstrap over groups.

    Raises UsageError for an unreadable file, or if there are too few groups.
    """
    found = OutOfFold.load(out_of_fold)
    outcome, number = cross_fitted(found.data), read_groups(found.names, groups)
    made = pairs_of(number)
    n = len(np.unique(made.group))
    if n < LEAST:
        raise UsageError(f"{out_of_fold}: {n} groups of look-alikes with two photographs or more; at least {LEAST} are needed")
    fitted_on = _in_words(found, made, n)
    constants = fit_pairs(scores(_counted(outcome), outcome.true_count, made), made, fitted_on)
    patch = {"pairs": vars(constants), "metrics": {"pairs": {"split": fitted_on, **measured(outcome, made, repeats)}}}
    write(out, (to_json(patch, indent=2) + "\n").encode())
    return patch


def _in_words(found: OutOfFold, made: Pairs, n: int) -> str:
    protocol = found.settings.get("protocol", "unknown")
    apart = "no look-alike of a photograph was learned" if found.grouped else "look-alikes of a photograph may have been learned"
    return (
        f"{len(made.first)} pairs of look-alikes in {n} groups of ACNE04, which stand for visits; {protocol} folds, so {apart}; "
        f"{found.settings.get('epochs')} epochs"
    )


def _counted(o: Outcome) -> Counted:
    return Counted(o.count, o.low.astype(float), o.high.astype(float))


def measured(o: Outcome, made: Pairs, repeats: int) -> dict[str, Any]:
    """Figures of intervals whose factor was fitted on other groups, each group weighing the same; 95 % intervals over groups.

    `coverage`: the interval holds the difference of the labels. `width`: of the interval, lesions. `sign`: the change has the
    sign of that difference, where it is `LARGE` or more. `told`: pairs with a verdict, fewer or more; `told_large`: of those that
    differ by `LARGE` or more. `wrong`: verdicts whose sign is not that of the labels' difference, of all pairs. `false`: verdicts
    on pairs whose labels are equal. `largest`: the coverage in each of the ten groups with the most pairs.
    """
    judged = _judged(o, made)
    members = [np.flatnonzero(made.group == g) for g in np.unique(made.group)]

    def figures(index: NDArray[np.int64]) -> dict[str, float]:
        chosen = np.concatenate([members[i] for i in index])
        return {name: _mean(values[chosen], made.weight[chosen]) for name, values in judged.items()}

    size = {int(made.group[m[0]]): len(np.unique([made.first[m], made.second[m]])) for m in members}
    largest = sorted(size, key=lambda g: -size[g])[:10]
    return {
        "level": LEVEL,
        "groups": len(members),
        "pairs": len(made.first),
        **bootstrap(figures, len(members), repeats),
        "largest": [round(float(judged["coverage"][made.group == g].mean()), 3) for g in largest],
        "smallest": smallest(o, fit_pairs(scores(_counted(o), o.true_count, made), made, "")),
    }


def _judged(o: Outcome, made: Pairs) -> dict[str, NDArray[np.float64]]:
    """What `measured` says of each pair [P]; nan where it does not apply."""
    changes = [d for _, d in sorted(_left_out(o, made))]
    change, low, high = (np.array([getattr(d, name) for d in changes], float) for name in ("change", "low", "high"))
    truth = o.true_count[made.second] - o.true_count[made.first]
    verdict = np.where(high < 0, -1, np.where(low > 0, 1, 0))
    large = np.abs(truth) >= LARGE
    return {
        "coverage": ((low <= truth) & (truth <= high)).astype(float),
        "width": high - low,
        "sign": np.where(large, np.sign(change) == np.sign(truth), np.nan),
        "told": (verdict != 0).astype(float),
        "told_large": np.where(large, verdict == np.sign(truth), np.nan),
        "wrong": ((verdict != 0) & (verdict != np.sign(truth))).astype(float),
        "false": np.where(truth == 0, verdict != 0, np.nan),
    }


def _left_out(o: Outcome, made: Pairs) -> list[tuple[int, Difference]]:
    """Each pair's index and its difference, by constants that were fitted without its group."""
    counted, names = _counted(o), np.random.default_rng(0).permutation(np.unique(made.group))
    found = scores(counted, o.true_count, made)
    results = []
    for part in np.array_split(names, FOLDS):
        out = np.isin(made.group, part)
        constants = fit_pairs(found[~out], made.take(~out), "cross-fit")
        for i in np.flatnonzero(out):
            a, b = (Counted(o.count[k], o.low[k], o.high[k]) for k in (made.first[i], made.second[i]))
            results.append((int(i), difference([a], [b], LEVEL, constants)))
    return results


def _mean(values: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    known = ~np.isnan(values)
    return float(np.average(values[known], weights=weight[known])) if known.any() else float("nan")


def smallest(o: Outcome, constants: PairUncertainty) -> dict[str, dict[str, float | None]]:
    """From each count of `TYPICAL`: the least fall and rise, in lesions, that get a verdict; None: none does.

    The arms are the medians of the `NEAREST` photographs with the nearest counts.
    """
    counted = _counted(o)

    def typical(count: float) -> Counted:
        near = np.argsort(np.abs(o.count - count), kind="stable")[:NEAREST]
        low, high = (float(np.median((np.asarray(end) - o.count)[near])) for end in counted[1:])
        return Counted(count, max(0.0, count + low), count + high)

    def told(first: int, step: int) -> float | None:
        for other in range(first + step, 66 if step > 0 else -1, step):
            down, up = arms(typical(first), typical(other))
            if abs(other - first) - constants.factor(LEVEL) * float(up if step < 0 else down) >= 1e-9:
                return float(abs(other - first))
        return None

    return {str(count): {"fall": told(count, -1), "rise": told(count, 1)} for count in TYPICAL}
