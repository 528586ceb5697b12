"""Which photographs belong together, so that a model that is good on average cannot hide on whom it is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from acne_edge.evaluation.labels import Label
from acne_edge.evaluation.origins import read_origins
from acne_edge.prediction import Prediction
from acne_edge.report.skin import TONES, tone

LEAST = 30  # photographs; with fewer, a share of 80 % is uncertain by 14 points and more either way
SIDES = (500, 1000, 2000)  # pixels of the shorter side, at which a group begins
UNKNOWN = "unknown"

Groups = dict[str, list[int]]  # name of the group -> indices of its photographs, in the order in which they are shown


def by_source(images: Path, labels: Sequence[Label]) -> Groups:
    """By what the labels say, or ACNE04's `images.csv` beside the folder of the photographs; empty where neither says anything.

    Raises UsageError if that file cannot be read.
    """
    origins = read_origins(images.parent / "images.csv")
    names = [label.source or origins.get(label.name, UNKNOWN) for label in labels]
    known = sorted(set(names) - {UNKNOWN})
    return _in_order(names, [*known, UNKNOWN]) if known else {}


def by_resolution(predictions: Sequence[Prediction]) -> Groups:
    """By the shorter side of the photograph as it was given: the group `n` has n of SIDES or more pixels."""
    sides = [min(p.image.width, p.image.height) for p in predictions]
    return _in_order([str(max((s for s in SIDES if s <= side), default=0)) for side in sides], ["0", *map(str, SIDES)], keep=True)


def by_tone(angles: Sequence[float | None]) -> Groups:
    """By the skin's typology angle, in degrees; see `skin.typology_angle`."""
    names = [tone(angle) or UNKNOWN for angle in angles]
    groups = _in_order(names, [name for name, _ in TONES], keep=True)
    return groups | _in_order(names, [UNKNOWN])


def _in_order(names: Sequence[str], order: Sequence[str], keep: bool = False) -> Groups:
    """Indices by name; names without any are left out, unless a group that has none says something too."""
    found: Mapping[str, list[int]] = {name: [i for i, n in enumerate(names) if n == name] for name in order}
    return {name: index for name, index in found.items() if index or keep}
