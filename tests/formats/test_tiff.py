from __future__ import annotations

import io
import struct
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from acne_edge.errors import AcneEdgeError, ImageDecodeError
from acne_edge.formats.tiff import MAX_PIECES, read_tiff
from acne_edge.image import decode
from tests import drawing, profiles


@pytest.fixture(scope="module")
def small() -> np.ndarray:
    return drawing.face(width=64, height=72)


def tiff(picture: np.ndarray | Image.Image, **options: object) -> bytes:
    return drawing.encode(picture, "TIFF", **options)


def entries(data: bytes) -> list[tuple[int, int]]:
    """Tag and place of each field of the first page."""
    (directory,) = struct.unpack_from("<L", data, 4)
    (number,) = struct.unpack_from("<H", data, directory)
    return [(struct.unpack_from("<H", data, place)[0], place) for place in range(directory + 2, directory + 2 + 12 * number, 12)]


def changed(data: bytes, tag: int, kind: int, count: int, value: int) -> bytes:
    """The file with another field in place of the one with that tag."""
    place = dict(entries(data))[tag]
    return data[:place] + struct.pack("<HHLL", tag, kind, count, value) + data[place + 12 :]


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate", "packbits"])
@pytest.mark.parametrize("big", [False, True])
def test_pages_are_read_in_every_lossless_compression(small: np.ndarray, compression: str | None, big: bool) -> None:
    np.testing.assert_array_equal(decode(tiff(small, compression=compression, big_tiff=big)), small)


def test_jpeg_in_tiff(small: np.ndarray) -> None:
    assert np.abs(decode(tiff(small, compression="jpeg", quality=95)).astype(int) - small).mean() < 3


def test_of_several_pages_the_first_is_read(small: np.ndarray) -> None:
    pages = [Image.fromarray(small), Image.new("RGB", (90, 90))]
    data = tiff(pages[0], save_all=True, append_images=pages[1:])
    assert Image.open(io.BytesIO(data)).n_frames == 2
    np.testing.assert_array_equal(decode(data), small)


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, 3), (8, 1)])
@pytest.mark.parametrize("compression", [None, "tiff_deflate"])
def test_tiffs_are_read_upright(small: np.ndarray, orientation: int, turns: int, compression: str | None) -> None:
    data = tiff(small, tiffinfo={274: orientation}, compression=compression)
    np.testing.assert_array_equal(decode(data), np.rot90(small, turns))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB"])
def test_every_mode_that_tiff_holds_becomes_rgb(small: np.ndarray, mode: str) -> None:
    picture = Image.fromarray(small)
    if mode == "LAB":
        from PIL import ImageCms

        spaces = [ImageCms.createProfile(name) for name in ("sRGB", "LAB")]
        picture = ImageCms.profileToProfile(picture, *spaces, outputMode="LAB")
        picture.info.clear()
    elif mode == "LA":
        picture = picture.convert("L").convert("LA")
    else:
        picture = picture.quantize(256) if mode == "P" else picture.convert(mode)
    grey = mode in ("1", "L", "LA")
    expected = np.asarray(Image.fromarray(small).convert("1" if mode == "1" else "L").convert("RGB")) if grey else small
    data = tiff(picture)
    if mode == "YCbCr":
        try:
            Image.open(io.BytesIO(data)).load()
        except OSError:
            pytest.skip("this Pillow does not read the YCbCr TIFF that it writes")
    assert np.abs(decode(data).astype(int) - expected).mean() < 3


@pytest.mark.parametrize("compression", [None, "tiff_deflate"])
@pytest.mark.parametrize("white_is_zero", [False, True])
def test_sixteen_bits_keep_their_high_byte(white_is_zero: bool, compression: str | None) -> None:
    values = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16
    data = tiff(Image.fromarray(values), tiffinfo={262: 0} if white_is_zero else {}, compression=compression)
    expected = 255 - (values >> 8) if white_is_zero else values >> 8
    for source in (data, Image.open(io.BytesIO(data))):
        np.testing.assert_array_equal(decode(source)[..., 0], expected)


