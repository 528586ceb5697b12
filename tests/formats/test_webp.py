from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from acne_edge.errors import ImageDecodeError, ImageSizeError
from acne_edge.formats.webp import read_size
from acne_edge.image import decode
from tests import drawing


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_the_size_is_read_from_every_kind_of_header(mode: str, options: dict[str, object]) -> None:
    picture = Image.fromarray(drawing.face(width=123, height=77)).convert(mode)
    if mode == "RGBA":
        picture.putalpha(200)
    assert read_size(drawing.encode(picture, "WEBP", **options)) == (123, 77)


def test_a_large_canvas_is_refused_before_it_is_allocated() -> None:
    data = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(4) + (9_999).to_bytes(3, "little") * 2 + b"ANIM"
    assert read_size(data) == (10_000, 10_000)
    with pytest.raises(ImageSizeError, match="25 megapixels"):
        decode(data)


def test_animations_give_their_first_frame() -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    data = drawing.encode(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    np.testing.assert_array_equal(decode(data), np.asarray(frames[0]))


@given(st.binary(max_size=40))
def test_any_bytes_have_a_size_or_are_refused(tail: bytes) -> None:
    for kind in (b"", b"WEBPVP8X", b"WEBPVP8 ", b"WEBPVP8L"):
        try:
            width, height = read_size(b"RIFF\0\0\0\0" + kind + tail)
        except ImageDecodeError:
            continue
        assert width >= 0
        assert height >= 0
