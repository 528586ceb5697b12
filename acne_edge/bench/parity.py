"""Whether two versions of a model agree: a runtime against the exact arithmetic of its file, or a file against its checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acne_edge.backends.base import OUTPUT_NAMES, Outputs
from acne_edge.errors import ModelError
from acne_edge.preprocess import resize

Images = NDArray[np.uint8]
Runner = Callable[[Images], Outputs]

# Largest allowed absolute difference of each output; the lesion map's is in lesions per cell. A float version may differ only by
# rounding. An INT8 or FP16 version may move probability between neighbouring counts; the gate judges the effect on results. The
# limits are twice the largest measured differences, .060, .020 and .139 for acne-edge-s 0.4 on 32 photographs and the adversarial
# images; for count_probs it is .042, of version 0.5, whose calibration sharpens the distribution.
EXACT = {"grade_probs": 1e-4, "count_probs": 1e-4, "lesion_map": 1e-3}
REDUCED = {"grade_probs": 0.12, "count_probs": 0.084, "lesion_map": 0.28}


@dataclass(frozen=True)
class Row:
    """One output for one kind of image: the difference of two versions, and its limit."""

    images: str
    output: str
    difference: float
    tolerance: float

    @property
    def ok(self) -> bool:
        """Within the tolerance; nan is not."""
        return self.difference <= self.tolerance


def rows(images: str, reference: Outputs, candidate: Outputs, tolerances: Mapping[str, float]) -> Iterator[Row]:
    """Compare each output."""
    for name, expected, found in zip(OUTPUT_NAMES, reference[:3], candidate[:3], strict=True):
        apart = float(np.abs(expected - found).max()) if np.isfinite(found).all() else float("nan")
        yield Row(images, name, apart, tolerances[name])


def adversarial(size: int) -> dict[str, Images]:
    """Artificial images, each uint8 [1, size, size, 3]: flat, noise, enlarged from 32 pixels, reduced from 6000."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 255, 6000).astype(np.uint8)
    images = {
        "black": np.zeros((size, size, 3), np.uint8),
        "white": np.full((size, size, 3), 255, np.uint8),
        "noise": rng.integers(0, 256, (size, size, 3), np.uint8),
        "tiny": resize(rng.integers(0, 256, (32, 32, 3), np.uint8), size, size),
        "huge": resize(np.stack([np.broadcast_to(ramp, (4000, 6000))] * 3, -1), size, size),
    }
    return {name: image[None] for name, image in images.items()}


def simulated_runner(data: bytes) -> Runner:
    """Runs a Q/DQ file with float32 arithmetic, as exact as INT8 hardware with 32-bit sums, such as TensorRT's.

    INT8 kernels for processors without VNNI are less exact: their sums saturate. Raises ModelError for a file that ONNX Runtime
    refuses.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    options.add_session_config_entry("session.force_spinning_stop", "1")  # it may wait long for its next images
    try:
        session: Any = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's exceptions share no public base class
        raise ModelError(f"ONNX Runtime cannot load the model: {(str(error).splitlines() or [''])[0]}") from error
    return lambda images: Outputs(*session.run(OUTPUT_NAMES, {"image": images}))
