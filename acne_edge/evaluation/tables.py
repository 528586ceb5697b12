"""Formats figures as strict JSON and as cells of Markdown tables."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

# Figures whose names begin so are printed in percent.
SHARES = ("accuracy", "balanced", "recall", "interval_coverage", "grade_set_coverage", "abstained")


def strict(value: Any) -> Any:
    """The value with None in place of nan, which JSON lacks; it marks a figure that does not exist."""
    if isinstance(value, Mapping):
        return {key: strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def to_json(value: Any, indent: int = 1) -> str:
    """Figures as strict JSON without a final line end, as every command writes them. Raises ValueError for infinity."""
    return json.dumps(strict(value), indent=indent, allow_nan=False)


def number(value: float | None, digits: int = 2) -> str:
    """A figure for a table; a dash if it does not exist."""
    return "-" if value is None else f"{value:.{digits}f}"


def cell(name: str, figure: Mapping[str, float | None]) -> str:
    """The figure `name` with its interval, if any, as in `82.4 [80.1, 84.5]`; shares in percent."""
    percent = name.startswith(SHARES)
    value, low, high = (number(v if v is None or not percent else 100 * v, 1 if percent else 2) for v in _ends(figure))
    return value if name == "ece" or figure["low"] is None else f"{value} [{low}, {high}]"


def changes_line(changes: Mapping[str, Mapping[str, float | None]]) -> str:
    """The changes of another version (`outcome.changes_with_intervals`), on one line."""
    return "  ".join(name + " {} [{}, {}]".format(*map(_signed, _ends(change))) for name, change in changes.items())


def _ends(figure: Mapping[str, float | None]) -> tuple[float | None, float | None, float | None]:
    return figure["value"], figure["low"], figure["high"]


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.4f}"
