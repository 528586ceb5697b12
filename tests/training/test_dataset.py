from __future__ import annotations

from pathlib import Path

import pytest
import torch

from acne_edge.training.augment import Augmentation
from acne_edge.training.data import read_samples
from acne_edge.training.dataset import Dataset, Views, epoch_order
from acne_edge.training.model import Normalize


def test_balanced_draws_even_the_grades_out() -> None:
    grades = torch.tensor([0] * 900 + [3] * 100)
    for balance, share in ((0.0, 0.1), (0.5, 0.25), (1.0, 0.5)):
        order = epoch_order(grades, balance, torch.Generator().manual_seed(0))
        assert len(order) == 1000
        assert (grades[order] == 3).float().mean() == pytest.approx(share, abs=0.04)


def test_a_sample_without_boxes_is_only_flipped(data: Path) -> None:
    samples = read_samples(data, "NNEW_trainval_0.txt")[:4]
    plain = [type(s)(s.name, s.path, s.grade, s.count, None) for s in samples]
    dataset = Dataset(plain, 32, 1, torch.device("cpu"))
    views, _, counts, points = dataset.view(torch.arange(4), Augmentation(colour=0.0), 32, torch.Generator().manual_seed(0))
    assert counts.tolist() == [s.count for s in samples]
    assert points == [None] * 4
    frames = Normalize()(dataset.images)
    for view, frame in zip(views, frames, strict=True):
        assert min((view - frame).abs().max(), (view - frame.flip(2)).abs().max()) < 1e-3


def test_mixed_views_are_counted_anew_and_shared_by_processes(data: Path) -> None:
    samples = read_samples(data, "NNEW_trainval_0.txt")[:8]
    dataset = Dataset(samples, 36, 1, torch.device("cpu"))

    def view(**of: int) -> Views:
        return dataset.view(torch.arange(8), Augmentation(mix=0.7), 32, torch.Generator().manual_seed(1), **of)

    images, _, counts, points = view()
    assert counts.tolist() == [len(p) for p in points if p is not None]
    assert counts.tolist() != [s.count for s in samples]
    parts = [view(rank=rank, processes=2) for rank in (0, 1)]
    for rank, part in enumerate(parts):
        assert torch.equal(part.images, images[rank::2])
        assert torch.equal(part.counts, counts[rank::2])


def test_turned_views_are_known_as_they_were(data: Path) -> None:
    dataset = Dataset(read_samples(data, "NNEW_trainval_0.txt")[:8], 36, 1, torch.device("cpu"))
    views = dataset.view(torch.arange(8), Augmentation(turn=1.0, colour=0.0), 32, torch.Generator().manual_seed(1))
    for turned, clean in zip(views.images, views.clean, strict=True):
        assert any(torch.equal(turned, torch.rot90(clean, quarters, (1, 2))) for quarters in (1, 2, 3))
    assert views.counts.tolist() == [len(p) for p in views.points if p is not None]


def test_spoilt_views_keep_their_labels_and_are_shared_by_processes(data: Path) -> None:
    dataset = Dataset(read_samples(data, "NNEW_trainval_0.txt")[:8], 36, 1, torch.device("cpu"))

    def view(degrade: float, **of: int) -> Views:
        return dataset.view(torch.arange(8), Augmentation(degrade=degrade), 32, torch.Generator().manual_seed(1), **of)

    clean, spoilt = view(0.0), view(1.0)
    assert spoilt.counts.tolist() == clean.counts.tolist()
    assert (spoilt.images != clean.images).flatten(1).any(1).all()
    assert torch.equal(spoilt.clean, clean.images)
    for rank in (0, 1):
        assert torch.equal(view(1.0, rank=rank, processes=2).images, spoilt.images[rank::2])
