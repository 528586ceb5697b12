"""The bootstrap behind every 95 % interval of this project."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Figure: TypeAlias = "dict[str, float | None]"  # value, low, high; None for a figure that does not exist

REPEATS = 1000
LEVEL = 0.95


def bootstrap(
    figures: Callable[[NDArray[np.int64]], Mapping[str, float]],
    n: int,
    repeats: int = REPEATS,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[str, Figure]:
    """Percentile bootstrap over `n` photographs: {name: {value, low, high}} for each figure that `figures(indices)` returns.

    `figures` gets indices int64 [n] into the photographs: first all of them, then `repeats` samples drawn with replacement. The
    same `n` and `seed` give the same samples, so that two models can be compared photograph by photograph. A figure that does
    not exist is nan in `figures` and None in the result; samples without it are left out of its percentiles.

    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13.
    """
    rng = np.random.default_rng(seed)
    values = figures(np.arange(n))
    draws = [figures(rng.integers(0, n, n)) for _ in range(repeats)]
    tail = 50 * (1 - level)
    found: dict[str, Figure] = {}
    for name, value in values.items():
        drawn = np.array([draw[name] for draw in draws])
        drawn = drawn[~np.isnan(drawn)]
        low, high = np.percentile(drawn, [tail, 100 - tail]) if len(drawn) and not np.isnan(value) else (np.nan, np.nan)
        found[name] = {"value": _known(value), "low": _known(low), "high": _known(high)}
    return found


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
