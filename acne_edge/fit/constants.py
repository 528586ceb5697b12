"""Fits how a count and a grade are read from the outputs, and how sure a device may be of them.

Everything is fitted with numpy alone, on photographs that the network was not trained on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from acne_edge.fit.outputs import LabelledOutputs
from acne_edge.grading import CountDecoding, Quantile, Uncertainty, combine_grades, count_scores, decode_count, temper

LEVEL = 0.9  # share of photographs that intervals and grade sets should cover
# At most this share of photographs may lose its grade to low confidence. At least 95 % are to be graded without any reason;
# quality may take 3 % of them and unfamiliarity 1 %.
WITHHELD = 0.01
LEAST_WITHHELD = 5  # photographs; a threshold from fewer would be chance
LEAST_OF_BAND = 60  # photographs; bands of the count with fewer share a quantile with their neighbours
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # candidate shares of the lesion map, and of the grade head


def conformal_quantile(scores: NDArray[np.floating], level: float) -> float:
    """The ceil((n + 1) level)-th smallest score (Vovk et al. 2005; Angelopoulos and Bates 2023, eq. 1), at most 1."""
    rank = int(np.ceil((len(scores) + 1) * level))
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else 1.0


def mondrian_quantile(scores: NDArray[np.floating], bands: NDArray[np.int64], number: int, level: float) -> Quantile:
    """The conformal quantile of each of `number` bands, from photographs whose count is read to be in it.

    From the highest down, a band joins the one below it until there are `LEAST_OF_BAND`; what is left over joins the one above.
    One number if that makes one of all. Mondrian conformal prediction (Vovk et al. 2005, section 4.5).

    Args:
        scores: nonconformity of each photograph's true value, [N].
        bands: its band, 0..number-1, [N].
    """
    groups: list[list[int]] = [[]]
    for band in reversed(range(number)):
        groups[-1].append(band)
        if np.isin(bands, groups[-1]).sum() >= LEAST_OF_BAND:
            groups.append([])
    left = groups.pop()
    if not groups:
        return _rounded_up(conformal_quantile(scores, level))
    groups[-1] += left
    found = {band: _rounded_up(conformal_quantile(scores[np.isin(bands, group)], level)) for group in groups for band in group}
    return tuple(found[band] for band in range(number)) if len(groups) > 1 else found[0]


def rescaled_quantile(
    scores: NDArray[np.floating], bands: NDArray[np.int64], earlier: tuple[float, ...], level: float
) -> tuple[float, ...]:
    """The quantiles 1 - (1 - q)^s of each band, where q are earlier ones, and s makes them hold at `level` over all photographs.

    For photographs that are too few to tell their bands apart. It is a conformal prediction by the scores
    log(1 - score) / log(1 - q), which weigh a band as those who fitted q found it (Lei et al., JASA 2018, section 5.2).
    """
    of_band = np.log1p(-np.clip(earlier, 1e-4, 1 - 1e-4))
    weighed = np.log1p(-np.minimum(scores, 1 - 1e-9)) / of_band[bands]
    rank = int(np.ceil((len(scores) + 1) * level))
    power = np.sort(weighed)[rank - 1] if rank <= len(scores) else np.inf
    return tuple(_rounded_up(float(q)) for q in -np.expm1(power * of_band))


def _rounded_up(quantile: float) -> float:
    return min(1.0, round(quantile + 5e-5, 4))


def fit_decoding(data: LabelledOutputs) -> CountDecoding:
    """Choose the count statistic and map share with the least count error, and the head share with the best grade likelihood."""
    choices = [CountDecoding(statistic, share) for statistic in ("mean", "median") for share in SHARES]
    errors = [np.abs(decode_counts(data, c) - data.counts).mean() for c in choices]
    return fit_head_share(data, choices[int(np.argmin(errors))])


def fit_head_share(data: LabelledOutputs, decoding: CountDecoding) -> CountDecoding:
    """The decoding with the share of the grade head that gives the best grade likelihood."""
    heads = [CountDecoding(decoding.count, decoding.map_weight, share) for share in SHARES]
    losses = [_likelihood_loss(_grade_probs(data, c), data.grades) for c in heads]
    return heads[int(np.argmin(losses))]


def fit_temperature(probs: NDArray[np.floating], grades: NDArray[np.int64]) -> float:
    """The temperature (of 200 in 0.3..4) that makes the grades [N] likeliest under the probabilities [N, G] (Guo et al. 2017)."""
    temperatures = np.exp(np.linspace(np.log(0.3), np.log(4.0), 200))
    return float(temperatures[int(np.argmin([_likelihood_loss(temper(probs, t), grades) for t in temperatures]))])


def fit_uncertainty(
    data: LabelledOutputs, decoding: CountDecoding, level: float, fitted_on: str, earlier: Uncertainty | None = None
) -> Uncertainty:
    """Fit the temperature by likelihood, then conformal quantiles of the count and of the tempered grade at `level`.

    They are fitted for each band of the count as it is read (`mondrian_quantile`), or by the bands of an `earlier` uncertainty
    (`rescaled_quantile`). Below `abstention_threshold` of the tempered grades, no grade is given.
    """
    probs = _grade_probs(data, decoding)
    temperature = fit_temperature(probs, data.grades)
    tempered = temper(probs, temperature)
    rows = np.arange(len(data.counts))
    counts = np.minimum(data.counts, data.count_probs.shape[1] - 1)
    bands = np.array([data.scale.grade(count) for count in decode_counts(data, decoding)])

    def quantile(scores: NDArray[np.floating], before: Quantile) -> Quantile:
        if isinstance(before, tuple):
            return rescaled_quantile(scores, bands, before, level)
        return mondrian_quantile(scores, bands, len(data.scale.lower), level)

    earlier = earlier or Uncertainty()
    return Uncertainty(
        level=level,
        temperature=round(temperature, 4),
        count_quantile=quantile(count_scores(data.count_probs)[rows, counts], earlier.count_quantile),
        grade_quantile=quantile(1 - tempered[rows, data.grades], earlier.grade_quantile),
        abstain_below=abstention_threshold(tempered),
        fitted_on=fitted_on,
    )


def abstention_threshold(probs: NDArray[np.floating], share: float = WITHHELD) -> float:
    """The confidence, to three decimals, below which at most `share` of the grades [N, G] lie; 0 if that is fewer than 5 grades.

    It does not ask what withholding them gains: a hundredth of the data that it is fitted on is too little to tell. `export
    abstention` tells, on other data.
    """
    most = int(share * len(probs))
    return float(np.floor(np.sort(probs.max(1))[most] * 1000) / 1000) if most >= LEAST_WITHHELD else 0.0


def decode_counts(data: LabelledOutputs, decoding: CountDecoding) -> NDArray[np.float64]:
    """The count [N] of each photograph, lesions."""
    return np.array([decode_count(p, s, decoding) for p, s in zip(data.count_probs, data.lesions, strict=True)])


def _grade_probs(data: LabelledOutputs, decoding: CountDecoding) -> NDArray[np.floating]:
    return combine_grades(data.grade_probs, data.count_probs, data.scale, data.scale, decoding)


def _likelihood_loss(probs: NDArray[np.floating], grades: NDArray[np.int64]) -> float:
    return float(-np.log(np.maximum(probs[np.arange(len(grades)), grades], 1e-12)).mean())
