from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from acne_edge.difference import PairUncertainty

PAIRS = PairUncertainty((0.5, 0.9, 0.99), (0.3, 0.9, 2.0), "drawn pairs")


@pytest.fixture
def row() -> Callable[..., dict[str, Any]]:
    """A result's JSON form as `predict` saves it, with the fields that a comparison reads."""

    def make(count: float, low: int, high: int, path: str | None = "a.jpg", **fields: Any) -> dict[str, Any]:
        return {
            "path": path,
            "count": count,
            "count_interval": {"level": 0.9, "low": low, "high": high},
            "grade": {"index": 0, "label": "mild", "text": "mild"},
            "quality": {"reasons": []},
            "abstained": None,
            "scale": "hayashi",
            "model": {"sha256": "0" * 64},
            **fields,
        }

    return make
