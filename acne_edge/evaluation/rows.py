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
    """Base of dataclasses whose fields are arrays [N, ...] over the same N photographs, or None if unknown."""

    def take(self, index: NDArray[np.integer]) -> Self:
        """The photographs at `index`, int [n], in that order; an index may occur several times."""
        return type(self)(*(_each(getattr(self, field.name), index) for field in fields(self)))

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """The photographs of all parts, in order. A field that is None in one part is None in the whole."""
        columns = ([getattr(part, field.name) for part in parts] for field in fields(cls))
        return cls(*(None if any(values is None for values in column) else np.concatenate(column) for column in columns))


def _each(values: Any, index: NDArray[np.integer]) -> Any:
    return None if values is None else values[index]
