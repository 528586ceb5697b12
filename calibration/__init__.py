"""INT8 calibration: draws crops from ACNE04 training photographs, and measures activation ranges on them.

Output calibration, elsewhere, means correcting probabilities (`acne_edge.training.model.OutputCalibration`).
"""

from __future__ import annotations

from typing import Literal, get_args

Method = Literal["minmax", "percentile", "entropy"]
METHODS: tuple[Method, ...] = get_args(Method)  # ways to choose a tensor's range from its values; see `calibration.ranges`
MIN_CROPS, MAX_CROPS = 100, 1000  # of a set
