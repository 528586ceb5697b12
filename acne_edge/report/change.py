"""The page about two visits: what changed, view by view and in sum, and whether it is more than measurement error."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from acne_edge import __version__
from acne_edge.catalogue import Catalogue
from acne_edge.followup.change import FEWER, INCOMPARABLE, MORE, SAME, Change, Comparison
from acne_edge.followup.visits import Paired
from acne_edge.prediction import ModelInfo
from acne_edge.report import words
from acne_edge.report.page import render

VERDICTS = {FEWER: "fewer", MORE: "more", SAME: "same", INCOMPARABLE: "incomparable"}


def write_page(found: Comparison, paired: Paired, model: ModelInfo, catalogue: Catalogue) -> str:
    """The page, HTML that stands alone, without photographs.

    Args:
        found: the comparison.
        paired: how its views were paired.
        model: that made the results.
        catalogue: the language.

    Raises MissingExtraError without Jinja2.
    """
    t = catalogue
    verdict = t.word("change.verdict", VERDICTS[found.total.verdict])
    return render(
        "change.html",
        catalogue,
        verdict=verdict,
        total=_row(found.total, t) if len(found.views) > 1 else None,
        views=[_row(view, t) for view in found.views],
        pairing=t.word("change.by", paired.how),
        left=paired.left,
        fitted_on=found.fitted_on,
        model=model,
        package=__version__,
        date=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %z"),
    )


def interval(view: Change, t: Catalogue) -> str:
    """The interval of a change in words; empty if there is none."""
    d = view.difference
    return "" if d is None else t("change.range", low=_signed(d.low), high=_signed(d.high), level=f"{100 * d.level:.0f}")


def _row(view: Change, t: Catalogue) -> dict[str, Any]:
    d = view.difference
    signed = None if d is None else f"{d.change:+.1f}".replace("-", words.MINUS)
    return {
        "name": view.view if view.before else t("change.sum"),
        "counts": [words.number(count, 1) for count in view.counts] if view.counts else None,
        "grades": [_grade(r.grade, t) for r in (view.before, view.after)] if view.before and view.after else None,
        "files": [r.path or t("does_not_exist") for r in (view.before, view.after)] if view.before and view.after else None,
        "change": signed or t("does_not_exist"),
        "interval": interval(view, t),
        "percent": t("does_not_exist") if view.percent is None else t("percent", value=_signed(round(view.percent))),
        "fewer": t("does_not_exist") if d is None or d.fewer is None else t("percent", value=f"{100 * d.fewer:.0f}"),
        "verdict": t.word("change.verdict", VERDICTS[view.verdict]),
        "why": [t("change.why", where=t.word("change.at", o.where), what=_obstacle(o.code, t)) for o in view.obstacles],
    }


def _obstacle(code: str, t: Catalogue) -> str:
    word = t.word("change.obstacle", code)
    return word if word != code.replace("_", " ") else t.word("quality", code)


def _grade(text: str, t: Catalogue) -> str:
    """The grade in words, `mild to moderate`, in the language of the catalogue."""
    low, _, high = text.partition(" to ")
    if not text:
        return t("does_not_exist")
    return t("grade.range", low=t.word("grade", low), high=t.word("grade", high)) if high else t.word("grade", low)


def _signed(value: int) -> str:
    return f"{value:+d}".replace("-", words.MINUS) if value else "0"
