"""The report of one visit: both sides of a face, and perhaps further views, to read, print and count again by hand.

How the sides are put together, and why:

* The counts are added, rounded, so that whoever adds what stands there finds the same. A lesion that both photographs show
  counts twice.
* The ends of the intervals are added too. Each interval holds its count with probability `level`; whatever the errors have to do
  with each other, both hold at once with at least 2 level - 1 (Bonferroni's inequality), and then the sum of the counts lies
  between the sums of the ends. That is cautious: independent errors would allow a narrower interval, but those of one face,
  under one light, are not independent.
* The bands of the scale hold for half a face, as the labels of the model do, so a sum has no grade. Each side has its own, and
  that of the worse side is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from acne_edge import __version__
from acne_edge import image as images
from acne_edge.catalogue import Catalogue
from acne_edge.grading import HAYASHI, SeverityScale
from acne_edge.prediction import CountInterval, Prediction
from acne_edge.render import overlay
from acne_edge.report import words
from acne_edge.report.page import picture_data, render

PICTURE = 1400  # pixels of the longer side of a photograph in the page: enough for paper
PICTURE_QUALITY = 85


@dataclass(frozen=True)
class Together:
    """Two sides as one; see the rule at the top of this module."""

    count: int  # lesions on both sides
    interval: CountInterval
    worse: tuple[int, ...]  # the sides, 0 and 1, whose grade is the higher one: both where they are equal; none without grades


def put_together(sides: Sequence[Prediction]) -> Together | None:
    """Both sides by the rule at the top of this module; None where a side has no count, because nothing was to be seen on it."""
    if not all(side.is_counted for side in sides):
        return None
    low, high = (sum(getattr(side.count_interval, end) for side in sides) for end in ("low", "high"))
    level = 1 - sum(1 - side.count_interval.level for side in sides)
    graded = not any(side.abstained for side in sides)
    top = max(_severity(side) for side in sides)
    worse = tuple(i for i, side in enumerate(sides) if _severity(side) == top) if graded else ()
    return Together(sum(side.rounded_count for side in sides), CountInterval(round(level, 6), low, high), worse)


def _severity(side: Prediction) -> tuple[int, ...]:
    """What is compared: the grade, or less than any where nothing was counted; then how far the possible grades reach."""
    if side.count < 0.5:
        return (-1,)
    return side.grade.index, max(side.grade_set), min(side.grade_set)


def write_page(
    left: Prediction, right: Prediction, more: Sequence[Prediction], scale: SeverityScale, catalogue: Catalogue, title: str = ""
) -> str:
    """The page, HTML that stands alone: both sides together, and then a page a view.

    Args:
        left: of the photograph that shows the left side of the face; predictions must have paths, from which they are read again.
        right: of the other side.
        more: of further views, which are shown but not added.
        scale: the one that the grades are on.
        catalogue: the language.
        title: a heading instead of the usual one; nothing else is said of whose face it is.

    Raises MissingExtraError without Jinja2, ImageError for a photograph that cannot be read any more.
    """
    names = [catalogue("visit.left"), catalogue("visit.right")]
    names += [catalogue("visit.more", number=number) for number in range(1, len(more) + 1)]
    views = [_view(name, p, scale, catalogue) for name, p in zip(names, (left, right, *more), strict=True)]
    level = left.count_interval.level
    return render(
        "visit.html",
        catalogue,
        title=title or catalogue("visit.title"),
        sides=views[:2],
        views=views,
        together=_together((left, right), views, scale, catalogue),
        level=_percent(level),
        both=_percent(1 - 2 * (1 - level)),
        scale=scale.name,
        hayashi=scale.lower == HAYASHI.lower,
        model=left.model,
        package=__version__,
        date=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %z"),
    )


def _together(
    sides: tuple[Prediction, Prediction], views: Sequence[dict[str, Any]], scale: SeverityScale, t: Catalogue
) -> dict[str, str]:
    found = put_together(sides)
    ungraded = next((view["name"] for view, side in zip(views, sides, strict=False) if side.abstained), "")
    if found is None:
        return {"count": "", "text": t("visit.sum.none", side=ungraded), "worse": t("visit.worse.none", side=ungraded)}
    interval = t("visit.sum.interval", low=found.interval.low, high=found.interval.high, level=_percent(found.interval.level))
    if not found.worse:
        worse = t("visit.worse.none", side=ungraded)
    else:
        grade = words.grade(t, sides[found.worse[0]], scale.labels)
        whose = found.worse[0] if len(found.worse) == 1 else None
        worse = t("visit.worse.both", grade=grade) if whose is None else t("visit.worse", grade=grade, side=views[whose]["name"])
    return {"count": str(found.count), "text": interval, "worse": worse}


def _view(name: str, p: Prediction, scale: SeverityScale, t: Catalogue) -> dict[str, Any]:
    counted = p.is_counted
    interval = p.count_interval
    fewer = len(p.marks) < p.rounded_count
    faults = words.faults(p)
    return {
        "name": name,
        "count": str(p.rounded_count) if counted else "",
        "unit": t("visit.lesion" if p.rounded_count == 1 else "visit.lesions"),
        "range": t("visit.range", low=interval.low, high=interval.high, level=_percent(interval.level)) if counted else "",
        "interval": f"{interval.low}\N{EN DASH}{interval.high}" if counted else "\N{EN DASH}",
        "grade": words.grade(t, p, scale.labels),
        "reason": t("visit.no_grade", reason=t.word("quality", p.abstained)) if p.abstained else "",
        "ladder": _ladder(p, scale, t),
        "advice": [t.word("advice", reason) for reason in faults] or [t("advice.ok")],
        "good": not faults,
        "picture": _picture(p, counted),
        "alt": t("visit.picture", side=name, n=len(p.marks) if counted else 0),
        "marks": t("visit.marks.fewer" if fewer else "visit.marks", marks=len(p.marks), count=p.rounded_count) if counted else "",
    }


def _ladder(p: Prediction, scale: SeverityScale, t: Catalogue) -> list[dict[str, Any]]:
    """The grades from the mildest on, with what the model says of each; without a grade it says nothing."""
    said = not p.abstained and p.count >= 0.5
    rungs = []
    for grade, label in enumerate(scale.labels):
        last = grade + 1 == len(scale.lower)
        bounds = {"low": scale.lower[grade], **({} if last else {"high": scale.lower[grade + 1] - 1})}
        rung = {"name": t.word("grade", label), "band": t("visit.ladder.top" if last else "visit.ladder.band", **bounds)}
        state = "likely" if grade == p.grade.index else "possible" if grade in p.grade_set else ""
        mark = t(f"visit.ladder.{state}") if said and state else ""
        share = t("percent", value=f"{100 * p.grade_probs[grade]:.0f}") if said else ""
        rungs.append({**rung, "state": state if said else "", "mark": mark, "share": share})
    return rungs


def _picture(p: Prediction, counted: bool) -> str:
    """The photograph with its marks, in sRGB; of its file nothing but the pixels."""
    assert p.path is not None
    small = images.read(p.path, min_side=PICTURE).copy()
    small.thumbnail((PICTURE, PICTURE))
    places = [(lesion.x, lesion.y) for lesion in p.marks] if counted else []
    return picture_data(overlay.encode(overlay.draw(small, places), ".jpg", quality=PICTURE_QUALITY))


def _percent(share: float) -> str:
    return f"{100 * share:.0f}"
