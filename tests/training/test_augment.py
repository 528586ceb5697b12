from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from acne_edge.training.augment import Augmentation, paste, paste_points, rasterize, turn, warp, warp_points

IDENTITY = torch.tensor([[1.0, 0, 0], [0, 1, 0]])


def spots(points: torch.Tensor, size: int = 96) -> torch.Tensor:
    """An image [1, 3, size, size] with a soft bright spot at each point."""
    axis = (torch.arange(size) + 0.5) / size
    image = torch.zeros(size, size)
    for x, y in points:
        image += torch.exp(-((axis[None] - x) ** 2 + (axis[:, None] - y) ** 2) / (2 * 0.02**2))
    return image.expand(1, 3, size, size)


@given(st.integers(0, 10_000))
def test_a_lesion_is_where_the_warped_image_shows_it(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    matrix = Augmentation(zoom=0.5).matrices(1, generator)
    point = 0.3 + 0.4 * torch.rand(1, 2, generator=generator)
    moved = warp_points(point, matrix[0])
    view = warp(spots(point), matrix, 96)[0, 0]
    if len(moved) == 0 or (moved < 0.05).any() or (moved > 0.95).any():
        return
    peak = divmod(int(view.argmax()), 96)
    assert abs((peak[1] + 0.5) / 96 - float(moved[0, 0])) < 0.03
    assert abs((peak[0] + 0.5) / 96 - float(moved[0, 1])) < 0.03


def test_lesions_outside_the_view_are_not_counted() -> None:
    right_half = torch.tensor([[0.5, 0, 0.5], [0, 1, 0]])
    points = torch.tensor([[0.1, 0.5], [0.75, 0.5], [0.9, 0.2]])
    torch.testing.assert_close(warp_points(points, right_half), torch.tensor([[0.5, 0.5], [0.8, 0.2]]))
    assert len(warp_points(points[:1], right_half)) == 0


def test_the_identity_leaves_the_image_alone() -> None:
    image = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(warp(image, IDENTITY[None], 32), image, atol=1e-5, rtol=0)


def test_views_repeat_with_the_seed() -> None:
    draws = [Augmentation(zoom=0.3).matrices(8, torch.Generator().manual_seed(5)) for _ in range(2)]
    assert torch.equal(*draws)


def test_zoomed_views_stay_inside_the_frame() -> None:
    zoomed = Augmentation(rotation=0, aspect=0, zoom=1.0).matrices(200, torch.Generator().manual_seed(0))
    corners = torch.tensor([[-1.0, -1, 1], [1, -1, 1], [-1, 1, 1], [1, 1, 1]])
    assert (zoomed @ corners.T).abs().max() <= 1.0001


@given(st.integers(0, 10_000))
def test_a_pasted_rectangle_brings_its_lesions_and_hides_those_under_it(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    other, rectangles = Augmentation(mix=1.0).rectangles(2, generator)
    points = [torch.rand(9, 2, generator=generator) for _ in range(2)]
    size = 64
    marks = rasterize(points, size, size)[:, None].expand(-1, 3, -1, -1)
    # Whole pixels, so that a lesion is on one side with the pixel that shows it.
    whole = (rectangles * size).round() / size
    centres = [((p * size).floor() + 0.5) / size for p in points]
    views = paste(marks, marks[other], whole)
    for i in range(2):
        seen = rasterize([paste_points(centres[i], centres[int(other[i])], whole[i])], size, size)[0]
        assert torch.equal(views[i, 0], seen)


def test_rectangles_cover_the_stated_part_of_the_stated_share_of_views() -> None:
    other, rectangles = Augmentation(mix=0.3).rectangles(2000, torch.Generator().manual_seed(0))
    side = rectangles[:, 2:] - rectangles[:, :2]
    area = side.prod(1)
    assert sorted(other.tolist()) == list(range(2000))
    assert 0.25 < (area > 0).float().mean() < 0.35
    assert ((area == 0) | ((area > 0.099) & (area < 0.601))).all()
    assert rectangles.min() >= 0
    assert rectangles.max() <= 1
    assert not Augmentation().rectangles(50, torch.Generator())[1].any()


def test_colours_are_gain_and_offset_of_each_image_and_nothing_at_zero() -> None:
    gain, offset = Augmentation(colour=0.0).colours(4, torch.Generator().manual_seed(0))
    assert (gain == 1).all()
    assert (offset == 0).all()
    gain, offset = Augmentation().colours(400, torch.Generator().manual_seed(0))
    assert gain.shape == offset.shape == (400, 3, 1, 1)
    assert 0.8 < gain.min() < 0.9 < 1.1 < gain.max() < 1.21


def test_a_raster_counts_every_lesion_once() -> None:
    points = [torch.tensor([[0.0, 0.0], [0.99, 0.99], [0.6, 0.1]]), torch.zeros(0, 2)]
    maps = rasterize(points, 4, 8)
    assert maps.shape == (2, 4, 8)
    assert maps.sum((1, 2)).tolist() == [3, 0]
    assert maps[0, 0, 0] == maps[0, 3, 7] == maps[0, 0, 4] == 1


@pytest.mark.parametrize("n", [0, 1, 50])
def test_lesions_in_one_cell_add_up(n: int) -> None:
    assert rasterize([torch.full((n, 2), 0.5)], 2, 2)[0, 1, 1] == n


def test_views_are_turned_by_each_quarter_as_often() -> None:
    quarters = Augmentation(turn=0.5).quarters(400, torch.Generator().manual_seed(1))
    shares = torch.bincount(quarters, minlength=4) / len(quarters)
    assert 0.4 < shares[0] < 0.6
    assert (shares[1:] > 0.1).all()


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_lesions_turn_with_their_view(quarters: int) -> None:
    point = torch.tensor([[0.2, 0.3]])
    views, (moved,) = turn(spots(point), [point], torch.tensor([quarters]))
    assert moved is not None
    row, column = divmod(int(views[0, 0].argmax()), 96)
    assert abs((column + 0.5) / 96 - float(moved[0, 0])) < 0.01
    assert abs((row + 0.5) / 96 - float(moved[0, 1])) < 0.01
    assert turn(spots(point), [None], torch.tensor([quarters]))[1] == [None]
