from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from acne_edge import image as images
from acne_edge.errors import AcneEdgeError, ImageDecodeError, ImageError, ImageNotFoundError, ImageSizeError, MissingExtraError
from acne_edge.image import decode
from tests import drawing, profiles
from tests.drawing import encode, with_orientation
from tests.mutants import originals


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


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBX", "RGBA", "RGBa", "CMYK", "YCbCr", "HSV", "LAB", "I;16", "I;16B"]
)
def test_every_pillow_mode_of_known_range_becomes_rgb(face: np.ndarray, mode: str) -> None:
    picture, grey = pictured(face, mode), np.asarray(Image.fromarray(face).convert("L"))
    assert picture.mode == mode
    array = decode(picture)
    assert array.dtype == np.uint8
    assert array.shape == face.shape
    expected = {"1": np.asarray(picture) * 255, "L": grey, "LA": grey, "La": grey, "I;16": grey, "I;16B": grey}.get(mode, face)
    assert np.abs(array.astype(int) - (expected if expected.ndim == 3 else expected[..., None])).mean() < 7


def pictured(face: np.ndarray, mode: str) -> Image.Image:
    """The face as a PIL image of any mode."""
    picture = Image.fromarray(face)
    if mode.startswith("I;16"):
        grey = np.asarray(picture.convert("L")).astype(">u2" if mode.endswith("B") else "<u2")
        return Image.frombytes(mode, picture.size, (grey * 257).astype(grey.dtype).tobytes())
    if mode == "LAB":
        spaces = [ImageCms.createProfile(name) for name in ("sRGB", "LAB")]
        lab = ImageCms.profileToProfile(picture, *spaces, outputMode="LAB")
        assert lab is not None
        lab.info.clear()
        return lab
    if mode in ("P", "PA"):
        return picture.quantize(256).convert(mode)
    steps = {"LA": ("L", "LA"), "La": ("L", "LA", "La"), "RGBa": ("RGBA", "RGBa")}.get(mode, (mode,))
    for step in steps:
        picture = picture.convert(step)
    return picture


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pil_images_of_unknown_range_are_refused(face: np.ndarray, mode: str) -> None:
    with pytest.raises(ImageDecodeError, match=f"mode {mode}, whose range is unknown"):
        decode(Image.fromarray(face).convert(mode))


def test_a_large_image_is_converted_in_bands_that_join(face: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    clear = np.dstack([face, np.random.default_rng(0).integers(0, 256, face.shape[:2], np.uint8)])
    pictures = [Image.fromarray(clear), Image.fromarray(face).quantize(256), Image.fromarray(face).convert("CMYK")]
    whole = [decode(picture) for picture in pictures]
    monkeypatch.setattr(images, "BAND", 576 * 7)  # rows that do not divide the height
    for picture, expected in zip(pictures, whole, strict=True):
        np.testing.assert_array_equal(decode(picture), expected)


LAYOUTS = {
    "read-only": lambda a: a,
    "channels reversed twice": lambda a: a[..., ::-1].copy()[..., ::-1],
    "rows reversed twice": lambda a: a[::-1].copy()[::-1],
    "every second": lambda a: a.repeat(2, 0).repeat(2, 1)[::2, ::2],
    "Fortran": np.asfortranarray,
    "opaque": lambda a: np.dstack([a, np.full(a.shape[:2], 255, np.uint8)]),
    "masked": np.ma.masked_array,
    "a subclass": lambda a: a.view(type("Photograph", (np.ndarray,), {})),
    "a file": lambda a: a.copy().view(np.memmap),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_arrays_of_any_layout_give_the_same_pixels(face: np.ndarray, layout: str) -> None:
    array = face.copy()
    array.flags.writeable = layout != "read-only"
    np.testing.assert_array_equal(decode(LAYOUTS[layout](array)), face)


def test_grey_arrays_may_have_an_axis_for_it(face: np.ndarray) -> None:
    grey = np.ascontiguousarray(face[..., 0])
    np.testing.assert_array_equal(decode(grey), decode(grey[..., None]))
    np.testing.assert_array_equal(decode(grey)[..., 2], grey)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda a: a / 255, ImageDecodeError, r"dtype float64; expected uint8, 0..255; of values 0..1 make \(a \* 255\)"),
        (lambda a: a.astype(np.float32), ImageDecodeError, "dtype float32"),
        (lambda a: a.astype(np.uint16), ImageDecodeError, "dtype uint16"),
        (lambda a: a.astype(np.int8), ImageDecodeError, "dtype int8"),
        (lambda a: a > 90, ImageDecodeError, "dtype bool"),
        (lambda a: a.astype(object), ImageDecodeError, "dtype object"),
        (lambda a: a.view([("r", "u1"), ("g", "u1"), ("b", "u1")]), ImageDecodeError, "dtype"),
        (lambda a: np.ma.masked_less(a, 90), ImageDecodeError, "masked pixels"),
        (lambda a: a.transpose(2, 0, 1), ImageSizeError, r"shape \(3, 640, 576\).*channels come last"),
        (lambda a: a[None], ImageSizeError, r"shape \(1, 640, 576, 3\).*one photograph at a time"),
        (lambda a: a[..., :2], ImageSizeError, "shape"),
        (lambda a: a[0, :, 0], ImageSizeError, "shape"),
        (lambda a: a[:, :0], ImageSizeError, "0x640 pixels"),
        (lambda a: a[0, 0, 0], ImageDecodeError, "not uint8"),
    ],
)
def test_other_arrays_are_refused_and_told_what_was_expected(
    face: np.ndarray, change: Callable[[np.ndarray], object], error: type[AcneEdgeError], says: str
) -> None:
    with pytest.raises(error, match=says) as caught:
        decode(change(face))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def lazy(data: bytes) -> Image.Image:
    """An image that Pillow decodes when it is first touched."""
    return Image.open(io.BytesIO(data))


