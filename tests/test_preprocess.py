from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from acne_edge.preprocess import pack, resize


def test_resize_is_antialiased() -> None:
    stripes = np.zeros((640, 640, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.abs(resize(stripes, 64, 64).astype(int) - 127).max() <= 4


def test_resize_matches_pillow_bit_for_bit(face: np.ndarray) -> None:
    expected = np.asarray(Image.fromarray(face).resize((224, 192), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(resize(face, 192, 224), expected)


def test_an_image_of_the_right_size_is_left_alone(face: np.ndarray) -> None:
    np.testing.assert_array_equal(resize(face, *face.shape[:2]), face)


@given(st.integers(32, 300), st.integers(32, 300), st.integers(0, 255))
def test_a_flat_image_stays_flat(height: int, width: int, value: int) -> None:
    packed = pack([np.full((height, width, 3), value, np.uint8)], 64, 96)
    assert packed.shape == (1, 64, 96, 3)
    assert packed.dtype == np.uint8
    assert packed.flags.c_contiguous
    assert (packed == value).all()
