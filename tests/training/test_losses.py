from __future__ import annotations

import numpy as np
import pytest
import torch

from acne_edge.grading import BANDED, HAYASHI
from acne_edge.training.losses import (
    LOSSES,
    Teaching,
    band_matrix,
    density_loss,
    distribution_loss,
    five_counts,
    label_distribution,
    smoothed_labels,
)

BANDS = band_matrix(HAYASHI.lower, 66)


def test_a_label_distribution_is_the_papers_gaussian() -> None:
    d = label_distribution(torch.tensor([10]), 66, 3.0)[0]
    k = torch.arange(66.0)
    expected = torch.exp(-((k - 10) ** 2) / 18)
    torch.testing.assert_close(d, expected / expected.sum())


def test_counts_beyond_the_last_bin_belong_to_it() -> None:
    torch.testing.assert_close(*label_distribution(torch.tensor([65, 300]), 66, 3.0))


@pytest.mark.parametrize("scale", [HAYASHI, BANDED])
def test_bands_are_those_of_the_scale(scale) -> None:
    np.testing.assert_array_equal(band_matrix(scale.lower, 66).numpy(), scale.bands(66))


@pytest.mark.parametrize("name", ["ldl", "ldl-grade"])
def test_the_loss_is_least_at_the_target(name: str) -> None:
    loss = distribution_loss(name, 0.6, 3.0, BANDS)
    counts = torch.tensor([3, 18, 60])
    target = label_distribution(counts, 66, 3.0)
    grade, count = (target @ BANDS + 1e-12).log(), (target + 1e-12).log()
    assert loss(grade, count, counts) == pytest.approx(0, abs=1e-5)
    worse = torch.randn(3, 66, generator=torch.Generator().manual_seed(0))
    assert loss(grade, worse, counts) > 0.1
    assert loss(torch.zeros(3, 4), count, counts) > 0.1


def test_the_two_losses_weigh_count_and_grade_the_other_way_round() -> None:
    counts = torch.tensor([8])
    target = label_distribution(counts, 66, 3.0)
    wrong_grade = (torch.zeros(1, 4), (target + 1e-12).log())
    counted, graded = (distribution_loss(n, 0.6, 3.0, BANDS)(*wrong_grade, counts) for n in ("ldl", "ldl-grade"))
    assert graded / counted == pytest.approx(0.4 / 0.3, rel=1e-3)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_prefers_the_truth_and_has_a_gradient_for_both_heads(name: str) -> None:
    loss = distribution_loss(name, 0.6, 3.0, BANDS)
    counts = torch.tensor([3, 18, 60])
    count = (label_distribution(counts, 66, 3.0) + 1e-12).log().requires_grad_()
    grade = (label_distribution(counts, 66, 1.0) @ BANDS + 1e-12).log().requires_grad_()
    value = loss(grade, count, counts)
    value.backward()
    assert count.grad is not None
    assert grade.grad is not None
    assert loss(grade, count.roll(1, 0), counts) > value
    assert loss(grade.roll(1, 0), count, counts) > value


def test_smoothed_labels_doubt_only_near_a_border() -> None:
    smoothed = smoothed_labels(torch.tensor([12, 19, 21, 300]), 66, 3.0, BANDS)
    assert smoothed[0, 12] == 1
    torch.testing.assert_close(smoothed[1:3], label_distribution(torch.tensor([19, 21]), 66, 3.0))
    assert smoothed[3, 65] == 1
    torch.testing.assert_close(smoothed.sum(1), torch.ones(4))


def test_classes_of_five_counts_tile_the_hayashi_bands() -> None:
    classes = five_counts(66)
    assert classes.shape == (66, 13)
    assert classes.sum(0).tolist() == [6, *[5] * 12]  # a clear face belongs to the first
    assert ((classes.T @ BANDS > 0).sum(1) == 1).all()


def test_the_l2_loss_is_the_squared_error_of_the_mean_count() -> None:
    counts, sure = torch.tensor([10]), 40.0
    count = torch.full((1, 66), -sure)
    count[0, 16] = sure
    grade = torch.tensor([[-sure, sure, -sure, -sure]])
    assert distribution_loss("l2", 0.6, 3.0, BANDS)(grade, count, counts) == pytest.approx(0.4 * 36 / 18, rel=1e-4)


@pytest.mark.parametrize("name", ["ldl", "ldl-grade"])
def test_a_taught_loss_is_least_between_the_label_and_the_teacher(name: str) -> None:
    loss, counts = distribution_loss(name, 0.6, 3.0, BANDS), torch.tensor([8])
    label, taught = label_distribution(counts, 66, 3.0), label_distribution(torch.tensor([14]), 66, 3.0)
    teaching = Teaching(taught @ BANDS, taught, 0.25)
    values = {
        share: loss((mixed @ BANDS + 1e-12).log(), (mixed + 1e-12).log(), counts, teaching).item()
        for share in (0.0, 0.25, 0.5, 1.0)
        if (mixed := label.lerp(taught, share)) is not None
    }
    assert min(values, key=values.__getitem__) == 0.25
    assert values[0.25] == pytest.approx(0, abs=1e-5)


def test_a_loss_without_distributions_takes_no_teacher() -> None:
    taught = Teaching(torch.full((1, 4), 0.25), torch.full((1, 66), 1 / 66), 0.5)
    with pytest.raises(ValueError, match="the loss l2 takes no teacher"):
        distribution_loss("l2", 0.6, 3.0, BANDS)(torch.zeros(1, 4), torch.zeros(1, 66), torch.tensor([8]), taught)


def test_an_unknown_loss_is_refused() -> None:
    with pytest.raises(ValueError, match="ldl, ldl-grade"):
        distribution_loss("mse", 0.6, 3.0, BANDS)


def test_the_density_loss_is_least_at_the_true_map_and_finite_at_zero() -> None:
    target = torch.zeros(1, 4, 4)
    target[0, 1, 2] = 2.0
    exact = density_loss(target.clamp(min=1e-6), target)
    for other in (target + 0.3, torch.full((1, 4, 4), 2 / 16)):
        assert density_loss(other, target) > exact
    assert torch.isfinite(density_loss(torch.zeros(1, 4, 4), target))
