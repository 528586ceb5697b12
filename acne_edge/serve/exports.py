"""What people said, for other programs: the annotated set (COCO) and a table, both of which `acne-edge evaluate` reads."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from acne_edge.evaluation.annotated import AnnotatedPhotograph, AnnotatedSet, Mark
from acne_edge.evaluation.annotated import Reading as Said
from acne_edge.serve.rows import rounded
from acne_edge.serve.store import Photograph, Reading
from acne_edge.serve.study import Study

LAST, BLIND = "last", "blind"  # which counts: as they stand, or as they were before the model's were seen
COLUMNS = (
    "file", "count", "grade", "label", "reader", "at", "note", "blind_count", "blind_grade",
    "machine_count", "machine_low", "machine_high", "machine_grade",
)  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would compute a cell that begins so


def said(study: Study, reader: str | None) -> Iterator[tuple[Photograph, str, Reading]]:
    """Each photograph, and each reading of it that is done, by one person or by all."""
    readings = study.store.readings(reader)
    people = sorted({who for _, who in readings})
    for photograph in study.photographs():
        if "error" in photograph.result:
            continue
        for who in people:
            reading = readings.get((photograph.sha256, who))
            if reading is not None and reading.done and reading.lesions is not None:
                yield photograph, who, reading


def annotated(study: Study, reader: str | None = None, which: str = LAST) -> AnnotatedSet:
    """The annotated set. `which` chooses what one who counted blind said before (`blind`) or last (`last`)."""
    scale = study.engine.grader.scale
    found: dict[int, tuple[Photograph, list[Said]]] = {}
    for photograph, who, reading in said(study, reader):
        count, grade, marks = reading.lesions, reading.grade, reading.marks
        if which == BLIND:
            if reading.first is None:
                continue
            count, grade, marks = (reading.first[name] for name in ("lesions", "grade", "marks"))
        assert count is not None
        places = None if marks is None or len(marks) != count else tuple(Mark(x, y) for x, y, _ in marks)
        entry = Said(count, scale.grade(count) if grade is None else grade, places, who, reading.at, reading.note)
        found.setdefault(photograph.id, (photograph, []))[1].append(entry)
    return AnnotatedSet(
        tuple(
            AnnotatedPhotograph(p.name, p.result["image"]["width"], p.result["image"]["height"], tuple(entries))
            for p, entries in found.values()
        ),
        scale.name,
        f"Read on the page of acne-edge, beside {study.engine.grader.model.name} {study.engine.grader.model.version}.",
    )


def table(study: Study, reader: str | None = None) -> str:
    """A row for each reading, as CSV."""
    scale, stream = study.engine.grader.scale, io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for photograph, who, reading in said(study, reader):
        writer.writerow(_line(photograph, who, reading, scale))
    return stream.getvalue()


def _line(photograph: Photograph, who: str, reading: Reading, scale: Any) -> dict[str, Any]:
    assert reading.lesions is not None
    result, first = photograph.result, reading.first
    grade = scale.grade(reading.lesions) if reading.grade is None else reading.grade
    blind = first and (scale.grade(first["lesions"]) if first["grade"] is None else first["grade"])
    return {
        "file": photograph.name,
        "count": reading.lesions,
        "grade": grade,
        "label": scale.labels[grade],
        "reader": _plain(who),
        "at": reading.at,
        "note": _plain(reading.note),
        "blind_count": first and first["lesions"],
        "blind_grade": blind,
        "machine_count": rounded(result),
        "machine_low": result["count_interval"]["low"],
        "machine_high": result["count_interval"]["high"],
        "machine_grade": result["grade"]["index"],
    }


def _plain(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) else text
