"""The manifest: JSON in the ONNX file's metadata with everything about a model that code must not assume.

An unknown major schema version, a missing or ill-typed field, a value out of range and a text over 256 kB are refused with one
line that names the field. Unknown fields are ignored, so that a minor version may add fields.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import Any

from acne_edge import framing
from acne_edge.difference import RULE as PAIR_RULE
from acne_edge.difference import PairUncertainty
from acne_edge.errors import ManifestError
from acne_edge.grading import CloseUp, CountCorrection, CountDecoding, Familiarity, Quantile, SeverityScale, Uncertainty
from acne_edge.positions import CROSS, PositionDecoding
from acne_edge.reference import MEASURES, MOST, Reference

SCHEMA = "1.1"  # a minor version adds fields that a reader may ignore; `requires` names those that it may not
MAX_CHARS = 256 * 1024
CORRECTION = "count-correction-1"  # a reader that ignores it gives the count of another camera
FAMILIARITY = "familiarity-1"  # a reader that ignores it grades what is no face
MONDRIAN = "mondrian-1"  # quantiles by the count; a reader of one number alone cannot read them
UNDERSTOOD = (framing.RULE, FAMILIARITY, CORRECTION, MONDRIAN)  # features that this version knows and a model may require
MAX_REQUIRED = 64


@dataclass(frozen=True)
class InputSpec:
    """The graph's input `image`: uint8 [N, height, width, 3], RGB, 0..255."""

    height: int  # pixels
    width: int  # pixels
    layout: str = "NHWC"
    dtype: str = "uint8"
    colour: str = "RGB"
    resize: str = "stretch"  # the whole frame, aspect ratio not kept
    filter: str = "pillow-bilinear"  # Pillow's antialiased triangle filter, 8-bit fixed point
    decode_scale: int = 2  # a JPEG's DCT scale must keep both sides >= this many times the input's
    normalised_in_graph: bool = True


