"""Label distribution learning of count and grade (Wu et al., ICCV 2019), its variants, and the density loss.

All losses take the network's logits; distributions are rows that sum to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

LOSSES = ("ldl", "report")
EPS = 1e-8


def label_distribution(counts: Tensor, bins: int, sigma: float) -> Tensor:
    """Counts [N] -> [N, bins], proportional to exp(-(k - n)^2 / 2 sigma^2) (Wu et al. 2019, eq. 1). Counts above are clipped."""
    k = torch.arange(bins, device=counts.device, dtype=torch.float32)
    n = counts.float().clamp(max=bins - 1)[:, None]
    return torch.softmax(-((k - n) ** 2) / (2 * sigma**2), 1)


def band_matrix(lower: Sequence[int], bins: int) -> Tensor:
    """[bins, G] of 0 and 1: which grade each count belongs to, for bands that begin at `lower`."""
    edges = torch.tensor([*lower, max(bins, lower[-1] + 1)])
    k = torch.arange(bins)[:, None]
    return ((k >= edges[:-1]) & (k < edges[1:])).float()


def _kl(target: Tensor, log_p: Tensor) -> Tensor:
    return F.kl_div(log_p, target, reduction="batchmean")


def distribution_loss(name: str, lam: float, sigma: float, bands: Tensor) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """The loss `name` as a function (grade logits [N, G], count logits [N, K], counts [N]) -> scalar.

    `ldl` is the published code's lam/2 (KL_cls + KL_cou2cls) + (1 - lam) KL_cou; `report` swaps count and class:
    lam/2 (KL_cou2cls + KL_cou) + (1 - lam) KL_cls. cou2cls is the predicted count distribution summed over the bands.
    """
    if name not in LOSSES:
        raise ValueError(f"loss is {name!r}; expected one of {', '.join(LOSSES)}")

    def loss(grade_logits: Tensor, count_logits: Tensor, counts: Tensor) -> Tensor:
        target_count = label_distribution(counts, count_logits.shape[1], sigma)
        target_grade = target_count @ bands
        kl_count = _kl(target_count, count_logits.log_softmax(1))
        kl_grade = _kl(target_grade, grade_logits.log_softmax(1))
        kl_cou2cls = _kl(target_grade, (count_logits.softmax(1) @ bands + EPS).log())
        if name == "ldl":
            return lam / 2 * (kl_grade + kl_cou2cls) + (1 - lam) * kl_count
        return lam / 2 * (kl_cou2cls + kl_count) + (1 - lam) * kl_grade

    return loss


def density_loss(lesion_map: Tensor, target: Tensor) -> Tensor:
    """Poisson negative log-likelihood of lesions per cell [N, h, w], summed over cells, averaged over images.

    Divided by the square root of the mean lesion count so that crowded faces do not own the gradient.
    """
    nll = (lesion_map - target * (lesion_map + EPS).log()).sum((1, 2))
    return (nll / (1 + target.sum((1, 2))).sqrt()).mean()
