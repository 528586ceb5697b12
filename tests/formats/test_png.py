from __future__ import annotations

import struct
import zlib
from time import process_time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from acne_edge.errors import ImageDecodeError
from acne_edge.formats import png
from acne_edge.formats.png import read_png
from acne_edge.image import decode
from tests import drawing, profiles


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))


def behind_header(data: bytes, *chunks: bytes) -> bytes:
    return data[:33] + b"".join(chunks) + data[33:]


@pytest.fixture(scope="module")
def plain() -> bytes:
    return drawing.encode(drawing.face(width=64, height=72))


def exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


def test_the_size_and_the_pixels_are_kept(plain: bytes) -> None:
    whole = read_png(plain)
    assert (whole.width, whole.height) == (64, 72)
    assert whole.data == plain


def test_exif_profile_and_xmp_are_found(face: np.ndarray) -> None:
    profile = profiles.matrix("p3")
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", '<a tiff:Orientation="8"/>', zip=True)
    found = read_png(drawing.encode(face, icc_profile=profile, exif=exif(6), pnginfo=info)).metadata
    assert found.orientation == 6
    assert found.profile == profile
    assert found.xmp == b'<a tiff:Orientation="8"/>'


@pytest.mark.parametrize("zipped", [False, True])
def test_exif_as_imagemagick_writes_it(plain: bytes, zipped: bool) -> None:
    text = f"\nexif\n{len(exif(3)):8}\n{exif(3).hex()}\n".encode()
    body = b"Raw profile type exif\0" + (b"\0" + zlib.compress(text) if zipped else text)
    data = behind_header(plain, chunk(b"zTXt" if zipped else b"tEXt", body))
    np.testing.assert_array_equal(decode(data), decode(plain)[::-1, ::-1])


@pytest.mark.parametrize(
    "odd",
    [
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(3_000_000))),
        chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(bytes(3_000_000))),
        chunk(b"zTXt", b"Raw profile type exif\0\0no zlib"),
        chunk(b"tEXt", b"Raw profile type exif\0\n\n\nnot hexadecimal"),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1"),
        chunk(b"iTXt", b""),
        chunk(b"iCCP", b"huge\0\0" + zlib.compress(bytes(9_000_000))),
        chunk(b"iCCP", b"damaged\0\0" + zlib.compress(bytes(900))[:-5]),
        chunk(b"iCCP", b"another method\0\1" + zlib.compress(bytes(900))),
        chunk(b"eXIf", b"nothing of the kind"),
        chunk(b"acTL", b""),
        chunk(b"acTL", struct.pack(">LL", 0, 0)),
        chunk(b"fcTL", bytes(26)),
        chunk(b"abCd", b"private"),
        chunk(b"tEXt", b"a wrong sum\0")[:-1] + b"\0",
    ],
)
def test_odd_remarks_do_the_pixels_no_harm(plain: bytes, odd: bytes) -> None:
    np.testing.assert_array_equal(decode(behind_header(plain, odd)), decode(plain))


def test_what_follows_the_end_is_not_read(plain: bytes) -> None:
    np.testing.assert_array_equal(decode(plain + chunk(b"eXIf", exif(6))), decode(plain))


def test_transparency_is_part_of_the_pixels(face: np.ndarray) -> None:
    palette = Image.fromarray(face).quantize(16)
    first = palette.getpixel((0, 0))
    assert (decode(drawing.encode(palette, transparency=first))[0, 0] == 255).all()
    assert (decode(drawing.encode(palette))[0, 0] != 255).any()


def test_a_wrong_sum_of_the_pixels_is_refused(plain: bytes) -> None:
    damaged = bytearray(plain)
    damaged[plain.index(b"IDAT") + 20] ^= 1
    with pytest.raises(ImageDecodeError, match="damaged"):
        decode(bytes(damaged))


@pytest.mark.parametrize("data", [png.START, png.START + bytes(30), png.START + chunk(b"IDAT", bytes(40))])
def test_a_file_without_a_header_is_refused(data: bytes) -> None:
    with pytest.raises(ImageDecodeError, match="no header"):
        read_png(data)


def test_millions_of_chunks_are_refused_at_once(plain: bytes) -> None:
    began = process_time()
    with pytest.raises(ImageDecodeError, match="chunks"):
        read_png(behind_header(plain, chunk(b"tEXt", b"") * 1_000_000))
    assert process_time() - began < 1


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.sampled_from([b"iCCP", b"iTXt", b"zTXt", b"tEXt", b"eXIf", b"tRNS", b"IEND"]), st.binary(max_size=60)))
)
def test_any_chunks_are_read(chunks: list[tuple[bytes, bytes]]) -> None:
    head = png.START + chunk(b"IHDR", struct.pack(">LLBBBBB", 64, 72, 8, 2, 0, 0, 0))
    found = read_png(head + b"".join(chunk(*pair) for pair in chunks))
    assert (found.width, found.height) == (64, 72)
    assert 1 <= found.metadata.orientation <= 8