def test_twelve_bits_are_not_nearly_black() -> None:
    values = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    pairs = values.reshape(-1, 2)
    packed = (
        np.stack([pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], 1).astype(np.uint8).tobytes()
    )
    fields = {256: 64, 257: 64, 258: 12, 259: 1, 262: 1, 273: 8 + 2 + 12 * 9 + 4, 277: 1, 278: 64, 279: len(packed)}
    table = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in fields.items())
    data = b"II*\0" + struct.pack("<LH", 8, len(fields)) + table + bytes(4) + packed
    for source in (data, Image.open(io.BytesIO(data))):
        np.testing.assert_array_equal(decode(source)[..., 0], values >> 4)


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_pixels_of_unknown_range_are_refused_and_not_black(small: np.ndarray, kind: type) -> None:
    picture = Image.fromarray((small[..., 0] / 255).astype(kind))
    for source in (tiff(picture), picture):
        with pytest.raises(ImageDecodeError, match="range is unknown"):
            decode(source)


@pytest.mark.parametrize(
    ("tag", "kind", "count", "value"),
    [
        (296, 3, 3, 8),  # three units of resolution
        (282, 5, 1, 2**31),  # a resolution outside of the file
        (270, 2, 10, 2**32 - 1),
        (34675, 7, 10**6, 8),  # a colour profile that the file does not hold
        (34675, 7, 0, 0),
        (34665, 4, 1, 2**32 - 1),  # EXIF outside
    ],
)
def test_odd_fields_do_the_pixels_no_harm(small: np.ndarray, tag: int, kind: int, count: int, value: int) -> None:
    data = tiff(small, tiffinfo={tag: "twelve bytes"} if tag == 270 else {}, icc_profile=profiles.srgb(), dpi=(72, 72))
    if tag == 34665:
        data = data.replace(struct.pack("<H", 296), struct.pack("<H", tag), 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(decode(changed(data, tag, kind, count, value)), small)


def test_a_field_of_one_value_that_holds_several_counts_with_its_first(small: np.ndarray) -> None:
    data = tiff(small)
    place = len(data)
    several = changed(data, 259, 3, 3, place) + struct.pack("<3H", 1, 7, 7)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(decode(several), small)


@pytest.mark.parametrize(
    ("tag", "kind", "count", "value", "says"),
    [
        (273, 4, 10**6, 8, "field 273"),
        (258, 3, 3, 2**31, "field 258"),
        (256, 4, 0, 0, "field 256"),
        (257, 99, 1, 72, "field 257"),
    ],
)
def test_fields_that_the_pixels_need_must_be_there(
    small: np.ndarray, tag: int, kind: int, count: int, value: int, says: str
) -> None:
    with pytest.raises(ImageDecodeError, match=says):
        decode(changed(tiff(small), tag, kind, count, value))


def test_a_million_strips_are_refused(small: np.ndarray) -> None:
    data = tiff(small)
    many = changed(data, 273, 3, MAX_PIECES + 1, 0) + bytes(2 * MAX_PIECES)
    with pytest.raises(ImageDecodeError, match="strips or tiles"):
        decode(many)


@pytest.mark.parametrize("data", [b"II*\0", b"MM\0*\0\0\0\x08", b"II*\0\xff\xff\xff\xff", b"II+\0" + b"\xff" * 30])
def test_a_directory_outside_of_the_file_is_refused(data: bytes) -> None:
    with pytest.raises(ImageDecodeError, match="directory"):
        read_tiff(data)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_mangled_directory_warns_of_nothing(small: np.ndarray, data: st.DataObject) -> None:
    blob = bytearray(tiff(small, icc_profile=profiles.srgb(256), dpi=(72, 72)))
    places = [place for _, place in entries(bytes(blob))]
    for _ in range(data.draw(st.integers(1, 5))):
        blob[data.draw(st.sampled_from(places)) + data.draw(st.integers(0, 11))] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            assert decode(bytes(blob)).dtype == np.uint8
        except AcneEdgeError:
            return