@dataclass(frozen=True)
class Manifest:
    """A model's description. `training`, `metrics` and `quantisation` are for people and tools; the rest drives the code."""

    name: str
    version: str
    input: InputSpec
    count_bins: int  # bins 0..count_bins-1 lesions; the last one means "that many or more"
    scale: SeverityScale  # the scale that the grade head was trained on
    decoding: CountDecoding = field(default_factory=CountDecoding)
    uncertainty: Uncertainty = field(default_factory=Uncertainty)
    positions: PositionDecoding = field(default_factory=PositionDecoding)
    familiarity: Familiarity | None = None  # None: the graph has no output for it
    close_up: CloseUp | None = None  # None: the graph has no output for it
    licence: str = ""
    intended_use: str = ""
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    quantisation: dict[str, Any] = field(default_factory=dict)
    correction: CountCorrection | None = None  # for another camera or population; None: none
    pairs: PairUncertainty | None = None  # of the difference of two counts; None: the model cannot tell
    reference: Reference | None = None  # photographs to compare newer ones with; None: none
    requires: tuple[str, ...] = ()  # names of features that a reader must know to give the right answer

    def with_uncertainty(self, uncertainty: Uncertainty) -> Manifest:
        """The same with other constants of uncertainty, and with what they require of a reader."""
        others = tuple(name for name in self.requires if name != MONDRIAN)
        return replace(self, uncertainty=uncertainty, requires=(*others, MONDRIAN) if uncertainty.is_mondrian else others)

    @property
    def is_framed(self) -> bool:
        """Whether what stands around a photograph is cut off before the network sees it."""
        return framing.RULE in self.requires

    def to_json(self) -> str:
        """The JSON text with sorted keys, so that equal manifests are equal bytes."""
        values = {"schema": SCHEMA, **asdict(self)}
        for name in ("familiarity", "close_up", "correction", "pairs", "reference"):
            if values[name] is None:
                del values[name]
        return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @staticmethod
    def from_json(text: str) -> Manifest:
        """Parse and validate the JSON text. Raises ManifestError, naming the field."""
        if len(text) > MAX_CHARS:
            raise ManifestError(f"the manifest has {len(text)} characters; at most {MAX_CHARS} are accepted")
        try:
            root = json.loads(text, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise ManifestError(f"the manifest is not valid JSON ({error})") from error
        top = _Reader(root, "manifest")
        major = top.text("schema").split(".")[0]
        if major != SCHEMA.split(".")[0]:
            raise ManifestError(
                f"the manifest has schema {top.text('schema')}; this version reads {SCHEMA.split('.')[0]}.x: update acne-edge"
            )
        requires = _requires(top)  # first, because an unknown feature may change the fields that follow
        manifest = Manifest(
            name=top.text("name"),
            version=top.text("version"),
            input=_input(top.section("input")),
            count_bins=top.integer("count_bins", 2, 1024),
            scale=_scale(top.section("scale")),
            decoding=_decoding(top.section("decoding")),
            uncertainty=_uncertainty(top.section("uncertainty"), len(top.section("scale").items("labels"))),
            positions=_positions(top.section("positions")) if "positions" in top.value else PositionDecoding(),
            familiarity=_familiarity(top.section("familiarity")) if "familiarity" in top.value else None,
            close_up=_close_up(top.section("close_up")) if "close_up" in top.value else None,
            licence=top.text("licence"),
            intended_use=top.text("intended_use"),
            training=top.mapping("training"),
            metrics=top.mapping("metrics"),
            quantisation=top.mapping("quantisation"),
            correction=_correction(top.section("correction")) if "correction" in top.value else None,
            pairs=_pairs(top.section("pairs")) if "pairs" in top.value else None,
            reference=_reference(top.section("reference")) if "reference" in top.value else None,
            requires=requires,
        )
        if manifest.scale.lower[-1] >= manifest.count_bins:
            raise ManifestError(
                f"manifest.scale.lower: {manifest.scale.lower[-1]} lies beyond the {manifest.count_bins} count bins"
            )
        if (manifest.correction is None) == (CORRECTION in requires):
            raise ManifestError(f"manifest.correction goes with {CORRECTION!r} in manifest.requires")
        if manifest.uncertainty.is_mondrian != (MONDRIAN in requires):
            raise ManifestError(f"manifest.uncertainty: one quantile a grade goes with {MONDRIAN!r} in manifest.requires")
        if FAMILIARITY in requires and manifest.familiarity is None:
            raise ManifestError(f"manifest.familiarity is missing; the model requires {FAMILIARITY!r}")
        return manifest


class _Reader:
    """Typed access to a JSON object; every error names the path of the field."""

    def __init__(self, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise ManifestError(f"{path}: expected a JSON object")
        self.value, self.path = value, path

    def get(self, key: str, kind: type | tuple[type, ...], expected: str) -> Any:
        """The field's value, which must be a `kind`; the error says `expected`."""
        if key not in self.value:
            raise ManifestError(f"{self.path}.{key} is missing")
        value = self.value[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ManifestError(f"{self.path}.{key}: expected {expected}")
        return value

    def section(self, key: str) -> _Reader:
        """The object in the field, as a `_Reader`."""
        return _Reader(self.get(key, dict, "a JSON object"), f"{self.path}.{key}")

    def mapping(self, key: str) -> dict[str, Any]:
        """The object in the field, as a plain dict."""
        return dict(self.get(key, dict, "a JSON object"))

    def text(self, key: str) -> str:
        """The text in the field."""
        return str(self.get(key, str, "a text"))

    def choice(self, key: str, *allowed: str) -> str:
        """The text in the field, which must be an allowed one."""
        value = self.text(key)
        if value not in allowed:
            raise ManifestError(f"{self.path}.{key} is {value!r}; this version knows {', '.join(allowed)}")
        return value

    def integer(self, key: str, low: int, high: int) -> int:
        """The integer in the field, which must lie in low..high."""
        value = int(self.get(key, int, "an integer"))
        if not low <= value <= high:
            raise ManifestError(f"{self.path}.{key} is {value}; expected {low}..{high}")
        return value

    def number(self, key: str, low: float, high: float) -> float:
        """The number in the field, which must lie in low..high."""
        try:
            value = float(self.get(key, (int, float), "a number"))
        except OverflowError:
            value = math.inf
        if not low <= value <= high:
            raise ManifestError(f"{self.path}.{key} is {value:g}; expected {low:g}..{high:g}")
        return value

    def items(self, key: str) -> list[Any]:
        """The list in the field."""
        return list(self.get(key, list, "a list"))

    def numbers(self, key: str) -> tuple[float, ...]:
        """The list of numbers in the field."""
        values = self.items(key)
        if not all(isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300 for value in values):
            raise ManifestError(f"{self.path}.{key}: expected numbers")
        return tuple(map(float, values))


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _input(reader: _Reader) -> InputSpec:
    if not reader.get("normalised_in_graph", bool, "true or false"):
        raise ManifestError("manifest.input.normalised_in_graph is false; this version wants normalisation in the graph")
    return InputSpec(
        height=reader.integer("height", 16, 4096),
        width=reader.integer("width", 16, 4096),
        layout=reader.choice("layout", "NHWC"),
        dtype=reader.choice("dtype", "uint8"),
        colour=reader.choice("colour", "RGB"),
        resize=reader.choice("resize", "stretch"),
        filter=reader.choice("filter", "pillow-bilinear"),
        decode_scale=reader.integer("decode_scale", 1, 8),
    )


def _scale(reader: _Reader) -> SeverityScale:
    labels, lower = reader.items("labels"), reader.items("lower")
    if not 2 <= len(labels) <= 16 or not all(isinstance(label, str) for label in labels):
        raise ManifestError("manifest.scale.labels: expected 2..16 texts")
    if len(lower) != len(labels) or not all(type(bound) is int for bound in lower):
        raise ManifestError("manifest.scale.lower: expected one integer a label")
    if lower[0] != 0 or any(a >= b for a, b in pairwise(lower)):
        raise ManifestError("manifest.scale.lower: expected increasing counts that begin at 0")
    return SeverityScale(reader.text("name"), tuple(labels), tuple(lower))


def _requires(top: _Reader) -> tuple[str, ...]:
    """The names in `requires`, a field since schema 1.1. Raises ManifestError for one that this version does not know."""
    names = [] if top.text("schema") == "1.0" and "requires" not in top.value else top.items("requires")
    if len(names) > MAX_REQUIRED or not all(isinstance(name, str) for name in names):
        raise ManifestError(f"manifest.requires: expected at most {MAX_REQUIRED} texts")
    unknown = [name for name in names if name not in UNDERSTOOD]
    if unknown:
        raise ManifestError(f"manifest.requires: this version does not know {unknown[0]!r}; update acne-edge")
    return tuple(names)


def _decoding(reader: _Reader) -> CountDecoding:
    return CountDecoding(
        count=reader.choice("count", "mean", "median"),
        map_weight=reader.number("map_weight", 0, 1),
        head_weight=reader.number("head_weight", 0, 1),
    )


def _quantile(reader: _Reader, key: str, grades: int) -> Quantile:
    if not isinstance(reader.value.get(key), list):
        return reader.number(key, 0, 1)
    values = reader.numbers(key)
    if len(values) != grades or not all(0 <= value <= 1 for value in values):
        raise ManifestError(f"{reader.path}.{key}: expected a number in 0..1, or one a grade")
    return values


def _uncertainty(reader: _Reader, grades: int) -> Uncertainty:
    return Uncertainty(
        level=reader.number("level", 0.5, 0.999),
        temperature=reader.number("temperature", 0.05, 20),
        count_quantile=_quantile(reader, "count_quantile", grades),
        grade_quantile=_quantile(reader, "grade_quantile", grades),
        abstain_below=reader.number("abstain_below", 0, 1),
        fitted_on=reader.text("fitted_on"),
    )


def _positions(reader: _Reader) -> PositionDecoding:
    return PositionDecoding(
        rule=reader.choice("rule", CROSS),
        threshold=reader.number("threshold", 0, 1),
        fitted_on=reader.text("fitted_on"),
    )


def _correction(reader: _Reader) -> CountCorrection:
    return CountCorrection(reader.number("factor", 0.1, 10), reader.number("power", 0.2, 5), reader.text("fitted_on"))


def _pairs(reader: _Reader) -> PairUncertainty:
    levels, scores = reader.numbers("levels"), reader.numbers("scores")
    if not 2 <= len(levels) <= 64 or len(scores) != len(levels):
        raise ManifestError("manifest.pairs: expected 2..64 levels, and one score a level")
    if not levels[0] > 0 or levels[-1] >= 1 or any(a >= b for a, b in pairwise(levels)):
        raise ManifestError("manifest.pairs.levels: expected increasing shares between 0 and 1")
    if not scores[0] >= 0 or scores[-1] > 1e6 or any(a > b for a, b in pairwise(scores)):
        raise ManifestError("manifest.pairs.scores: expected numbers of 0 and more that do not decrease")
    return PairUncertainty(levels, scores, reader.text("fitted_on"), reader.choice("rule", PAIR_RULE))


def _reference(reader: _Reader) -> Reference:
    section = reader.section("values")
    values = {name: section.numbers(name) for name in MEASURES if name in section.value}  # a newer one may have others too
    if not values:
        raise ManifestError(f"manifest.reference.values: expected some of {', '.join(MEASURES)}")
    for name, numbers in values.items():
        if not 1 <= len(numbers) <= MOST or any(a > b for a, b in pairwise(numbers)):
            raise ManifestError(f"manifest.reference.values.{name}: expected 1..{MOST} numbers that do not decrease")
    return Reference(values, reader.integer("photographs", 1, 10**9), reader.text("fitted_on"))


def _familiarity(reader: _Reader) -> Familiarity:
    return Familiarity(threshold=reader.number("threshold", 1e-6, 1e6), fitted_on=reader.text("fitted_on"))


def _close_up(reader: _Reader) -> CloseUp:
    return CloseUp(threshold=reader.number("threshold", 0, 1), fitted_on=reader.text("fitted_on"))
