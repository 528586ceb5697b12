"""Bytes, path, array or PIL image -> upright RGB, as a PIL image (`read`) or a uint8 array (`decode`).

A JPEG is decoded at the smallest DCT scale (1/1, 1/2, 1/4, 1/8) that keeps both sides at or above a wanted size: a
3112x3456 photograph costs a fifth of a full decode. The scale is a part of the preprocessing contract, because training,
calibration and every runtime must see the same pixels.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import warnings
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from PIL import Image, UnidentifiedImageError

from acne_edge.errors import ImageDecodeError, ImageError, ImageNotFoundError, ImageSizeError, MissingExtraError

if TYPE_CHECKING:
    from numpy.typing import NDArray

ImageArray: TypeAlias = "NDArray[np.uint8]"
ImageSource: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | ImageArray | Image.Image"

JPEG = b"\xff\xd8\xff"
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF")
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
MIN_SIDE = 32  # pixels; below it there is nothing to count on
MAX_PIXELS = 100_000_000  # decoded in the worst case (RGBA) to 400 MB
MAX_BYTES = 200_000_000
EXIF_ORIENTATION = 0x0112
DECODE_ERRORS = (  # what Pillow's plugins raise on damaged files
    OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, OverflowError, RuntimeError, struct.error,
)  # fmt: skip


class Photograph(NamedTuple):
    """A photograph that is decoded, upright, RGB."""

    pixels: Image.Image  # perhaps at a reduced DCT scale
    width: int  # pixels of the photograph itself, upright
    height: int


def decode(source: ImageSource, min_side: int | None = None, *, max_pixels: int = MAX_PIXELS) -> ImageArray:
    """As `read`, to a C-contiguous uint8 array [H, W, 3], RGB, 0..255."""
    return np.ascontiguousarray(read(source, min_side, max_pixels=max_pixels))


def read(source: ImageSource, min_side: int | None = None, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """As `photograph`, the pixels alone."""
    return photograph(source, min_side, max_pixels=max_pixels).pixels


def photograph(source: ImageSource, min_side: int | None = None, *, max_pixels: int = MAX_PIXELS) -> Photograph:
    """Decode an image to a PIL image of mode RGB, turned upright by its EXIF orientation.

    Pillow keeps pixels in fours: an image that goes on to be resized is spared the way to an array and back.

    Args:
        source: path, encoded bytes, uint8 array ([H, W] grey, [H, W, 3] RGB or [H, W, 4] RGBA) or PIL image.
        min_side: JPEGs may be decoded at a reduced DCT scale as long as both sides stay >= `min_side` pixels;
            None decodes in full.
        max_pixels: larger images are refused before they are decoded.

    Raises:
        ImageNotFoundError: no such file, or it may not be read.
        ImageDecodeError: not an image, truncated, or an unsupported format or array.
        ImageSizeError: a side under 32 pixels, or more than `max_pixels`.
        MissingExtraError: a HEIC file without the extra `heif`.
    """
    if isinstance(source, np.ndarray):
        _check_array(source, max_pixels)
        return _to_rgb(Image.fromarray(source), max_pixels, min_side=None)
    if isinstance(source, Image.Image):
        return _to_rgb(source, max_pixels, min_side=None)
    data = _content(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd EXIF and of sizes that are checked here anyway
            with _open(data, max_pixels) as image:
                return _to_rgb(image, max_pixels, min_side)
    except (ImageError, MissingExtraError):
        raise
    except Image.DecompressionBombError as error:
        raise ImageSizeError(f"image is too large: {error}") from error
    except UnidentifiedImageError as error:
        raise ImageDecodeError(f"not an image in a supported format ({', '.join(FORMATS)})") from error
    except DECODE_ERRORS as error:  # some messages have several lines
        raise ImageDecodeError(f"image data is damaged or cut short ({' '.join(str(error).split())})") from error
    except MemoryError as error:
        raise ImageSizeError("not enough memory to decode the image") from error


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
    if not data:
        raise ImageDecodeError("file is empty (0 bytes)")
    return data


def _open(data: bytes, max_pixels: int) -> Image.Image:
    if data[4:8] == b"ftyp" and data[8:12] in HEIF_BRANDS:
        try:
            import pillow_heif  # type: ignore[import-not-found,unused-ignore]
        except ImportError as error:
            raise MissingExtraError("pillow-heif", "heif", "reading HEIC photographs") from error
        photograph = pillow_heif.open_heif(data)
        width, height = photograph.size
        _check_size(width, height, max_pixels)  # what follows decodes it
        return photograph.to_pillow()  # type: ignore[no-any-return,unused-ignore]
    if data.startswith(JPEG):
        from PIL.JpegImagePlugin import jpeg_factory  # Image.open would import four other formats first

        jpeg = jpeg_factory(io.BytesIO(data))
        jpeg.decodermaxblock = len(data)  # in one piece, during which other threads are not in the way
        return jpeg
    return Image.open(io.BytesIO(data), formats=FORMATS)


def _check_array(array: NDArray[np.uint8], max_pixels: int) -> None:
    if array.dtype != np.uint8:
        raise ImageDecodeError(f"array has dtype {array.dtype}; expected uint8, 0..255")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise ImageSizeError(f"array has shape {array.shape}; expected [H, W], [H, W, 3] or [H, W, 4]")
    _check_size(array.shape[1], array.shape[0], max_pixels)


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if min(width, height) < MIN_SIDE:
        raise ImageSizeError(f"image is {width}x{height} pixels; at least {MIN_SIDE} a side are needed")
    if width * height > max_pixels:
        raise ImageSizeError(f"image is {width}x{height} pixels; at most {max_pixels // 1_000_000} megapixels are accepted")


def _to_rgb(image: Image.Image, max_pixels: int, min_side: int | None) -> Photograph:
    _check_size(*image.size, max_pixels)
    width, height = image.size
    if min_side is not None and image.format in ("JPEG", "MPO"):
        image.draft(None, (min_side, min_side))  # type: ignore[arg-type]
    image.load()
    image, sideways = _upright(image)
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):
        image = Image.fromarray(np.clip(np.asarray(image) / 257.0, 0, 255).astype(np.uint8))
    elif "A" in image.getbands() or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.new("RGBA", rgba.size, "white")
        image.alpha_composite(rgba)
    image = image if image.mode == "RGB" else image.convert("RGB")
    return Photograph(image, *((height, width) if sideways else (width, height)))


def _upright(image: Image.Image) -> tuple[Image.Image, bool]:
    """The image upright, and whether it lay on a side."""
    try:
        orientation = image.getexif().get(EXIF_ORIENTATION, 1)
        if orientation == 1:
            return image, False
        from PIL import ImageOps

        return ImageOps.exif_transpose(image) or image, orientation in (5, 6, 7, 8)
    except Exception:  # a damaged block must not cost the photograph
        return image, False
