"""What the page is told, as JSON: a row for the list, and all of one photograph."""

from __future__ import annotations

import math
from typing import Any

from acne_edge.grading import UNFAMILIAR, SeverityScale
from acne_edge.quality import BLANK
from acne_edge.serve.store import Photograph, Reading

NEW, SEEN, CORRECTED, FAILED = "new", "seen", "corrected", "failed"


def state(photograph: Photograph, reading: Reading) -> str:
    """By which the list is filtered."""
    if "error" in photograph.result:
        return FAILED
    if reading.done:
        return CORRECTED
    return SEEN if reading.version else NEW


def withheld(reading: Reading, blind: bool) -> bool:
    """Whether the reader is not to know yet what the model says."""
    return blind and not reading.revealed


def row(photograph: Photograph, reading: Reading, scale: SeverityScale, blind: bool) -> dict[str, Any]:
    """For the list."""
    result = photograph.result
    values: dict[str, Any] = {"id": photograph.id, "name": photograph.name, "time": photograph.stamp[1] // 1_000_000}
    values["state"] = state(photograph, reading)
    if "error" in result:
        return {**values, "error": result["error"]["code"]}
    values |= {"reasons": faults(result), "note": reading.note, "human": human(reading, scale)}
    if not withheld(reading, blind):
        values["machine"] = {"count": rounded(result), "grade": result["grade"]["index"], "abstained": result["abstained"]}
    return values


def faults(result: dict[str, Any]) -> list[str]:
    """Codes of what is wrong with the photograph itself; they tell nothing of its lesions."""
    unfamiliar = (result.get("unfamiliarity") or 0) > 1 and result["abstained"] != BLANK
    return [*([UNFAMILIAR] if unfamiliar else []), *result["quality"]["reasons"]]


def human(reading: Reading, scale: SeverityScale) -> dict[str, Any] | None:
    """Count and grade by a person; None where nobody counted."""
    if reading.lesions is None:
        return None
    return {"count": reading.lesions, "grade": scale.grade(reading.lesions) if reading.grade is None else reading.grade}


def detail(photograph: Photograph, reading: Reading, scale: SeverityScale, blind: bool) -> dict[str, Any]:
    """For the photograph that is looked at."""
    hidden = withheld(reading, blind)
    result = dict(photograph.result)
    if hidden and "error" not in result:
        result = {name: result[name] for name in ("schema", "image", "quality", "scale")}
    return {
        **row(photograph, reading, scale, blind),
        "sha256": photograph.sha256,
        "prediction": result,
        "withheld": hidden,
        "marked": 0 if hidden or "error" in result else min(rounded(result), len(result["lesions"])),
        "reading": of_reading(reading),
    }


def of_reading(reading: Reading) -> dict[str, Any]:
    """A reading as the page has it."""
    return {
        "version": reading.version,
        "marks": None if reading.marks is None else [{"x": x, "y": y, "score": score} for x, y, score in reading.marks],
        "count": reading.count,
        "grade": reading.grade,
        "note": reading.note,
        "done": reading.done,
        "revealed": reading.revealed,
        "first": reading.first,
        "at": reading.at,
    }


def rounded(result: dict[str, Any]) -> int:
    """The count to the nearest lesion; a half is rounded up."""
    return math.floor(float(result["count"]) + 0.5)
