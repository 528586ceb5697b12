"""The page about drift: what has changed in photographs and counts since the reference, look by look."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from acne_edge import __version__
from acne_edge.catalogue import Catalogue
from acne_edge.records.drift import COUNTS, FEW, LOOKS, PICTURES, STEADY, Drift, Look, Shift
from acne_edge.report import words
from acne_edge.report.page import render

VERDICTS = {STEADY: "steady", PICTURES: "pictures", COUNTS: "counts", FEW: "few"}


def write_page(found: Drift, model: str, catalogue: Catalogue) -> str:
    """The page, HTML that stands alone, without photographs.

    Args:
        found: the looks.
        model: name and version of the model that made the results.
        catalogue: the language.

    Raises MissingExtraError without Jinja2.
    """
    t = catalogue
    return render(
        "drift.html",
        catalogue,
        verdict=t.word("drift.verdict", VERDICTS[found.verdict]),
        advice=t.word("drift.advice", VERDICTS[found.verdict]),
        looks=[_look(look, t) for look in found.looks],
        reference=found.reference.fitted_on,
        number=LOOKS,
        model=model,
        package=__version__,
        date=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %z"),
    )


def _look(look: Look, t: Catalogue) -> dict[str, Any]:
    return {
        "name": look.name,
        "new": look.new,
        "photographs": look.photographs,
        "failed": look.failed,
        "verdict": t.word("drift.verdict", VERDICTS[look.verdict]),
        "shifts": [_shift(shift, t) for shift in look.shifts],
    }


def _shift(shift: Shift, t: Catalogue) -> dict[str, Any]:
    return {
        "measure": t.word("drift.measure", shift.measure),
        "median": words.number(shift.median),
        "reference": words.number(shift.reference_median),
        "distance": words.number(shift.distance),
        "p": "< 0.0001" if shift.p < 1e-4 else words.number(shift.p, 4),
        "drifted": t("drift.yes") if shift.drifted else t("does_not_exist"),
    }
