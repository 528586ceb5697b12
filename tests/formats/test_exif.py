from __future__ import annotations

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from acne_edge.formats.exif import Metadata, exif_orientation, xmp_orientation


def tiff(*entries: bytes, order: str = "<", tail: bytes = b"") -> bytes:
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HL", 42, 8)
    return head + struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4) + tail


def entry(value: int, kind: int = 3, count: int = 1, order: str = "<", tag: int = 0x0112) -> bytes:
    code = {3: "H", 4: "L", 6: "b", 8: "h", 9: "l", 13: "L"}.get(kind, "L")
    return struct.pack(order + "HHL", tag, kind, count) + struct.pack(order + code, value).ljust(4, b"\0")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [3, 4, 6, 8, 9, 13])
@pytest.mark.parametrize("value", [1, 6, 8])
def test_an_orientation_of_any_integer_type_is_read(value: int, kind: int, order: str) -> None:
    other = entry(7, 3, 1, order, tag=0x0110)
    assert exif_orientation(tiff(other, entry(value, kind, order=order), order=order)) == value


def test_of_several_values_the_first_counts() -> None:
    elsewhere = struct.pack("<HHLL", 0x0112, 3, 3, 26)
    assert exif_orientation(tiff(elsewhere, tail=struct.pack("<3H", 7, 2, 3))) == 7


@pytest.mark.parametrize(
    ("block", "orientation"),
    [
        (b"", 0),
        (b"nothing of the kind", 1),
        (b"II", 0),
        (b"II*\0\xff\xff\xff\xff", 0),  # a directory outside
        (b"II\0\0\x08\0\0\0", 1),  # no TIFF
        (tiff(entry(6))[:-8], 0),  # cut inside the value's field
        (tiff(entry(6))[:12], 0),
        (tiff(entry(6, count=0)), 1),  # no value at all
        (tiff(entry(6, kind=2)), 1),  # text
        (tiff(entry(6, kind=99)), 1),
        (tiff(entry(9)), 1),
        (tiff(entry(0)), 1),
        (tiff(entry(2**31, kind=4, count=2)), 0),  # values outside
        (tiff(entry(5, tag=0x0110)), 0),
        (tiff(entry(3), entry(6)), 3),
    ],
)
def test_what_is_no_orientation_is_upright_or_says_nothing(block: bytes, orientation: int) -> None:
    assert exif_orientation(block) == orientation
    assert Metadata(block).orientation == (orientation or 1)


@pytest.mark.parametrize(
    ("text", "orientation"),
    [
        (b'<a tiff:Orientation="6"/>', 6),
        (b"<tiff:Orientation>8</tiff:Orientation>", 8),
        (b'<tiff:Orientation/><b tiff:Orientation="3"/>', 3),
        (b'tiff:Orientation="', 0),
        (b"", 0),
    ],
)
def test_xmp_is_read(text: bytes, orientation: int) -> None:
    assert xmp_orientation(text) == orientation


def test_xmp_counts_where_exif_says_nothing() -> None:
    xmp = b'<a tiff:Orientation="6"/>'
    assert Metadata(b"", xmp).orientation == 6
    assert Metadata(tiff(entry(3)), xmp).orientation == 3
    assert Metadata(tiff(entry(6, count=0)), xmp).orientation == 1
    assert Metadata(b"", b'<a tiff:Orientation="9"/>').orientation == 1


@given(st.binary(max_size=200) | st.builds(lambda body: b"II*\0\x08\0\0\0" + body, st.binary(max_size=200)))
@example(tiff(*[entry(1, tag=1)] * 3))
def test_any_bytes_give_an_orientation_or_none(block: bytes) -> None:
    assert 0 <= exif_orientation(block) <= 8
    assert 0 <= xmp_orientation(block) <= 9


@given(st.integers(1, 8), st.sampled_from(["II", "MM"]))
def test_what_pillow_writes_is_read(orientation: int, order: str) -> None:
    exif = Image.Exif()
    exif.endian = {"II": "<", "MM": ">"}[order]
    exif[0x0112], exif[0x010F] = orientation, "a maker"
    assert exif_orientation(exif.tobytes().removeprefix(b"Exif\0\0")) == orientation
