"""Losses: label distribution learning of count and grade (Wu et al., ICCV 2019), alternatives, and the density loss.

All losses take the network's logits; distributions are rows that sum to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from acne_edge.training.config import LOSSES, TAUGHT

EPS = 1e-8


def label_distribution(counts: Tensor, bins: int, sigma: float) -> Tensor:
    """Counts [N] -> [N, bins], proportional to exp(-(k - n)^2 / 2 sigma^2) (Wu et al. 2019, eq. 1). Larger counts are clipped."""
    k = torch.arange(bins, device=counts.device, dtype=torch.float32)
    n = counts.float().clamp(max=bins - 1)[:, None]
    return torch.softmax(-((k - n) ** 2) / (2 * sigma**2), 1)


def band_matrix(lower: Sequence[int], bins: int) -> Tensor:
    """[bins, G] of 0 and 1: which grade each count belongs to, for bands that begin at `lower`."""
    edges = torch.tensor([*lower, max(bins, lower[-1] + 1)])
    k = torch.arange(bins)[:, None]
    return ((k >= edges[:-1]) & (k < edges[1:])).float()


def smoothed_labels(counts: Tensor, bins: int, sigma: float, bands: Tensor) -> Tensor:
    """Counts [N] -> [N, bins]: one-hot inside a grade's band, `label_distribution` within sigma lesions of another band.

    This follows label distribution smoothing (Prokhorov et al., ISBI 2024): counts are uncertain only where the grade is.
    """
    n = counts.long().clamp(max=bins - 1)
    hard = F.one_hot(n, bins).float()
    grade = bands.argmax(1)
    reach = int(sigma)
    at = [grade[(n + step).clamp(0, bins - 1)] != grade[n] for step in (-reach, reach)]
    return torch.where((at[0] | at[1])[:, None], label_distribution(counts, bins, sigma), hard)


def five_counts(bins: int) -> Tensor:
    """[bins, C] of 0 and 1: classes of five counts, 1-5, 6-10, ... (0 belongs to the first), which tile the Hayashi bands."""
    return F.one_hot((torch.arange(bins) - 1).clamp(min=0) // 5).float()


def _kl(target: Tensor, log_p: Tensor) -> Tensor:
    return F.kl_div(log_p, target, reduction="batchmean")


class Teaching(NamedTuple):
    """What another network says of the same views, and how much of the targets that makes (Hinton et al. 2015)."""

    grade_probs: Tensor  # [N, G]
    count_probs: Tensor  # [N, K]
    share: float  # 0..1


class DistributionLoss(Protocol):
    """Grade logits [N, G], count logits [N, K], counts [N] and what a teacher says, if there is one -> scalar."""

    def __call__(self, grade_logits: Tensor, count_logits: Tensor, counts: Tensor, teaching: Teaching | None = None) -> Tensor:
        """The loss, averaged over the views."""


def distribution_loss(name: str, lam: float, sigma: float, bands: Tensor) -> DistributionLoss:
    """The loss `name` of grade and count.

    cou2cls is the predicted count distribution summed over the bands; all but the last two are weighted KL divergences.

    * `ldl`, the published code: lam/2 (KL_cls + KL_cou2cls) + (1 - lam) KL_cou.
    * `ldl-grade` swaps count and class, so that the grade head weighs most: lam/2 (KL_cou2cls + KL_cou) + (1 - lam) KL_cls.
    * `lds` is `ldl` with `smoothed_labels`, and cou2cls over `five_counts` instead of the grades.
    * `ce`: lam CE(grade) + (1 - lam) CE(count), labels without a distribution.
    * `l2`: lam CE(grade) + (1 - lam) (mean of the count distribution - n)^2 / 2 sigma^2.

    The first two may be taught: targets are then averages of the labels' distributions and the teacher's.
    """
    if name not in LOSSES:
        raise ValueError(f"loss is {name!r}; expected one of {', '.join(LOSSES)}")

    def loss(grade_logits: Tensor, count_logits: Tensor, counts: Tensor, teaching: Teaching | None = None) -> Tensor:
        if teaching is not None and name not in TAUGHT:
            raise ValueError(f"the loss {name} takes no teacher")
        bins = count_logits.shape[1]
        hard = counts.long().clamp(max=bins - 1)
        if name in ("ce", "l2"):
            cls = F.cross_entropy(grade_logits, bands.argmax(1)[hard])
            if name == "ce":
                return lam * cls + (1 - lam) * F.cross_entropy(count_logits, hard)
            mean = count_logits.softmax(1) @ torch.arange(bins, device=counts.device, dtype=torch.float32)
            return lam * cls + (1 - lam) * ((mean - hard) ** 2).mean() / (2 * sigma**2)
        if name == "lds":
            target_count = smoothed_labels(counts, bins, sigma, bands)
            classes = five_counts(bins).to(bands.device)
        else:
            target_count = label_distribution(counts, bins, sigma)
            classes = bands
        target_grade = target_count @ bands
        if teaching is not None:
            target_count = target_count.lerp(teaching.count_probs, teaching.share)
            target_grade = target_grade.lerp(teaching.grade_probs, teaching.share)
        kl_count = _kl(target_count, count_logits.log_softmax(1))
        kl_grade = _kl(target_grade, grade_logits.log_softmax(1))
        kl_cou2cls = _kl(target_count @ classes, (count_logits.softmax(1) @ classes + EPS).log())
        if name == "ldl-grade":
            return lam / 2 * (kl_cou2cls + kl_count) + (1 - lam) * kl_grade
        return lam / 2 * (kl_grade + kl_cou2cls) + (1 - lam) * kl_count

    return loss


def density_loss(lesion_map: Tensor, target: Tensor) -> Tensor:
    """Poisson negative log-likelihood of lesions per cell [N, h, w], summed over cells, averaged over images.

    It is divided by the square root of the mean lesion count, so that faces with many lesions do not dominate the gradient.
    """
    nll = (lesion_map - target * (lesion_map + EPS).log()).sum((1, 2))
    return (nll / (1 + target.sum((1, 2))).sqrt()).mean()
