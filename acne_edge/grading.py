"""Turns the network's distributions into what a clinician reads: count, interval, grade, grade set, abstention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from acne_edge.errors import ModelError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Floats: TypeAlias = "NDArray[np.floating]"

ABSURD = 1e6  # lesions


@dataclass(frozen=True)
class SeverityScale:
    """A severity scale made of bands of the lesion count; band i holds counts lower[i] .. lower[i+1]-1."""

    name: str
    labels: tuple[str, ...]
    lower: tuple[int, ...]

    def grade(self, count: float) -> int:
        """The grade (index from 0) of a count, which is first rounded to the nearest lesion."""
        return int(np.searchsorted(self.lower, int(np.floor(count + 0.5)), side="right")) - 1

    def bands(self, bins: int) -> NDArray[np.float32]:
        """Which grade each of the counts 0..bins-1 belongs to: float32 [bins, G] of 0 and 1."""
        grades = np.searchsorted(self.lower, np.arange(bins), side="right") - 1
        return np.eye(len(self.lower), dtype=np.float32)[grades]


HAYASHI = SeverityScale("hayashi", ("mild", "moderate", "severe", "very severe"), (0, 6, 21, 51))
"""Hayashi et al., J. Dermatol. 2008: 0-5, 6-20, 21-50, over 50 inflammatory lesions on half a face."""

BANDED = SeverityScale("banded", ("mild", "moderate", "severe", "very severe"), (0, 20, 51, 66))
"""The bands 0-19, 20-50, 50-65, over 65; a count of 50 belongs to the second. A model whose last bin is "65 or more"
cannot tell 65 from more, so it never gives the fourth grade."""

SCALES = {scale.name: scale for scale in (HAYASHI, BANDED)}
ALIASES = {"report": "banded"}  # old names of scales


def find_scale(name: str) -> SeverityScale:
    """The scale of that name, which may be an old name. Raises UsageError for an unknown one."""
    name = ALIASES.get(name, name)
    if name not in SCALES:
        raise UsageError(f"unknown severity scale {name!r}; choose one of: {', '.join(SCALES)}")
    return SCALES[name]


@dataclass(frozen=True)
class CountDecoding:
    """How one count and one grade are computed from the network's three outputs; chosen on validation data."""

    count: str = "mean"  # statistic of the count distribution: mean | median (interpolated)
    map_weight: float = 0.0  # share of the lesion map's sum in the count, 0..1
    head_weight: float = 0.5  # share of the grade head, against the count's bands, in the grade, 0..1


# One for all photographs, or one for each grade of the model's scale that the count as read may be in: Mondrian conformal
# prediction (Vovk et al. 2005, section 4.5), which covers few lesions and many alike.
Quantile: TypeAlias = "float | tuple[float, ...]"


@dataclass(frozen=True)
class Uncertainty:
    """Calibration constants, fitted on images that the network was not trained on; `fitted_on` names them."""

    level: float = 0.9  # nominal coverage of the count interval and the grade set
    temperature: float = 1.0  # scales the grade probabilities (Guo et al. 2017)
    count_quantile: Quantile = 0.9  # conformal quantile of |2 F(count) - 1|; F is the predicted distribution function
    grade_quantile: Quantile = 0.9  # conformal quantile of 1 - p(true grade)
    abstain_below: float = 0.0  # probability of the top grade under which no grade is given
    fitted_on: str = ""

    @property
    def is_mondrian(self) -> bool:
        """Whether a quantile depends on the count."""
        return not (isinstance(self.count_quantile, float | int) and isinstance(self.grade_quantile, float | int))

    def at(self, band: int) -> tuple[float, float]:
        """The quantiles of the count and of the grade, for a photograph whose count is in this band."""
        count, grade = (q if isinstance(q, float | int) else q[band] for q in (self.count_quantile, self.grade_quantile))
        return count, grade


PIVOT = 10.0  # lesions; a correction's factor is what it does at this count


