"""What the photographs looked like that a model's constants were fitted on, and what was counted on them.

`acne-edge drift` compares newer results with it. A manifest may hold it (`reference`). Nothing that a model computes depends on
it, so a reader may ignore it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

QUALITY = ("brightness", "clipped", "sharpness", "noise", "colour_detail", "skin")  # not the size, which is the file's
UNFAMILIARITY, COUNT = "unfamiliarity", "count"
MEASURES = (*QUALITY, UNFAMILIARITY, COUNT)
MOST = 256  # values of a measure that are kept


@dataclass(frozen=True)
class Reference:
    """The distribution of each measure, as sorted values."""

    values: Mapping[str, tuple[float, ...]]  # by names of `MEASURES`; at most `MOST` each, evenly spread over the ranks
    photographs: int
    fitted_on: str  # which photographs; for people

    @staticmethod
    def of(measured: Sequence[Mapping[str, float]], fitted_on: str) -> Reference:
        """From the measures of photographs, as `measures` gives them; some may lack some."""
        found = {name: sorted(row[name] for row in measured if name in row) for name in MEASURES}
        return Reference({name: _thinned(values) for name, values in found.items() if values}, len(measured), fitted_on)

    def with_measure(self, name: str, values: Iterable[float]) -> Reference:
        """The same with another measure, of these or other photographs."""
        return replace(self, values={**self.values, name: _thinned(sorted(round(float(value), 3) for value in values))})


def measures(quality: Mapping[str, Any], count: float | None = None, unfamiliarity: float | None = None) -> dict[str, float]:
    """The measures of one photograph, rounded as in a result's JSON form, so that equal photographs give equal values.

    Args:
        quality: the scores, as `Quality.to_dict` gives them.
        count: lesions; None where nothing was counted.
        unfamiliarity: in thresholds; None where the model does not tell.
    """
    found = {name: float(quality[name]) for name in QUALITY}
    if unfamiliarity is not None:
        found[UNFAMILIARITY] = round(unfamiliarity, 3)
    if count is not None:
        found[COUNT] = round(count, 2)
    return found


def _thinned(values: Sequence[float]) -> tuple[float, ...]:
    """At most `MOST` of the sorted values, from the middles of equal parts."""
    n = len(values)
    return tuple(values) if n <= MOST else tuple(values[(2 * i + 1) * n // (2 * MOST)] for i in range(MOST))
