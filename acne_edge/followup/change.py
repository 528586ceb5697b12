"""Two visits compared, view by view and in sum.

    from acne_edge import AcneGrader, compare_visits

    with AcneGrader.load() as grader:
        before, after = (list(grader.predict_many(folder)) for folder in ("march", "june"))
        print(compare_visits(before, after, grader.manifest).total.verdict)

How the interval of a difference is made is said in `acne_edge.difference`. It is fitted on look-alike photographs, and assumes
that they behave like photographs of two visits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from acne_edge.difference import Counted, Difference, PairUncertainty, difference
from acne_edge.errors import UsageError

if TYPE_CHECKING:
    from acne_edge.manifest import Manifest
    from acne_edge.prediction import Failure, Prediction

SCHEMA = "1.0"  # of the JSON form; a minor version adds fields and changes none
FEWER, MORE, SAME, INCOMPARABLE = "fewer", "more", "no change beyond measurement error", "cannot be compared"
BASELINE, FOLLOWUP, BOTH = "baseline", "followup", "both"
GRADE_ONLY = "low_confidence"  # the reason for no grade that says nothing about the count


class Obstacle(NamedTuple):
    """Why two photographs cannot be compared."""

    where: str  # baseline | followup | both
    code: str  # a quality reason, a reason for abstaining, an error's code, other_model, other_scale or same_photograph


@dataclass(frozen=True)
class Reading:
    """What one photograph's result says that a comparison needs."""

    path: str | None
    counted: Counted | None  # None: there is no result
    level: float
    grade: str  # in words
    scale: str
    model: str  # sha256 of its file
    obstacles: tuple[str, ...]  # codes

    @staticmethod
    def of(result: Prediction | Failure | Mapping[str, Any]) -> Reading:
        """From a result, or its JSON form as `predict` saves it. Raises UsageError for what is no such thing."""
        record = result if isinstance(result, Mapping) else result.to_dict()
        try:
            path = None if record["path"] is None else str(record["path"])
            if "error" in record:
                return Reading(path, None, 0.0, "", "", "", (str(record["error"]["code"]),))
            interval, abstained = record["count_interval"], record["abstained"]
            codes = [str(reason) for reason in record["quality"]["reasons"]]
            if abstained not in (None, GRADE_ONLY, *codes):
                codes.append(str(abstained))
            return Reading(
                path,
                Counted(float(record["count"]), int(interval["low"]), int(interval["high"])),
                float(interval["level"]),
                str(record["grade"]["text"]),
                str(record["scale"]),
                str(record["model"]["sha256"]),
                tuple(codes),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"not a result of acne-edge predict in JSON ({error!r})") from error

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        count = self.counted
        return {
            "path": self.path,
            "count": None if count is None else round(float(count.lesions), 2),
            "low": None if count is None else int(count.low),
            "high": None if count is None else int(count.high),
            "grade": self.grade or None,
        }


@dataclass(frozen=True)
class Change:
    """One view at both visits, or all views in sum."""

    view: str
    before: Reading | None  # None: the sum of several views
    after: Reading | None
    counts: tuple[float, float] | None  # lesions at both visits; None where there is no result
    difference: Difference | None  # None if they cannot be compared
    obstacles: tuple[Obstacle, ...] = ()

    @property
    def verdict(self) -> str:
        """FEWER, MORE, SAME or INCOMPARABLE; only an interval without 0 is a change."""
        if self.difference is None:
            return INCOMPARABLE
        return FEWER if self.difference.high < 0 else MORE if self.difference.low > 0 else SAME

    @property
    def percent(self) -> float | None:
        """The change in percent of the first count; None if less than half a lesion was counted, or there is no change."""
        if self.difference is None or self.counts is None or self.counts[0] < 0.5:
            return None
        return 100 * self.difference.change / self.counts[0]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        d = self.difference
        return {
            "view": self.view,
            "baseline": None if self.before is None else self.before.to_dict(),
            "followup": None if self.after is None else self.after.to_dict(),
            "counts": None if self.counts is None else [round(count, 2) for count in self.counts],
            "change": None if d is None else round(d.change, 2),
            "change_interval": None if d is None else {"level": d.level, "low": d.low, "high": d.high},
            "probability_fewer": None if d is None or d.fewer is None else round(d.fewer, 4),
            "percent": None if self.percent is None else round(self.percent, 1),
            "verdict": self.verdict,
            "obstacles": [obstacle._asdict() for obstacle in self.obstacles],
        }


