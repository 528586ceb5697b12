"""Decodes bytes, a path, an array or a PIL image to upright sRGB: a PIL image (`read`) or a uint8 array (`decode`).

A JPEG is decoded at the smallest DCT scale (1/1, 1/2, 1/4, 1/8) that keeps both sides at or above a wanted size, which for a
3112x3456 photograph costs a fifth of a full decode. The scale is part of the preprocessing contract, because training,
calibration and every runtime must see the same pixels.

`docs/explanation/decoding.md` says what is read, what is refused and where the C library differs. Pillow decodes the pixels only:
its own identification of files and reading of metadata issues warnings, through filters that belong to the whole process.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from PIL import Image

from acne_edge import colour
from acne_edge.errors import AcneEdgeError, ImageDecodeError, ImageNotFoundError, ImageSizeError, MissingExtraError
from acne_edge.formats import jpeg
from acne_edge.formats.exif import NOTHING, Metadata, bare, from_hexadecimal

if TYPE_CHECKING:
    from numpy.typing import NDArray

ImageArray: TypeAlias = "NDArray[np.uint8]"
ImageSource: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | ImageArray | Image.Image"

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF")
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
MIN_SIDE = 32  # pixels; below it there is nothing to count on
MAX_PIXELS = 100_000_000  # 400 MB as RGB, at Pillow's 4 bytes a pixel; formats that need more copies have a lower limit
MAX_BYTES = 200_000_000
TURNS = {  # EXIF orientation -> the transposition that turns the image upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = (5, 6, 7, 8)  # orientations that swap width and height
BAND = 1 << 22  # pixels converted at once
WEBP_COPIES = 4  # libwebp's canvases, its output, and Pillow's image
DICOM_COPIES, JPEG_2000_COPIES = 4, 5  # of pydicom and Pillow; of OpenJPEG, which takes four bytes a sample
MAX_RUNS, RUNS_COPIES = 4_000_000, 4  # bytes of a run-length encoded BMP; the limit is for time, not memory


class NotedFile(os.PathLike[str]):
    """A path to a photograph that notes what is read there, for records.

    A record must speak of the bytes that were decoded. A file that is read once more for its sum may be another one by then.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        self.sha256: str | None = None  # of the bytes that were read, hexadecimal; None where there were none
        self.size = 0  # bytes

    def __fspath__(self) -> str:
        return self._path

    def note(self, data: bytes) -> None:
        """Take the sum of what was read. Raises ImageDecodeError if an earlier read gave other bytes."""
        import hashlib

        digest = hashlib.sha256(data).hexdigest()
        if self.sha256 not in (None, digest):
            raise ImageDecodeError("the file changed while it was read; predict it again")
        self.sha256, self.size = digest, len(data)


class Photograph(NamedTuple):
    """A decoded photograph: upright, mode RGB."""

    pixels: Image.Image  # at full size or at a reduced DCT scale
    width: int  # pixels of the photograph itself, upright
    height: int
    profile: bytes  # the ICC profile of the pixels; none where they are sRGB


def decode(source: ImageSource, min_side: int | None = None, *, max_pixels: int = MAX_PIXELS) -> ImageArray:
    """As `read`, but returns a C-contiguous uint8 array [H, W, 3], RGB, 0..255."""
    return np.ascontiguousarray(read(source, min_side, max_pixels=max_pixels))


