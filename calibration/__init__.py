"""Calibration for INT8: crops of ACNE04 training photographs, listed by name and hash, and activation ranges measured on them.

Elsewhere, output calibration is another thing: probabilities that are right (`acne_edge.training.model.OutputCalibration`).
"""

from __future__ import annotations

from typing import Literal, get_args

Method = Literal["minmax", "percentile", "entropy"]
METHODS: tuple[Method, ...] = get_args(Method)  # of reading a tensor's range off its values; see `calibration.ranges`
MIN_CROPS, MAX_CROPS = 100, 1000  # of a set