@dataclass(frozen=True)
class Comparison:
    """Two visits, compared."""

    views: tuple[Change, ...]
    total: Change  # all views in sum; it cannot be compared if a view cannot
    fitted_on: str  # the pairs that the interval was fitted on; empty: the single intervals are combined

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "schema": SCHEMA,
            "views": [view.to_dict() for view in self.views],
            "total": self.total.to_dict(),
            "interval": {"rule": "pairs" if self.fitted_on else "single intervals combined", "fitted_on": self.fitted_on or None},
        }


def compare_visits(
    baseline: Sequence[Prediction | Failure | Mapping[str, Any]],
    followup: Sequence[Prediction | Failure | Mapping[str, Any]],
    manifest: Manifest | None = None,
    names: Sequence[str] | None = None,
    *,
    pairs: PairUncertainty | None = None,
) -> Comparison:
    """Compare two visits of one person.

    Args:
        baseline: results of the first visit, a photograph a view; or their JSON forms.
        followup: those of the second visit, of the same views in the same order.
        manifest: of the model that made the results, whose `pairs` give the interval of a difference. A model without them,
            or None, gets the wider interval that two single intervals allow.
        names: of the views; None: the file names at the first visit.
        pairs: constants instead of the manifest's.

    Raises UsageError if the visits have different numbers of photographs, or none.
    """
    if len(baseline) != len(followup) or not baseline:
        raise UsageError(
            f"{len(baseline)} photographs at the first visit and {len(followup)} at the second; each view needs one of both"
        )
    constants = pairs or (manifest.pairs if manifest is not None else None)
    readings = [(Reading.of(a), Reading.of(b)) for a, b in zip(baseline, followup, strict=True)]
    titles = list(names) if names is not None else [_name(a, number) for number, (a, _) in enumerate(readings, 1)]
    views = tuple(_view(title, a, b, constants) for title, (a, b) in zip(titles, readings, strict=True))
    return Comparison(views, _total(views, constants), constants.fitted_on if constants else "")


def _name(reading: Reading, number: int) -> str:
    return str(number) if reading.path is None else reading.path.replace("\\", "/").rsplit("/", 1)[-1]


def _view(name: str, before: Reading, after: Reading, constants: PairUncertainty | None) -> Change:
    obstacles = _obstacles(before, after)
    if before.counted is None or after.counted is None:
        return Change(name, before, after, None, None, obstacles)
    counts = (float(before.counted.lesions), float(after.counted.lesions))
    if obstacles:
        return Change(name, before, after, counts, None, obstacles)
    return Change(name, before, after, counts, difference([before.counted], [after.counted], before.level, constants))


def _obstacles(before: Reading, after: Reading) -> tuple[Obstacle, ...]:
    found = [Obstacle(where, code) for where, r in ((BASELINE, before), (FOLLOWUP, after)) for code in r.obstacles]
    if before.counted is not None and after.counted is not None:
        found += [Obstacle(BOTH, "other_model")] * (before.model != after.model)
        found += [Obstacle(BOTH, "other_scale")] * (before.scale != after.scale)
        found += [Obstacle(BOTH, "same_photograph")] * (before.path is not None and before.path == after.path)
    return tuple(found)


def _total(views: Sequence[Change], constants: PairUncertainty | None) -> Change:
    known = [view.counts for view in views if view.counts is not None]
    counts = (sum(a for a, _ in known), sum(b for _, b in known)) if len(known) == len(views) else None
    obstacles = tuple(dict.fromkeys(obstacle for view in views for obstacle in view.obstacles))
    if obstacles:
        return Change("sum", None, None, counts, None, obstacles)
    before, after = (
        [r.counted for r in side if r and r.counted] for side in zip(*((v.before, v.after) for v in views), strict=True)
    )
    level = min(view.before.level for view in views if view.before)
    return Change("sum", None, None, counts, difference(before, after, level, constants))