def read(source: ImageSource, min_side: int | None = None, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """As `photograph`, but returns only the pixels."""
    return photograph(source, min_side, max_pixels=max_pixels).pixels


def photograph(
    source: ImageSource, min_side: int | None = None, *, srgb: bool = True, max_pixels: int = MAX_PIXELS
) -> Photograph:
    """Decode an image to a PIL image of mode RGB, in sRGB, turned upright by its EXIF orientation.

    A PIL image is cheaper to resize than an array, because Pillow stores 4 bytes a pixel and would have to copy an array.

    Args:
        source: one photograph, as

            * a path or the bytes of a file: JPEG, PNG, BMP, WebP, TIFF, HEIC with the extra `heif`, and DICOM with the extra
              `dicom`. Only the first page or frame is read. Floats and 32-bit integers are refused, because their range is
              unknown;
            * a uint8 array, 0..255: [H, W] or [H, W, 1] grey, [H, W, 3] RGB or [H, W, 4] RGBA, with any strides and without
              masked pixels. Arrays of other types are refused, because their range is unknown: 12 may be nearly black or
              nearly white;
            * a PIL image of any mode but F and I. If it is not loaded yet, it is loaded in full.

        min_side: JPEGs may be decoded at a reduced DCT scale as long as both sides stay >= `min_side` pixels;
            None decodes in full.
        srgb: False keeps an RGB photograph's own colour space and returns its profile. Use that for pictures to look at; the
            network needs sRGB.
        max_pixels: larger images are refused before they are decoded. The limit is half or a fifth of it for formats whose
            decoding takes more than 4 bytes of memory a pixel.

    Raises:
        ImageNotFoundError: no such file, or no permission to read it.
        ImageDecodeError: not an image, truncated, or an unsupported format or array.
        ImageSizeError: a side under 32 pixels, or more than `max_pixels`.
        MissingExtraError: a HEIC file without the extra `heif`, a DICOM file without the extra `dicom`.
    """
    with naming(source), _refusing_damage():
        if isinstance(source, np.ndarray):
            return _finish(_from_array(source, max_pixels), srgb, max_pixels)
        if isinstance(source, Image.Image):
            return _finish(_from_pil(source, max_pixels), srgb, max_pixels)
        return _finish(_from_bytes(_content(source), min_side, max_pixels), srgb, max_pixels)


def dct_scale(width: int, height: int, min_side: int) -> int:
    """The scale, 1, 2, 4 or 8, by which a JPEG is decoded smaller, so that both sides stay >= `min_side` pixels."""
    times = min(width, height) // min_side
    return next(scale for scale in (8, 4, 2, 1) if times >= scale or scale == 1)


@contextmanager
def naming(source: Any) -> Iterator[None]:
    """Gives errors that are raised inside the source's path, if it has one."""
    try:
        yield
    except AcneEdgeError as error:
        if error.path is None and isinstance(source, (str, os.PathLike)):
            error.path = os.fsdecode(source)
        raise


@contextmanager
def _refusing_damage() -> Iterator[None]:
    try:
        yield
    except AcneEdgeError:
        raise
    except MemoryError as error:
        raise ImageSizeError("not enough memory to decode the image") from error
    except Exception as error:  # Pillow's plugins raise anything on damaged files; some messages have several lines
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageDecodeError(f"image data is damaged or cut short ({reason})") from error


def _content(source: str | os.PathLike[str] | bytes | bytearray | memoryview) -> bytes:
    if isinstance(source, (bytes, bytearray, memoryview)):
        data = bytes(source)
    elif isinstance(source, (str, os.PathLike)):
        try:
            status = os.stat(source)
            if stat.S_ISDIR(status.st_mode):
                raise ImageNotFoundError("is a directory, not an image")
            if not stat.S_ISREG(status.st_mode):
                raise ImageNotFoundError("not a regular file")
            if status.st_size > MAX_BYTES:
                raise ImageSizeError(f"file is larger than {MAX_BYTES // 1_000_000} MB")
            with open(source, "rb") as stream:
                data = stream.read(MAX_BYTES + 1)
        except FileNotFoundError as error:
            raise ImageNotFoundError("no such file") from error
        except (OSError, ValueError) as error:
            raise ImageNotFoundError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    else:
        raise ImageDecodeError(f"expected a path, bytes, a uint8 array or a PIL image, not {type(source).__name__}")
    if isinstance(source, NotedFile):
        source.note(data)
    if not data:
        raise ImageDecodeError("file is empty (0 bytes)")
    return data


@dataclass
class _Picture:
    """An open image, which may not be decoded yet."""

    image: Image.Image | None
    metadata: Metadata = NOTHING
    size: tuple[int, int] | None = None  # width and height of the photograph, if the image is smaller
    copies: int = 1  # memory that decoding takes, in units of 4 bytes a pixel
    bits: int = 8  # per sample; more than 8 are stored in 16
    white_is_zero: bool = False  # only for more than 8 bits
    orientation: int | None = None  # 1..8, if known from elsewhere than the metadata


def _from_array(array: NDArray[Any], max_pixels: int) -> _Picture:
    if isinstance(array, np.ma.MaskedArray):
        if np.ma.is_masked(array):
            raise ImageDecodeError("array has masked pixels; fill them first")
        array = array.data
    array = np.asarray(array)  # of a subclass
    shape = tuple(map(int, array.shape))
    if array.dtype != np.uint8:
        hint = "; of values 0..1 make (a * 255).round().astype('uint8')" if array.dtype.kind in "fc" else ""
        raise ImageDecodeError(f"array has dtype {array.dtype}; expected uint8, 0..255{hint}")
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] not in (1, 3, 4)):
        hint = ""
        if len(shape) == 3 and shape[0] in (1, 3, 4):
            hint = "; channels come last: a.transpose(1, 2, 0)"
        elif len(shape) == 4:
            hint = "; one photograph at a time, a[0]"
        raise ImageSizeError(f"array has shape {shape}; expected [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]{hint}")
    _check_size(shape[1], shape[0], max_pixels)
    return _Picture(Image.fromarray(array[..., 0] if shape[2:] == (1,) else array))


