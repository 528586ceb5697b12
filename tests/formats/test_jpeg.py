from __future__ import annotations

import struct
from time import process_time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from acne_edge.errors import ImageDecodeError, ImageError
from acne_edge.formats import jpeg
from acne_edge.formats.jpeg import read_header
from acne_edge.image import decode
from tests import drawing, profiles
from tests.mutants import behind_start, mutants, originals, segment


@pytest.fixture(scope="module")
def plain() -> bytes:
    return originals()[0]


@pytest.fixture(scope="module")
def progressive() -> bytes:
    return originals()[1]


def icc(number: int, parts: int, data: bytes) -> bytes:
    return segment(0xE2, b"ICC_PROFILE\0" + bytes((number, parts)) + data)


def exif(data: bytes) -> bytes:
    return segment(0xE1, b"Exif\0\0" + data)


def scans(progressive: bytes, number: int) -> bytes:
    """The file with its last scan repeated, so that it has that many."""
    last, have = progressive.rindex(b"\xff\xda"), progressive.count(b"\xff\xda")
    return progressive[:last] + progressive[last:-2] * (number - have + 1) + b"\xff\xd9"


@pytest.mark.parametrize("index", range(len(originals())))
def test_size_and_components_are_those_that_pillow_finds(index: int) -> None:
    data = originals()[index]
    header = read_header(data)
    assert (header.width, header.height) == (64, 72)
    assert decode(data).shape[:2] in ((72, 64), (64, 72))


def test_components_and_buffers(face: np.ndarray) -> None:
    picture = Image.fromarray(face).resize((100, 90))
    for mode, components in (("L", 1), ("RGB", 3), ("CMYK", 4)):
        assert read_header(drawing.encode(picture.convert(mode), "JPEG")).components == components
    assert read_header(drawing.encode(picture, "JPEG")).buffered == 0
    # 4:2:0 in units of 16 pixels: 7 by 6 of them, of six blocks of 64 coefficients of two bytes.
    assert read_header(drawing.encode(picture, "JPEG", progressive=True)).buffered == 7 * 6 * 6 * 128


def test_exif_and_xmp_are_collected(plain: bytes) -> None:
    xmp = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<a/>")
    metadata = read_header(behind_start(plain, exif(b"one"), xmp, exif(b"two"))).metadata
    assert (metadata.exif, metadata.xmp, metadata.profile) == (b"onetwo", b"<a/>", b"")


@pytest.mark.parametrize(
    ("parts", "profile"),
    [
        ([(1, 1, b"a")], b"a"),
        ([(2, 2, b"b"), (1, 2, b"a")], b"ab"),
        ([(1, 2, b"a")], b""),
        ([(2, 2, b"b")], b""),
        ([(0, 1, b"a")], b""),
        ([(1, 1, b"a"), (1, 1, b"b")], b"a"),
    ],
)
def test_a_profile_is_whole_or_none(plain: bytes, parts: list[tuple[int, int, bytes]], profile: bytes) -> None:
    assert read_header(behind_start(plain, *(icc(*part) for part in parts))).metadata.profile == profile


@pytest.mark.parametrize(
    "odd",
    [
        segment(0xE0, b"JFIF\0"),
        segment(0xE0, b""),
        segment(0xE1, b"Exif\0"),
        segment(0xE2, b"ICC_PROFILE\0\1"),
        segment(0xEE, b"Adobe"),
        b"\xff\xe1\0\0",  # a length that does not count itself
        b"\xff\x01\xff\xd0",  # markers without a length
        b"garbage\xff\x00",
        b"\xff\xff\xff",
        segment(0xFE, b"\xff\xd9\xff\xda"),  # a comment that looks like an image
    ],
)
def test_odd_segments_before_the_pixels_do_them_no_harm(plain: bytes, odd: bytes) -> None:
    np.testing.assert_array_equal(decode(plain[:20] + odd + plain[20:]), decode(plain))  # behind the JFIF segment


def test_what_follows_the_image_is_not_read(plain: bytes) -> None:
    for tail in (b"\0\0\0\x18ftypmp42" + bytes(5000), plain, b"\xff\xda" * 5000):
        np.testing.assert_array_equal(decode(plain + tail), decode(plain))


def test_a_file_that_lacks_its_end_is_cut_short(plain: bytes) -> None:
    for end in (-2, -100):  # where the end marker is lost, so may be pixels
        with pytest.raises(ImageDecodeError, match="cut short"):
            decode(plain[:end])