@dataclass(frozen=True)
class CountCorrection:
    """A monotone correction of counts for another camera or population: PIVOT * factor * (count / PIVOT) ** power; 0 stays 0."""

    factor: float = 1.0
    power: float = 1.0
    fitted_on: str = ""

    def __call__(self, count: float) -> float:
        """The corrected count, lesions."""
        return float(PIVOT * self.factor * (max(count, 0.0) / PIVOT) ** self.power)

    def moved(self, count_probs: Floats) -> Floats:
        """The distribution [..., K] over 0..K-1 lesions after its counts are corrected.

        Between two edges k + 1/2 the distribution function is a straight line; the share of 0 lesions stays at 0. What would lie
        beyond the last bin is in it.
        """
        bins = count_probs.shape[-1]
        edges = np.arange(bins - 1) + 0.5
        before = PIVOT * (edges / (PIVOT * self.factor)) ** (1 / self.power)  # the counts that become the edges
        place = np.clip(before - 0.5, 0, bins - 1)
        left = np.minimum(place.astype(np.int64), bins - 2)
        share = place - left
        cumulated = np.cumsum(count_probs, -1)
        at_edges = cumulated[..., left] * (1 - share) + cumulated[..., left + 1] * share
        return np.asarray(np.diff(at_edges, prepend=0.0, append=cumulated[..., -1:], axis=-1))


@dataclass(frozen=True)
class Familiarity:
    """How far a photograph may lie from those learned, by the graph's output `unfamiliarity`, and still get a grade."""

    threshold: float  # over 0; of that output
    fitted_on: str = ""  # photographs that the networks which measured them were not trained on


@dataclass(frozen=True)
class CloseUp:
    """From which value on the graph's output `close_up`, a probability, says that brow or chin lies outside the photograph."""

    threshold: float  # 0..1
    fitted_on: str = ""


@dataclass(frozen=True)
class Interpretation:
    """One photograph's result on one scale."""

    count: float  # lesions
    interval: tuple[int, int]  # lesions, both ends included
    grade: int  # index into the scale's labels
    grade_probs: Floats  # [G], sums to 1
    grade_set: tuple[int, ...]  # grades that cannot be excluded at the level
    abstained: str | None  # reason code, or None
    unfamiliarity: float | None = None  # in thresholds: over 1 is unfamiliar; None where the model does not tell


UNFAMILIAR, LOW_CONFIDENCE = "unfamiliar", "low_confidence"  # reason codes
NONE_COUNTED, NO_GRADE = "none counted", "no grade"


def describe(labels: Sequence[str], grade_set: Sequence[int], count: float, abstained: str | None) -> str:
    """The grade in words that fit the count; it names every possible grade, not only the likeliest.

    A count near the edge of a band leaves two grades possible, as in "mild to moderate"; under half a lesion, nothing is graded.
    """
    if abstained:
        return NO_GRADE
    if count < 0.5:
        return NONE_COUNTED
    low, high = labels[min(grade_set)], labels[max(grade_set)]
    return low if low == high else f"{low} to {high}"