def _from_pil(image: Image.Image, max_pixels: int) -> _Picture:
    from acne_edge.formats.tiff import BITS, PHOTOMETRIC

    sixteen = image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")  # the latter before Pillow 11
    if image.mode in ("I", "F") and not sixteen:
        raise ImageDecodeError(f"PIL image of mode {image.mode}, whose range is unknown; make it L or RGB, 0..255, first")
    stream = getattr(image, "fp", None)
    if image.format in ("JPEG", "MPO") and getattr(image, "tile", None) and stream is not None:
        stream.seek(0)  # loading looks for its place itself
        jpeg.read_header(stream.read(MAX_BYTES))
    width, height = image.size
    _check_size(width, height, max_pixels)
    image.load()  # before its metadata, which may come after the pixels
    if not sixteen:
        return _Picture(image, _metadata(image))
    tags = getattr(image, "tag_v2", {})  # of a TIFF
    return _Picture(image, _metadata(image), bits=int(tags.get(BITS, (16,))[0]), white_is_zero=tags.get(PHOTOMETRIC) == 0)


def _metadata(image: Image.Image) -> Metadata:
    """The metadata that Pillow has found."""

    def found(*names: str) -> bytes:
        value = next((image.info[name] for name in names if image.info.get(name)), b"")
        return value.encode("utf-8", "replace") if isinstance(value, str) else bytes(value)

    exif = found("exif") or from_hexadecimal(found("Raw profile type exif"))
    return Metadata(bare(exif), found("XML:com.adobe.xmp", "xmp"), found("icc_profile"))


def _from_bytes(data: bytes, min_side: int | None, max_pixels: int) -> _Picture:
    if data.startswith(jpeg.START):
        return _jpeg(data, min_side, max_pixels)
    if data[4:8] == b"ftyp" and data[8:12] in HEIF_BRANDS:
        return _heif(data, max_pixels)
    for start, opened in _OPENERS.items():
        if data.startswith(start):
            return opened(data, max_pixels)
    if data[128:132] == b"DICM":
        return _dicom(data, min_side, max_pixels)
    raise ImageDecodeError(f"not an image in a supported format ({', '.join(FORMATS)})")


