"""What a prediction is, and its JSON form, which `prediction.schema.json` beside this file describes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from acne_edge.errors import AcneEdgeError
    from acne_edge.quality import Quality

SCHEMA = "1.1"  # a minor version adds fields and changes none


@dataclass(frozen=True)
class CountInterval:
    """The lesion counts, both ends included, that hold the true one with probability `level`."""

    level: float
    low: int
    high: int


@dataclass(frozen=True)
class Grade:
    """A grade: its index into the scale, from 0, and its label."""

    index: int
    label: str


@dataclass(frozen=True)
class ModelInfo:
    """The model that made a prediction and what it really ran on."""

    name: str
    version: str
    sha256: str  # of the model file
    backend: str  # runtime and provider


@dataclass(frozen=True)
class Prediction:
    """The result for one photograph. It is decision support for professionals, not a diagnosis."""

    count: float  # lesions
    count_interval: CountInterval
    grade: Grade
    grade_probs: tuple[float, ...]  # one a grade, sums to 1
    grade_set: tuple[int, ...]  # grades that cannot be excluded at the interval's level
    scale: str
    quality: Quality  # of the capture; its `reasons` are empty for a good one
    abstained: str | None  # reason code for not trusting the grade, or None
    model: ModelInfo
    timings: dict[str, float]  # milliseconds by stage, and their `total`
    path: str | None = None
    lesion_map: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32), repr=False, compare=False)
    """Float32 [h, w], expected lesions in each cell of a grid over the whole frame."""

    @property
    def ok(self) -> Literal[True]:
        """This is a prediction and not a `Failure`; type checkers narrow by it."""
        return True

    def to_dict(self, lesion_map: bool = False) -> dict[str, Any]:
        """The JSON form, rounded to what is meant; the lesion map only on request."""
        values: dict[str, Any] = {
            "schema": SCHEMA,
            "path": self.path,
            "count": round(self.count, 2),
            "count_interval": {
                "level": self.count_interval.level,
                "low": self.count_interval.low,
                "high": self.count_interval.high,
            },
            "grade": {"index": self.grade.index, "label": self.grade.label},
            "grade_probs": [round(p, 4) for p in self.grade_probs],
            "grade_set": list(self.grade_set),
            "scale": self.scale,
            "quality": self.quality.to_dict(),
            "abstained": self.abstained,
            "model": vars(self.model),
            "timings": {stage: round(ms, 3) for stage, ms in self.timings.items()},
        }
        if lesion_map:
            values["lesion_map"] = [[round(float(v), 5) for v in row] for row in self.lesion_map]
        return values


@dataclass(frozen=True)
class Failure:
    """An input of a batch for which there is no prediction, and why."""

    path: str | None
    error: AcneEdgeError

    @property
    def ok(self) -> Literal[False]:
        """This is not a prediction."""
        return False

    def to_dict(self) -> dict[str, Any]:
        """The JSON form of a failed input."""
        return {"schema": SCHEMA, "path": self.path, "error": {"code": self.error.code, "message": self.error.message}}