def interpret(
    grade_probs: Floats,
    count_probs: Floats,
    lesions: float,
    *,
    native: SeverityScale,
    scale: SeverityScale,
    decoding: CountDecoding,
    uncertainty: Uncertainty,
    correction: CountCorrection | None = None,
    unfamiliarity: float | None = None,
    familiarity: Familiarity | None = None,
    on_unfamiliar: str = "abstain",
) -> Interpretation:
    """Interpret one photograph's outputs: grade_probs [G], count_probs [K] over 0..K-1 lesions, lesion map's sum, unfamiliarity.

    The grade head speaks on the model's `native` scale only; on another scale the grade comes from the count alone. A model
    without `familiarity` calls no photograph unfamiliar; `on_unfamiliar="warn"` gives such a one a grade all the same.

    Raises ModelError if the outputs are not finite, because anything computed from them would look like a result.
    """
    if correction is not None:
        count_probs, lesions = correction.moved(count_probs), correction(lesions)
    count = decode_count(count_probs, lesions, decoding)
    far = unfamiliarity / familiarity.threshold if familiarity is not None and unfamiliarity is not None else None
    finite = np.isfinite(grade_probs).all() and np.isfinite(count_probs).all() and (far is None or np.isfinite(far))
    if not (finite and abs(count) < ABSURD):
        raise ModelError("the model's outputs are not finite numbers; the model file or the runtime is broken")
    probs = combine_grades(grade_probs, count_probs, native, scale, decoding)
    probs = temper(probs, uncertainty.temperature)
    top = int(probs.argmax())
    count_quantile, grade_quantile = uncertainty.at(native.grade(count))
    plausible = tuple(int(i) for i in np.flatnonzero(probs >= 1 - grade_quantile))
    return Interpretation(
        count=count,
        interval=count_interval(count_probs, count, count_quantile),
        grade=top,
        grade_probs=probs,
        grade_set=plausible if top in plausible else (top,),
        abstained=_abstained(float(probs[top]), uncertainty, far if on_unfamiliar == "abstain" else None),
        unfamiliarity=far,
    )


def _abstained(probability: float, uncertainty: Uncertainty, unfamiliarity: float | None) -> str | None:
    if unfamiliarity is not None and unfamiliarity > 1:
        return UNFAMILIAR
    return LOW_CONFIDENCE if probability < uncertainty.abstain_below else None


def median(count_probs: Floats) -> float:
    """Median of a distribution over counts [K], in 0..K-1; each count is spread evenly over half a lesion on either side.

    Without the spreading, rounding in the network's sums could move it by a whole lesion.
    """
    cumulated = np.cumsum(count_probs)
    k = min(int((cumulated < 0.5).sum()), len(count_probs) - 1)
    below = cumulated[k] - count_probs[k]
    return float(np.clip(k - 0.5 + (0.5 - below) / max(float(count_probs[k]), 1e-12), 0, len(count_probs) - 1))


def decode_count(count_probs: Floats, lesions: float, decoding: CountDecoding) -> float:
    """One count, in lesions, from the distribution [K] and the lesion map's sum."""
    statistic = median(count_probs) if decoding.count == "median" else float(count_probs @ np.arange(len(count_probs)))
    return (1 - decoding.map_weight) * statistic + decoding.map_weight * float(lesions)


def combine_grades(
    grade_probs: Floats, count_probs: Floats, native: SeverityScale, scale: SeverityScale, decoding: CountDecoding
) -> Floats:
    """Grade probabilities [..., G] on `scale`: the count distribution summed over the bands, mixed with the grade head's."""
    banded = count_probs @ scale.bands(count_probs.shape[-1])
    if scale.lower != native.lower:
        return banded
    return decoding.head_weight * grade_probs + (1 - decoding.head_weight) * banded


def temper(probs: Floats, temperature: float) -> Floats:
    """Temperature scaling of probabilities [..., G]: p^(1/T), normalised (Guo et al. 2017, eq. 9)."""
    logits = np.log(np.maximum(probs, 1e-12)) / temperature
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(weights / weights.sum(-1, keepdims=True))


def count_scores(count_probs: Floats) -> Floats:
    """Nonconformity of each possible count, [..., K] -> [..., K]: |2 F(k) - 1|, where F is the mid-distribution function.

    Distributional conformal prediction (Chernozhukov et al., PNAS 2021): 0 at the median, 1 far out in a tail.
    """
    return np.abs(2 * (np.cumsum(count_probs, -1) - count_probs / 2) - 1)


def count_interval(count_probs: Floats, count: float, quantile: float) -> tuple[int, int]:
    """The lowest and highest count whose nonconformity is at most `quantile`, widened to include `count` if necessary."""
    inside = np.flatnonzero(count_scores(count_probs) <= quantile)
    low, high = (int(inside[0]), int(inside[-1])) if len(inside) else (len(count_probs), -1)
    return min(low, int(np.floor(count))), max(high, int(np.ceil(count)))