def _jpeg(data: bytes, min_side: int | None, max_pixels: int, colours: str = "") -> _Picture:
    """`colours`: what libjpeg is to take the components for, RGB or YCbCr; empty: what it finds."""
    header = jpeg.read_header(data)
    width, height, metadata = header.width, header.height, header.metadata
    _check_size(width, height, max_pixels)
    scale = dct_scale(width, height, min_side) if min_side else 1
    size = -(-width // scale), -(-height // scale)
    mode, raw = {1: ("L", "L"), 3: ("RGB", "RGB"), 4: ("CMYK", "CMYK;I")}[header.components]  # inks are written inverted
    twice = mode != "RGB" or metadata.orientation != 1 or (metadata.profile and not colour.is_srgb(metadata.profile))
    if header.buffered + 4 * size[0] * size[1] * (2 if twice else 1) > 4 * max_pixels:
        raise ImageSizeError(
            f"JPEG of {width}x{height} pixels takes too much memory to decode; save it smaller, as a baseline JPEG"
        )
    image = Image.new(mode, size, None)
    image.frombytes(data, "jpeg", raw, colours, scale, 0)  # libjpeg alone; the last 0 chooses its slow, exact transform
    return _Picture(image, metadata, (width, height))


def _png(data: bytes, max_pixels: int) -> _Picture:
    from PIL.PngImagePlugin import PngImageFile

    from acne_edge.formats.png import read_png

    png = read_png(data)
    _check_size(png.width, png.height, max_pixels)
    image = PngImageFile(io.BytesIO(png.data))
    sixteen = image.mode == "I" or image.mode.startswith("I;16")  # I in Pillow before version 11
    return _Picture(image, png.metadata, bits=16 if sixteen else 8)


def _bmp(data: bytes, max_pixels: int) -> _Picture:
    from PIL.BmpImagePlugin import BmpImageFile

    image = BmpImageFile(io.BytesIO(data))
    runs = bool(image.tile) and image.tile[0][0] == "bmp_rle"  # which Pillow unpacks in Python, pixel by pixel
    if runs and len(data) > MAX_RUNS:
        raise ImageSizeError(f"run-length encoded BMP of over {MAX_RUNS // 1_000_000} MB; save the photograph as a JPEG or PNG")
    return _Picture(image, copies=RUNS_COPIES if runs else 1)


def _webp(data: bytes, max_pixels: int) -> _Picture:
    from PIL.WebPImagePlugin import WebPImageFile

    from acne_edge.formats.webp import read_size

    _check_size(*read_size(data), max_pixels, WEBP_COPIES)
    image = WebPImageFile(io.BytesIO(data))
    return _Picture(image, _metadata(image), copies=WEBP_COPIES)


def _tiff(data: bytes, max_pixels: int) -> _Picture:
    from PIL.TiffImagePlugin import TiffImageFile

    from acne_edge.formats.tiff import read_tiff

    tiff = read_tiff(data)
    image = TiffImageFile(tiff.page)
    width, height = image.size
    _check_size(width, height, max_pixels, 2)
    if image.mode in ("I", "F"):
        raise ImageDecodeError(
            "TIFF of floats, or of signed or 32-bit integers, whose range is unknown; save it with 8 bits a sample"
        )
    metadata = Metadata(profile=bytes(image.info.get("icc_profile", b"")))  # Pillow turns it upright

    bits = tiff.bits if image.mode.startswith("I;16") else 8
    return _Picture(image, metadata, copies=2, bits=bits, white_is_zero=tiff.white_is_zero)


def _heif(data: bytes, max_pixels: int) -> _Picture:
    try:
        import pillow_heif  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise MissingExtraError("pillow-heif", "heif", "reading HEIC photographs") from error
    photograph = pillow_heif.open_heif(data)
    width, height = photograph.size
    _check_size(width, height, max_pixels, 2)  # what follows decodes it
    image = photograph.to_pillow()
    return _Picture(image, _metadata(image), copies=2)


def _dicom(data: bytes, min_side: int | None, max_pixels: int) -> _Picture:
    from acne_edge.formats import dicom

    found = dicom.read_dicom(data)
    copies = 1 if found.jpeg else JPEG_2000_COPIES if found.jpeg_2000 else DICOM_COPIES
    _check_size(found.width, found.height, max_pixels, copies)
    if found.jpeg:
        picture = _jpeg(found.jpeg, min_side, max_pixels, found.jpeg_colours)
    elif found.jpeg_2000:
        from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile

        image = Jpeg2KImageFile(io.BytesIO(found.jpeg_2000))
        if image.mode not in ("RGB", "L"):
            raise ImageDecodeError(f"JPEG 2000 of mode {image.mode} in a DICOM file that says otherwise")
        picture = _Picture(image, size=image.size)
    else:
        picture = _Picture(dicom.unpack(found), size=(found.width, found.height))
    if picture.size != (found.width, found.height):
        raise ImageDecodeError("image data is damaged (its pixels are not as many as the DICOM file says)")
    picture.orientation = found.orientation
    if found.profile:
        picture.metadata = picture.metadata._replace(profile=found.profile)
    return picture


_OPENERS = {
    b"\x89PNG\r\n\x1a\n": _png, b"RIFF": _webp, b"BM": _bmp,
    b"II*\0": _tiff, b"MM\0*": _tiff, b"II+\0": _tiff, b"MM\0+": _tiff,  # the last two are BigTIFF
}  # fmt: skip


def _check_size(width: int, height: int, max_pixels: int, copies: int = 1) -> None:
    if min(width, height) < MIN_SIDE:
        raise ImageSizeError(f"image is {width}x{height} pixels; at least {MIN_SIDE} a side are needed")
    if width * height * copies > max_pixels:
        kind = " of this kind" if copies > 1 else ""
        limit = max_pixels // copies // 1_000_000
        raise ImageSizeError(f"image is {width}x{height} pixels; at most {limit} megapixels are accepted{kind}")


def _finish(picture: _Picture, srgb: bool, max_pixels: int) -> Photograph:
    """Load the image and make it RGB (and sRGB), opaque, upright and 8 bits a sample."""
    image, picture.image = picture.image, None  # so that its memory is freed once it is replaced
    assert image is not None
    mode = "L" if picture.bits > 8 else _working_mode(image)
    profile = picture.metadata.profile
    convert = colour.converter(profile, mode)
    kept = not srgb and mode in ("RGB", "RGBA") and (convert is not None or colour.is_srgb(profile))
    convert = None if kept else convert
    plain = image.mode == mode == "RGB" and convert is None
    orientation = picture.orientation or picture.metadata.orientation
    turn = TURNS.get(orientation)
    if picture.size is None:  # a JPEG was measured before it was decoded
        width, height = image.size
        _check_size(width, height, max_pixels, max(picture.copies, 1 if plain and turn is None else 2))
    image.load()
    if picture.bits > 8:
        values = np.asarray(image) >> picture.bits - 8
        image = Image.fromarray((255 - values if picture.white_is_zero else values).astype(np.uint8))
    if not plain:
        image = _in_bands(image, lambda band: _to_rgb(band, mode, convert))
    width, height = picture.size or image.size
    if turn is not None:
        image = image.transpose(turn)
        if orientation in SIDEWAYS:
            width, height = height, width
    return Photograph(image, width, height, profile if kept else b"")


def _working_mode(image: Image.Image) -> str:
    """The 8-bit mode in which the image is converted to sRGB."""
    if "transparency" in image.info or {"A", "a"} & set(image.getbands()):
        return "RGBA"
    return {"1": "L"}.get(image.mode, image.mode if image.mode in ("L", "CMYK", "LAB") else "RGB")


def _in_bands(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Convert to RGB a few rows at a time, so that a large image does not need a third or fourth copy of itself."""
    width, height = image.size
    rows = max(1, BAND // width)
    if rows >= height:
        return convert(image)
    whole = Image.new("RGB", image.size, None)
    for top in range(0, height, rows):
        box = (0, top, width, min(top + rows, height))
        whole.paste(convert(image.crop(box)), box)
    return whole


def _to_rgb(band: Image.Image, mode: str, convert: Callable[[Image.Image], Image.Image] | None) -> Image.Image:
    if band.mode == "La":  # grey multiplied by its opacity cannot be converted directly
        band = band.convert("LA")
    if band.mode != mode:
        band = band.convert(mode)
    if convert is not None:
        band = convert(band)
    if mode == "RGBA":
        white = Image.new("RGBA", band.size, "white")
        white.alpha_composite(band)
        band = white
    return band if band.mode == "RGB" else band.convert("RGB")