@pytest.mark.parametrize("frame", [0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF])
def test_lossless_and_hierarchical_frames_are_named(plain: bytes, frame: int) -> None:
    with pytest.raises(ImageDecodeError, match="lossless"):
        read_header(plain.replace(b"\xff\xc0", bytes((0xFF, frame)), 1))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c", "12 bits"),
        (b"\0\x48\0\x40\x03\x01\x22", b"\0\x48\0\x40\x03\x01\x02", "sampling"),
        (b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x0e\x08", "length"),
        (b"\xff\xdb", b"\xff\xd9", "no pixels"),
        (b"\xff\xdb", b"\xff\xd8", "no pixels"),
        (b"\xff\xc0\0\x11\x08", b"\xff\xed\0\x11\x08", "before their size"),
    ],
)
def test_frames_that_are_not_decoded_are_refused(plain: bytes, old: bytes, new: bytes, says: str) -> None:
    assert old in plain
    with pytest.raises(ImageDecodeError, match=says):
        read_header(plain.replace(old, new, 1))


@pytest.mark.parametrize("components", [2, 5])
def test_two_or_five_components_are_refused(plain: bytes, components: int) -> None:
    frame = struct.pack(">BHHB", 8, 72, 64, components) + b"\1\x11\0" * components
    with pytest.raises(ImageDecodeError, match=f"{components} components"):
        read_header(plain[:2] + segment(0xC0, frame))


def test_a_second_frame_is_refused(plain: bytes) -> None:
    at = plain.index(b"\xff\xc0")
    with pytest.raises(ImageDecodeError, match="two frames"):
        read_header(plain[:at] + plain[at : at + 19] * 2 + plain[at + 19 :])


@pytest.mark.parametrize("keep", [3, 4, 10, 100, 200, 500])
def test_a_header_that_is_cut_short_is_refused(plain: bytes, keep: int) -> None:
    with pytest.raises(ImageDecodeError, match="cut short"):
        read_header(plain[:keep])


def test_two_hundred_scans_are_read_and_more_are_not(progressive: bytes) -> None:
    assert decode(scans(progressive, 200)).shape == (72, 64, 3)
    with pytest.raises(ImageDecodeError, match="too many scans"):
        decode(scans(progressive, 201))


def test_scans_are_fewer_where_the_image_is_large(progressive: bytes) -> None:
    large = progressive.replace(struct.pack(">HH", 72, 64), struct.pack(">HH", 10_000, 10_000), 1)
    read_header(scans(large, 20))
    with pytest.raises(ImageDecodeError, match="too many scans"):
        read_header(scans(large, 21))


@pytest.mark.parametrize("place", ["header", "scans"])
def test_millions_of_segments_are_refused_at_once(plain: bytes, progressive: bytes, place: str) -> None:
    many = b"\xff\xfe\0\2" * 2_000_000
    data = behind_start(plain, many) if place == "header" else progressive[:-2] + many + progressive[-2:]
    began = process_time()
    with pytest.raises(ImageDecodeError, match=f"more than {jpeg.MAX_SEGMENTS} segments"):
        read_header(data)
    assert process_time() - began < 1


@pytest.mark.parametrize("filling", [b"\xff", b"\xff\0", b"\0"])
def test_long_fillings_take_no_time(filling: bytes) -> None:
    began = process_time()
    with pytest.raises(ImageDecodeError, match="cut short"):
        read_header(jpeg.START + filling * 20_000_000)
    assert process_time() - began < 2


def test_mutants_are_decoded_or_refused() -> None:
    decoded, refused = 0, []
    for _, data in mutants(400, seed=1):
        try:
            assert decode(data).dtype == np.uint8
            decoded += 1
        except ImageError as error:
            refused.append(str(error))
    assert min(decoded, len(refused)) > 100
    assert not any("\n" in line for line in refused)


@settings(max_examples=300)
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_a_header_or_refused(tail: bytes, with_frame: bool) -> None:
    frame = segment(0xC2, struct.pack(">BHHB", 8, 72, 64, 3) + b"\1\x22\0\2\x11\1\3\x11\1") if with_frame else b""
    try:
        header = read_header(b"\xff\xd8" + frame + tail)
    except ImageDecodeError:
        return
    assert header.components in (1, 3, 4)
    assert header.buffered >= 0


def test_the_profile_of_a_camera_is_found(plain: bytes) -> None:
    assert read_header(originals()[6]).metadata.profile == profiles.matrix("p3")
