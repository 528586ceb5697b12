from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from acne_edge import image as images
from acne_edge.errors import AcneEdgeError, ImageDecodeError, ImageNotFoundError, ImageSizeError, MissingExtraError
from acne_edge.image import decode
from tests import drawing
from tests.drawing import encode, with_orientation


def test_array_path_bytes_and_pil_give_the_same_pixels(face: np.ndarray, tmp_path: Path) -> None:
    file = tmp_path / "face.png"
    file.write_bytes(encode(face))
    for source in (face, file, str(file), file.read_bytes(), bytearray(file.read_bytes()), Image.fromarray(face)):
        np.testing.assert_array_equal(decode(source), face)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_the_image_upright(face: np.ndarray, orientation: int) -> None:
    stored = {
        1: face,
        2: face[:, ::-1],
        3: face[::-1, ::-1],
        4: face[::-1],
        5: face.transpose(1, 0, 2),
        6: np.rot90(face, 1),
        7: np.rot90(face, 2).transpose(1, 0, 2),
        8: np.rot90(face, -1),
    }[orientation]
    upright = decode(with_orientation(np.ascontiguousarray(stored), orientation))
    assert upright.shape == face.shape
    assert np.abs(upright.astype(int) - face).mean() < 2


def test_damaged_exif_does_not_cost_the_photograph(face: np.ndarray) -> None:
    assert decode(encode(face, "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")).shape == face.shape


