from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from acne_edge.training.degrade import MEAN, STD, degrade, spoil
from tests import drawing


@pytest.fixture(scope="module")
def views() -> torch.Tensor:
    """Normalised views [4, 3, 64, 64] of drawn faces."""
    pixels = np.stack([np.asarray(Image.fromarray(drawing.face(12, seed)).resize((64, 64))) for seed in range(4)])
    return torch.from_numpy(((pixels / 255 - MEAN) / STD).astype(np.float32)).permute(0, 3, 1, 2)


@settings(max_examples=30)
@given(st.integers(0, 2**62))
def test_a_spoilt_image_keeps_its_size_and_shows_the_same_face(seed: int) -> None:
    image = Image.fromarray(drawing.face(12)).resize((64, 64))
    spoilt = spoil(image, np.random.default_rng(seed))
    assert (spoilt.size, spoilt.mode) == (image.size, image.mode)
    before, after = (np.asarray(i.convert("L").resize((8, 8)), np.float32) for i in (image, spoilt))
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.9


def test_nearly_every_draw_spoils_an_image() -> None:
    """Not each: a change of brightness or colour may be drawn too small for eight bits."""
    image = Image.fromarray(drawing.face(12)).resize((64, 64))
    changed = [spoil(image, np.random.default_rng(seed)).tobytes() != image.tobytes() for seed in range(100)]
    assert np.mean(changed) > 0.95


def test_the_share_that_is_asked_for_is_spoilt_and_the_rest_stays(views: torch.Tensor) -> None:
    many = views.repeat(50, 1, 1, 1)
    seeds = torch.arange(len(many))
    changed = (degrade(many, 0.6, seeds) != many).flatten(1).any(1)
    assert 0.5 < changed.float().mean() < 0.7
    assert not (degrade(many[:8], 0.0, seeds[:8]) != many[:8]).any()


def test_the_seed_of_a_view_decides_alone(views: torch.Tensor) -> None:
    seeds = torch.tensor([3, 1, 4, 2])
    together = degrade(views, 0.9, seeds)
    torch.testing.assert_close(degrade(views[2:3], 0.9, seeds[2:3]), together[2:3])
    torch.testing.assert_close(degrade(views, 0.9, seeds), together)
    assert (degrade(views, 1.0, seeds + 1) != degrade(views, 1.0, seeds)).any()
