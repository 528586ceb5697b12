"""How people and the model agree: the end of a study of readers."""

from __future__ import annotations

import math
from typing import Any

from acne_edge.evaluation.metrics import agreement, count_metrics, grade_metrics, limits_of_agreement
from acne_edge.serve.exports import said
from acne_edge.serve.rows import rounded
from acne_edge.serve.study import Study


def measured(study: Study) -> dict[str, Any]:
    """Of each reader: counts beside the model's, as pairs and in figures; null stands where a figure does not exist.

    Of one who counted blind it is the count before the model's was seen, and `blind` says of how many photographs that is so.
    The rest was counted with the model's marks in sight, and agrees better than people alone would.
    """
    people: dict[str, list[dict[str, Any]]] = {}
    scale = study.engine.grader.scale
    for photograph, who, reading in said(study, None):
        first = reading.first
        lesions = int(first["lesions"] if first else reading.lesions or 0)
        grade = first["grade"] if first else reading.grade
        people.setdefault(who, []).append(
            {
                "id": photograph.id,
                "name": photograph.name,
                "human": lesions,
                "machine": rounded(photograph.result),
                "grades": [scale.grade(lesions) if grade is None else grade, photograph.result["grade"]["index"]],
                "blind": first is not None,
            }
        )
    return {"readers": [{"reader": who, **_figures(pairs, len(scale.labels))} for who, pairs in people.items()]}


def _figures(pairs: list[dict[str, Any]], grades: int) -> dict[str, Any]:
    human, machine = [p["human"] for p in pairs], [p["machine"] for p in pairs]
    low, high = limits_of_agreement(human, machine)
    by_grade = grade_metrics([p["grades"][0] for p in pairs], [p["grades"][1] for p in pairs], grades)
    figures = {
        "icc": agreement(list(zip(human, machine, strict=True))),
        "bias": count_metrics(human, machine)["bias"],
        "mae": count_metrics(human, machine)["mae"],
        "low": low,
        "high": high,
        "same_grade": by_grade["accuracy"],
        "qwk": by_grade["qwk"],
    }
    return {
        "photographs": len(pairs),
        "blind": sum(p["blind"] for p in pairs),
        **{name: None if math.isnan(value) else value for name, value in figures.items()},
        "pairs": pairs,
    }