def closed(data: bytes) -> Image.Image:
    with lazy(data) as picture:
        return picture


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP"])  # Pillow reads a whole WebP when it opens it
def test_what_is_wrong_with_a_lazy_pil_image_is_an_image_error(face: np.ndarray, kind: str) -> None:
    data = drawing.encode(face, kind)
    assert decode(lazy(data)).shape == face.shape
    for make in (lambda: closed(data), lambda: lazy(data[: len(data) // 2])):
        try:
            picture = make()
        except (OSError, SyntaxError):
            continue  # Pillow saw it first
        with pytest.raises(ImageDecodeError, match="damaged or cut short"):
            decode(picture)


def test_a_lazy_pil_image_has_the_limits_of_its_file() -> None:
    progressive = originals()[1]
    last = progressive.rindex(b"\xff\xda")
    with pytest.raises(ImageDecodeError, match="too many scans"):
        decode(lazy(progressive[:last] + progressive[last:-2] * 5000 + b"\xff\xd9"))


def test_exif_behind_the_pixels_turns_a_pil_image_too(face: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    block = exif.tobytes()
    chunk = struct.pack(">L", len(block)) + b"eXIf" + block + struct.pack(">L", zlib.crc32(b"eXIf" + block))
    plain = encode(face)
    data = plain[:-12] + chunk + plain[-12:]
    np.testing.assert_array_equal(decode(data), np.rot90(face, 3))
    np.testing.assert_array_equal(decode(lazy(data)), np.rot90(face, 3))


def test_a_wanted_side_may_be_smaller_than_the_smallest_photograph() -> None:
    assert decode(encode(drawing.face(width=64, height=72), "JPEG"), 1).shape == (9, 8, 3)


def test_a_pil_image_is_turned_and_left_as_it_is(face: np.ndarray) -> None:
    data = with_orientation(face, 6)
    picture = lazy(data)
    np.testing.assert_array_equal(decode(picture), decode(data))
    assert picture.size == (576, 640)
    turned = ImageOps.exif_transpose(lazy(data))
    np.testing.assert_array_equal(decode(turned), decode(data))
    odd = lazy(data)
    odd.info["exif"] = b"Exif\0\0MM\0*\xff\xff\xff\xff"
    assert decode(odd).shape == face.shape


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
        (None, ImageDecodeError, "NoneType"),
        ([[1, 2], [3, 4]], ImageDecodeError, "not list"),
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


@pytest.mark.parametrize("kind", [str, Path])
def test_an_error_names_the_path_it_is_about_once(tmp_path: Path, face: np.ndarray, kind: type) -> None:
    contents = {"0.jpg": b"", "1.jpg": b"shopping list", "2.jpg": drawing.encode(np.zeros((9, 9, 3), np.uint8))}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    for name in (*contents, "3.jpg"):
        with pytest.raises(ImageError) as caught:
            decode(kind(tmp_path / name))
        assert str(caught.value) == f"{tmp_path / name}: {caught.value.message}"
        assert str(caught.value).count(name) == 1
        assert caught.value.path == str(tmp_path / name)
    with pytest.raises(ImageError) as caught:
        decode(b"shopping list")
    assert caught.value.path is None


def test_a_released_memoryview_is_an_image_error(face: np.ndarray) -> None:
    view = memoryview(encode(face))
    view.release()
    with pytest.raises(ImageDecodeError):
        decode(view)


def test_a_text_file_called_jpg(tmp_path: Path) -> None:
    file = tmp_path / "notes.jpg"
    file.write_text("shopping list")
    with pytest.raises(ImageDecodeError, match="not an image"):
        decode(file)


def png_header(width: int, height: int, colour: int = 2, depth: int = 8, palette: bytes = b"") -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + (chunk(b"PLTE", palette) if palette else b"")
    return start + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(20_000, 10_000), (60_000, 60_000), (10_001, 10_000)])
def test_a_bomb_is_refused_before_it_is_decoded(width: int, height: int) -> None:
    with pytest.raises(ImageSizeError, match="at most 100 megapixels"):
        decode(png_header(width, height))


@pytest.mark.parametrize(("colour", "depth"), [(0, 8), (0, 16), (3, 8), (4, 8), (6, 8)])
def test_images_that_take_two_copies_may_have_half_the_pixels(colour: int, depth: int) -> None:
    palette = b"\0" * 3 if colour == 3 else b""
    with pytest.raises(ImageSizeError, match="at most 50 megapixels are accepted of this kind"):
        decode(png_header(7100, 7100, colour, depth, palette))
    with pytest.raises(ImageDecodeError, match="cut short"):
        decode(png_header(1000, 1000, colour, depth, palette))


def test_a_jpeg_whose_coefficients_take_too_much_memory_is_refused() -> None:
    dense = originals()[1].replace(b"\x01\x22\x00", b"\x01\x11\x00", 1)  # progressive, 4:4:4
    with pytest.raises(ImageSizeError, match="memory"):
        decode(dense.replace(struct.pack(">HH", 72, 64), struct.pack(">HH", 9000, 9000), 1), 512)
    assert decode(dense.replace(struct.pack(">HH", 72, 64), struct.pack(">HH", 900, 900), 1), 512).shape == (900, 900, 3)


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


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_heic_photographs_are_read_upright(orientation: int, turns: int) -> None:
    image = np.zeros((120, 200, 3), np.uint8)
    image[:, :100], image[:60, 100:] = (200, 30, 30), (20, 180, 40)
    decoded = decode(heic(image, orientation))
    assert np.abs(decoded.astype(int) - np.rot90(image, turns)).mean() < 3


def test_heic_photographs_are_converted_to_srgb(face: np.ndarray) -> None:
    pillow_heif = pytest.importorskip("pillow_heif", reason="the extra heif is not installed")
    profile = profiles.matrix("p3")
    p3 = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    written = ImageCms.profileToProfile(Image.fromarray(face), ImageCms.createProfile("sRGB"), p3, renderingIntent=1)
    assert written is not None
    buffer = io.BytesIO()
    pillow_heif.register_heif_opener()
    written.save(buffer, "HEIF", quality=95, chroma=444, icc_profile=profile)
    assert np.abs(decode(buffer.getvalue()).astype(int) - face).mean(axis=(0, 1)).max() < 3


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


def test_decoding_warns_of_nothing_and_leaves_the_hosts_filters(face: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """`warnings.catch_warnings` belongs to the process: in threads it leaves filters of one in another."""
    odd_exif = encode(face, "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    palette = encode(Image.fromarray(face).quantize(16), transparency=bytes(range(16)))
    large = encode(Image.fromarray(face).resize((9500, 9500)), "JPEG", quality=20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        filters = list(warnings.filters)
        monkeypatch.setattr(warnings, "catch_warnings", lambda *_, **__: pytest.fail("changes filters of the whole process"))
        for data in (odd_exif, palette, large):
            decode(data, 448)
        monkeypatch.undo()
        assert warnings.filters == filters


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
