"""Describes the photographs that a model's constants were fitted on, for `acne-edge drift`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from acne_edge import console, framing, quality
from acne_edge import image as images
from acne_edge.errors import UsageError
from acne_edge.files import write
from acne_edge.fit.outputs import OutOfFold
from acne_edge.preprocess import DECODE_SCALE
from acne_edge.reference import Reference, measures
from acne_edge.training.calibrate import cross_fitted
from acne_edge.training.data import read_samples


def reference_of(photographs: Sequence[Path], counts: Iterable[float], size: int, fitted_on: str) -> Reference:
    """The reference of photographs, each with the count that a network which had not learned it gives.

    Args:
        photographs: their files.
        counts: lesions, as a device would report them.
        size: pixels a side of the network's input, which decides how a JPEG is decoded.
        fitted_on: which photographs these are; for people.

    Raises ImageError for a photograph that cannot be read.
    """
    side = DECODE_SCALE * size
    followed = console.progress(iter(photographs), "looking at photographs", len(photographs))
    return Reference.of(
        [measures(_quality(path, side), float(n)) for path, n in zip(followed, counts, strict=True)],
        fitted_on,
    )


def _quality(path: Path, side: int) -> dict[str, Any]:
    """The scores of a photograph, along the same way as on a device with framing."""
    photograph = framing.cut(str(path), images.photograph(str(path), side), side)
    return quality.assess(photograph.pixels).to_dict()


def reference(out_of_fold: Path, data: Path, out: Path) -> Reference:
    """Write a patch for manifests with the reference of all photographs that a cross-validation predicted. Returns it.

    Args:
        out_of_fold: outputs of networks for photographs that each had held out; counts are cross-fitted on them.
        data: ACNE04.
        out: file for the patch, which `export.restamp` reads.

    Raises UsageError for an unreadable file, or one of other photographs.
    """
    found = OutOfFold.load(out_of_fold)
    paths = {sample.name: sample.path for sample in read_samples(data, "NNEW_trainval_0.txt")}
    unknown = next((name for name in found.names if name not in paths), None)
    if unknown is not None:
        raise UsageError(f"{out_of_fold}: predicts {unknown}, which {data} does not list")
    fitted_on = f"{len(found.names)} photographs of ACNE04, each counted by a network that had not learned it"
    made = reference_of(
        [paths[name] for name in found.names], cross_fitted(found.data).count, int(found.settings["train_size"]), fitted_on
    )
    write(out, (json.dumps({"reference": vars(made)}) + "\n").encode())
    return made
