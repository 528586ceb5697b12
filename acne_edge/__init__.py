"""acne-edge: counts acne lesions and grades severity from one photograph, on the device that took it.

    from acne_edge import AcneGrader

    with AcneGrader.load() as grader:
        print(grader.predict("photo.jpg").grade.label)

Names load on first use, so that `import acne_edge` costs nothing.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as type checkers read it, without the import of typing
if TYPE_CHECKING:
    from typing import Any

    from acne_edge.errors import (
        AcneEdgeError,
        BackendError,
        ImageDecodeError,
        ImageError,
        ImageNotFoundError,
        ImageSizeError,
        ManifestError,
        MissingExtraError,
        ModelError,
        ModelIntegrityError,
        PoorQualityError,
        UsageError,
    )
    from acne_edge.followup.change import Comparison, compare_visits
    from acne_edge.grader import AcneGrader
    from acne_edge.grading import BANDED, HAYASHI, SCALES, SeverityScale
    from acne_edge.interop.dataframe import to_dataframe
    from acne_edge.manifest import Manifest
    from acne_edge.positions import Lesion
    from acne_edge.prediction import CountInterval, Failure, Grade, ImageSize, ModelInfo, Prediction
    from acne_edge.quality import Quality
    from acne_edge.records.record import Record

__version__ = "0.1.0"

# ONNX Runtime 1.29 and newer can send usage data to its maker; it reads this switch on import. Nothing here opens a socket.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_HOMES = {
    "followup.change": ("Comparison", "compare_visits"),
    "grader": ("AcneGrader",),
    "prediction": ("CountInterval", "Failure", "Grade", "ImageSize", "ModelInfo", "Prediction"),
    "positions": ("Lesion",),
    "grading": ("BANDED", "HAYASHI", "SCALES", "SeverityScale"),
    "interop.dataframe": ("to_dataframe",),
    "manifest": ("Manifest",),
    "quality": ("Quality",),
    "records.record": ("Record",),
    "errors": (
        "AcneEdgeError",
        "BackendError",
        "ImageDecodeError",
        "ImageError",
        "ImageNotFoundError",
        "ImageSizeError",
        "ManifestError",
        "MissingExtraError",
        "ModelError",
        "ModelIntegrityError",
        "PoorQualityError",
        "UsageError",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "BANDED",
    "HAYASHI",
    "SCALES",
    "AcneEdgeError",
    "AcneGrader",
    "BackendError",
    "Comparison",
    "CountInterval",
    "Failure",
    "Grade",
    "ImageDecodeError",
    "ImageError",
    "ImageNotFoundError",
    "ImageSize",
    "ImageSizeError",
    "Lesion",
    "Manifest",
    "ManifestError",
    "MissingExtraError",
    "ModelError",
    "ModelInfo",
    "ModelIntegrityError",
    "PoorQualityError",
    "Prediction",
    "Quality",
    "Record",
    "SeverityScale",
    "UsageError",
    "compare_visits",
    "to_dataframe",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
