"""The page of one patient over time: counts with intervals, the ladder of grades, and events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np

from acne_edge import __version__
from acne_edge.catalogue import Catalogue
from acne_edge.followup.change import Change, compare_visits
from acne_edge.followup.timeline import Event, Photograph, Timeline
from acne_edge.grading import SeverityScale
from acne_edge.manifest import Manifest
from acne_edge.prediction import Failure, Prediction
from acne_edge.report import change, charts, words
from acne_edge.report.page import picture_data, render

PICTURE = ".jpg"


@dataclass(frozen=True)
class Seen:
    """A photograph and its result."""

    photograph: Photograph
    result: Prediction | Failure


def write_page(
    timeline: Timeline,
    results: Sequence[Prediction | Failure],
    scale: SeverityScale,
    manifest: Manifest,
    catalogue: Catalogue,
    pictures: bool = False,
) -> str:
    """The page, HTML that stands alone: a chart and a table for each view, and the events.

    Args:
        timeline: the patient's visits.
        results: of `timeline.photographs`, in that order.
        scale: the one that the grades are on.
        manifest: of the model, whose `pairs` give the intervals of changes.
        catalogue: the language.
        pictures: show the photographs with marks too.

    Raises MissingExtraError without Jinja2 or matplotlib, ImageError for a photograph that cannot be read any more.
    """
    t = catalogue
    seen = [Seen(p, r) for p, r in zip(timeline.photographs, results, strict=True)]
    views = [_view(i, name, [s for s in seen if s.photograph.view == name], timeline.events, scale, manifest, t, pictures)
             for i, name in enumerate(timeline.views)]  # fmt: skip
    model = next((r.model for r in results if r.ok), None)
    return render(
        "track.html",
        catalogue,
        title=t("track.title", patient=timeline.patient),
        views=views,
        events=[{"mark": f"E{i}", "day": e.day.isoformat(), "text": e.text} for i, e in enumerate(timeline.events, 1)],
        bands=[{"name": t.word("grade", label), "band": words.band(scale, i)} for i, label in enumerate(scale.labels)],
        scale=scale.name,
        fitted_on=manifest.pairs.fitted_on if manifest.pairs else "",
        pictures=pictures,
        model=model,
        package=__version__,
        date=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %z"),
    )


def _view(
    number: int,
    name: str,
    seen: Sequence[Seen],
    events: Sequence[Event],
    scale: SeverityScale,
    manifest: Manifest,
    t: Catalogue,
    pictures: bool,
) -> dict[str, Any]:
    counted = [(s.photograph.day, s.result) for s in seen if s.result.ok and s.result.is_counted]
    first = seen[0].result
    rows = []
    for i, one in enumerate(seen):
        since = compare_visits([first], [one.result], manifest).total if i else None
        rows.append(_row(one, since, scale, t, pictures))
    title = name or t("track.face")
    return {"name": title, "chart": _chart(number, title, counted, events, scale, t) if counted else "", "rows": rows}


def _chart(
    number: int, name: str, counted: Sequence[tuple[date, Any]], events: Sequence[Event], scale: SeverityScale, t: Catalogue
) -> str:
    texts = {"alt": t("track.chart", view=name, n=len(counted)), "x": "", "y": t("track.count")}
    return charts.timeline(
        f"track-{number}",
        [day for day, _ in counted],
        np.array([(p.count, p.count_interval.low, p.count_interval.high) for _, p in counted], float),
        [bool(words.faults(p)) for _, p in counted],
        scale.lower,
        [event.day for event in events],
        texts,
    )


def _row(one: Seen, since: Change | None, scale: SeverityScale, t: Catalogue, pictures: bool) -> dict[str, Any]:
    result, dash = one.result, t("does_not_exist")
    row = {"day": one.photograph.day.isoformat(), "count": dash, "interval": "", "grade": dash, "note": "", "picture": ""}
    row["since"], row["change"] = _since(since, t)
    if not result.ok:
        return {**row, "note": result.error.message}
    if result.is_counted:
        interval = result.count_interval
        row["count"] = str(result.rounded_count)
        row["interval"] = t("change.range", low=interval.low, high=interval.high, level=f"{100 * interval.level:.0f}")
    row["grade"] = words.grade(t, result, scale.labels)
    row["note"] = ", ".join(t.word("quality", reason) for reason in words.faults(result))
    if pictures:
        row["picture"] = picture_data(result.picture(PICTURE))
        row["alt"] = t("visit.picture", side=f"{one.photograph.view} {row['day']}", n=len(result.marks))
    return row


def _since(since: Change | None, t: Catalogue) -> tuple[str, str]:
    if since is None:
        return t("track.first"), ""
    return t.word("change.verdict", change.VERDICTS[since.verdict]), change.interval(since, t)