@pytest.mark.parametrize(("min_side", "scale"), [(None, 1), (400, 1), (288, 2), (200, 2), (144, 4), (100, 4), (72, 8), (1, 8)])
def test_jpeg_is_decoded_at_the_smallest_scale_that_keeps_both_sides(face: np.ndarray, min_side: int | None, scale: int) -> None:
    assert decode(encode(face, "JPEG"), min_side).shape == (640 // scale, 576 // scale, 3)


def test_scaled_decode_is_close_to_decoding_in_full(face: np.ndarray) -> None:
    data = encode(face, "JPEG", quality=92)
    full = Image.fromarray(decode(data)).resize((64, 64), Image.Resampling.BILINEAR)
    fast = Image.fromarray(decode(data, 128)).resize((64, 64), Image.Resampling.BILINEAR)
    assert np.abs(np.asarray(full, int) - np.asarray(fast, int)).mean() < 1


def test_only_jpeg_is_scaled(face: np.ndarray) -> None:
    assert decode(encode(face), 72).shape == face.shape


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
def test_every_pillow_mode_becomes_rgb(face: np.ndarray, mode: str) -> None:
    picture = Image.fromarray(face)
    grey = np.asarray(picture.convert("L"))
    if mode == "I;16":
        picture = Image.fromarray(grey.astype(np.uint16) * 257)
    elif mode in ("I", "F"):
        picture = Image.fromarray((grey.astype(np.int32) * 257).astype(np.int32 if mode == "I" else np.float32))
    else:
        picture = picture.convert(mode)
    assert picture.mode == mode
    array = decode(picture)
    assert array.shape == face.shape
    assert array.dtype == np.uint8
    if mode in ("I;16", "I", "F"):
        assert np.abs(array[..., 0].astype(int) - grey).max() <= 1


def test_sixteen_bit_png_and_cmyk_jpeg_files(face: np.ndarray) -> None:
    grey = np.asarray(Image.fromarray(face).convert("L"))
    sixteen = decode(encode(Image.fromarray(grey.astype(np.uint16) * 257)))
    assert np.abs(sixteen[..., 0].astype(int) - grey).max() <= 1
    cmyk = decode(encode(Image.fromarray(face).convert("CMYK"), "JPEG", quality=95))
    assert np.abs(cmyk.astype(int) - face).mean() < 4


def test_transparency_is_flattened_over_white(face: np.ndarray) -> None:
    clear = np.dstack([face, np.zeros(face.shape[:2], np.uint8)])
    assert (decode(clear) == 255).all()
    assert (decode(encode(clear)) == 255).all()
    palette = Image.fromarray(face).quantize(16)
    assert decode(encode(palette, transparency=0)).shape == face.shape


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
def test_a_truncated_file_is_refused(face: np.ndarray, kind: str) -> None:
    data = encode(face, kind)
    with pytest.raises(ImageDecodeError, match=r"damaged or cut short|not an image"):
        decode(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("source", "error", "says"),
    [
        (b"", ImageDecodeError, "empty"),
        (b"hello, world\n" * 40, ImageDecodeError, "supported format"),
        (b"\xff\xd8\xff", ImageDecodeError, "damaged|supported format"),
        (42, ImageDecodeError, "int"),
        (np.zeros((64, 64, 3), np.float32), ImageDecodeError, "float32"),
        (np.zeros((64, 64, 5), np.uint8), ImageSizeError, "shape"),
        (np.zeros((0, 64, 3), np.uint8), ImageSizeError, "0 pixels|64x0"),
        (np.zeros((1, 1, 3), np.uint8), ImageSizeError, "1x1"),
        ("no/such/file.jpg", ImageNotFoundError, "no such file"),
        (".", ImageNotFoundError, "directory"),
        ("/dev/null", ImageNotFoundError, "not a regular file"),
        ("nul\0byte", ImageNotFoundError, "cannot be read|no such file"),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(source: object, error: type[AcneEdgeError], says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        decode(source)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_text_file_called_jpg(tmp_path: Path) -> None:
    file = tmp_path / "notes.jpg"
    file.write_text("shopping list")
    with pytest.raises(ImageDecodeError, match="not an image"):
        decode(file)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(20_000, 10_000), (60_000, 60_000), (10_001, 10_000)])
def test_a_bomb_is_refused_before_it_is_decoded(width: int, height: int) -> None:
    with pytest.raises(ImageSizeError, match=r"megapixels|too large"):
        decode(png_header(width, height))


def test_the_pixel_limit_can_be_set(face: np.ndarray) -> None:
    with pytest.raises(ImageSizeError, match="576x640"):
        decode(face, max_pixels=1000)


def test_a_file_over_the_byte_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_BYTES", 10)
    file = tmp_path / "big.png"
    file.write_bytes(b"x" * 11)
    with pytest.raises(ImageSizeError, match="larger than"):
        decode(file)


def heic(image: np.ndarray, orientation: int = 1) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif", reason="the extra heif is not installed")
    picture = Image.fromarray(image)
    exif = picture.getexif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    pillow_heif.register_heif_opener()  # to write it; the SDK reads without
    picture.save(buffer, "HEIF", quality=95, exif=exif.tobytes())
    return buffer.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_is_that_of_the_photograph_upright_whatever_was_decoded(orientation: int) -> None:
    stored = np.zeros((805, 803, 3), np.uint8)  # an eighth has 101 pixels either way
    photograph = images.photograph(with_orientation(stored, orientation), min_side=100)
    assert photograph.pixels.size == (101, 101)
    assert (photograph.width, photograph.height) == ((803, 805) if orientation < 5 else (805, 803))


def test_the_size_of_other_sources_is_that_of_their_pixels(face: np.ndarray) -> None:
    for source in (face, encode(face), Image.fromarray(face)):
        assert images.photograph(source, min_side=32)[1:3] == (576, 640)


def test_colours_may_stay_in_their_space_and_then_the_profile_comes_with_them(face: np.ndarray) -> None:
    profile = drawing.display_p3()
    wide = encode(face, "PNG", icc_profile=profile)
    kept, converted = images.photograph(wide, srgb=False), images.photograph(wide)
    assert (kept.profile, converted.profile) == (profile, b"")
    np.testing.assert_array_equal(np.asarray(kept.pixels), face)
    assert np.abs(np.asarray(converted.pixels).astype(int) - face).max() > 3


@pytest.mark.parametrize("profile", [b"", b"damaged", bytes(200)])
def test_a_profile_that_cannot_be_used_is_not_kept(face: np.ndarray, profile: bytes) -> None:
    assert images.photograph(encode(face, "PNG", icc_profile=profile), srgb=False).profile == b""


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_heic_photographs_are_read_upright(orientation: int, turns: int) -> None:
    image = np.zeros((120, 200, 3), np.uint8)
    image[:, :100], image[:60, 100:] = (200, 30, 30), (20, 180, 40)
    decoded = decode(heic(image, orientation))
    assert np.abs(decoded.astype(int) - np.rot90(image, turns)).mean() < 3


def test_a_heic_photograph_is_measured_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = heic(np.zeros((64, 64, 3), np.uint8))
    import pillow_heif

    monkeypatch.setattr(pillow_heif.HeifFile, "to_pillow", lambda self: pytest.fail("decoded"))
    with pytest.raises(ImageSizeError, match="64x64"):
        decode(data, max_pixels=1000)


def test_damaged_heic_photographs_are_refused_in_one_line() -> None:
    data = heic(np.full((64, 64, 3), 90, np.uint8))
    random = np.random.default_rng(0)
    refusals = []
    for _ in range(200):
        damaged = bytearray(data)
        for place in random.integers(0, len(data), 5):
            damaged[place] = random.integers(256)
        try:
            decode(bytes(damaged[: random.integers(1, len(data) + 1)]))
        except (ImageDecodeError, ImageSizeError) as error:
            refusals.append(str(error))
    assert len(refusals) > 50
    assert not any("\n" in line for line in refusals)


def test_heic_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    with pytest.raises(MissingExtraError, match=r"acne-edge\[heif\]"):
        decode(b"\x00\x00\x00\x18ftypheic" + b"\0" * 64)


def test_decoding_warns_of_nothing(face: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decode(encode(Image.fromarray(face).resize((9500, 9500)), "JPEG", quality=20), 448)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_mangled_file_gives_an_image_or_an_image_error(face: np.ndarray, data: st.DataObject) -> None:
    small = Image.fromarray(face).resize((48, 56))
    kind = data.draw(st.sampled_from(["JPEG", "PNG", "WEBP", "BMP", "TIFF"]))
    stream = io.BytesIO()
    small.save(stream, kind)
    blob = bytearray(stream.getvalue())
    for _ in range(data.draw(st.integers(1, 8))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    try:
        array = decode(bytes(blob[: data.draw(st.integers(0, len(blob)))]), 32)
    except AcneEdgeError:
        return
    assert array.dtype == np.uint8
    assert array.ndim == 3
    assert array.shape[2] == 3
