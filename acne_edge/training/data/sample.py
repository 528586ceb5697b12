"""One photograph to learn from or to be judged on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sample:
    """One photograph. `boxes` has one box per lesion, float32 [n, 4]: (xmin, ymin, xmax, ymax) in 0..1 of the frame; or None."""

    name: str
    path: Path
    grade: int
    count: int
    boxes: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
