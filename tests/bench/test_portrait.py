from __future__ import annotations

import numpy as np
import pytest

from acne_edge.bench.portrait import portrait

SMALL = {"width": 64, "height": 72}


def test_a_face_is_the_same_at_every_time_and_shows_its_lesions() -> None:
    clear, face = portrait(0, 3, **SMALL), portrait(12, 3, **SMALL)
    assert face.shape == (72, 64, 3)
    assert face.dtype == np.uint8
    assert (face == portrait(12, 3, **SMALL)).all()
    reddened = (face[..., 0].astype(int) - face[..., 1]) - (clear[..., 0].astype(int) - clear[..., 1]) > 30
    assert 0.005 < reddened.mean() < 0.2


def test_more_lesions_than_find_a_place_are_refused() -> None:
    with pytest.raises(ValueError, match="200 lesions: there is room for"):
        portrait(200, 0, **SMALL)
