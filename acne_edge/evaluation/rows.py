"""Keeps arrays over the same photographs together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class Rows:
    """Base of dataclasses whose fields are arrays [N, ...] over the same N photographs, or None if unknown.

    Anything else in a field holds for all photographs, and for all parts that are joined.
    """

    def take(self, index: NDArray[np.integer]) -> Self:
        """The photographs at `index`, int [n], in that order; an index may occur several times."""
        return type(self)(*(_each(getattr(self, field.name), index) for field in fields(self)))

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """The photographs of all parts, in order. A field that is None in one part is None in the whole."""
        columns = [[getattr(part, field.name) for part in parts] for field in fields(cls)]
        return cls(*map(_joined, columns))


def _each(values: Any, index: NDArray[np.integer]) -> Any:
    return values[index] if isinstance(values, np.ndarray) else values


def _joined(column: list[Any]) -> Any:
    if any(values is None for values in column):
        return None
    return np.concatenate(column) if isinstance(column[0], np.ndarray) else column[0]
