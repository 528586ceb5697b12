"""Photographs in DICOM files: what kind of object it is, how its pixels are stored, and which way is up. Needs the extra `dicom`.

pydicom parses the file. A JPEG inside goes to the decoder of JPEG files, with its limits and its reduced scales. The pixels of
other transfer syntaxes are unpacked here or by pydicom. The rest is refused by name.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING, Any

from acne_edge.errors import ImageDecodeError, ImageSizeError, MissingExtraError
from acne_edge.formats import jpeg

if TYPE_CHECKING:
    from PIL import Image

PREAMBLE, PREFIX = 128, b"DICM"
PHOTOGRAPHS = {  # SOP classes in which photographs come
    "1.2.840.10008.5.1.4.1.1.77.1.4": "VL Photographic Image",
    "1.2.840.10008.5.1.4.1.1.7": "Secondary Capture Image",
    "1.2.840.10008.5.1.4.1.1.7.4": "Multi-frame True Color Secondary Capture Image",
}
NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")  # implicit, explicit, and explicit big endian
RUN_LENGTHS = "1.2.840.10008.1.2.5"
JPEG = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")  # baseline, extended
JPEG_2000 = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")
DEFLATED = b"1.2.840.10008.1.2.1.99"
JPEG_COLOURS = {"RGB": "RGB", "YBR_FULL": "YCbCr", "YBR_FULL_422": "YCbCr", "MONOCHROME2": ""}
NATIVE_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "MONOCHROME2")
JPEG_2000_COLOURS = ("RGB", "YBR_RCT", "YBR_ICT", "MONOCHROME2")  # OpenJPEG itself undoes the transforms
MAX_RUNS = 4_000_000  # bytes of run lengths, which are unpacked in Python
TAGS = (
    "SOPClassUID", "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation", "NumberOfFrames", "PatientOrientation", "ICCProfile", "PixelData",
)  # fmt: skip
UPRIGHT, UPSIDE_DOWN, FEET_RIGHT, FEET_LEFT = 1, 3, 6, 8  # as EXIF's orientations: what turns the picture upright

_quiet_lock = RLock()


@dataclass(frozen=True)
class DicomPicture:
    """The first frame of a photograph."""

    width: int  # pixels, as stored
    height: int
    orientation: int  # 1..8 as in EXIF: what turns the stored picture upright
    profile: bytes  # an ICC profile
    jpeg: bytes = b""  # the frame, if it is a JPEG
    jpeg_colours: str = ""  # how libjpeg is to take its components; empty: as it finds them
    jpeg_2000: bytes = b""
    dataset: Any = None  # for `pixels`


def is_dicom(data: bytes) -> bool:
    """Whether the bytes are those of a DICOM file, by its prefix."""
    return data[PREAMBLE : PREAMBLE + len(PREFIX)] == PREFIX


def read_dicom(data: bytes) -> DicomPicture:
    """Read all but the pixels.

    Raises ImageDecodeError for an object that is no photograph, or whose pixels are stored in a way that is not read here;
    MissingExtraError without pydicom.
    """
    try:
        import pydicom
    except ImportError as error:
        raise MissingExtraError("pydicom", "dicom", "reading DICOM photographs") from error
    if DEFLATED in data:  # pydicom would unpack it, whatever its size becomes
        raise ImageDecodeError("DICOM file that is deflated as a whole; save it with another transfer syntax")
    with quiet():
        dataset = pydicom.dcmread(io.BytesIO(data), specific_tags=list(TAGS))
        kind = str(dataset.get("SOPClassUID", ""))
        if kind not in PHOTOGRAPHS:
            name = _text(pydicom.uid.UID(kind).name) if kind else "an object without a class"
            raise ImageDecodeError(f"DICOM object that is no photograph ({name}); read are: {', '.join(PHOTOGRAPHS.values())}")
        if "PixelData" not in dataset:
            raise ImageDecodeError("DICOM object without pixels")
        return _picture(dataset)


def unpack(picture: DicomPicture) -> Image.Image:
    """The pixels of a frame that is neither JPEG nor JPEG 2000, of mode RGB, YCbCr or L."""
    from PIL import Image
    from pydicom.pixels.utils import pixel_array

    with quiet():
        array = pixel_array(picture.dataset, index=0, raw=True)  # as stored, apart from the subsampling of YBR_FULL_422
    if array.ndim == 3 and picture.dataset.PhotometricInterpretation != "RGB":
        return Image.frombytes("YCbCr", (array.shape[1], array.shape[0]), array.tobytes())
    return Image.fromarray(array)


def stored_place(orientation: int, x: float, y: float) -> tuple[float, float]:
    """Where a place of the upright picture lies in the stored one; both in 0..1 from the upper left corner.

    `orientation` is the one that turned the picture upright.
    """
    return {
        1: (x, y), 2: (1 - x, y), 3: (1 - x, 1 - y), 4: (x, 1 - y), 5: (y, x), 6: (y, 1 - x), 7: (1 - y, 1 - x), 8: (1 - y, x),
    }[orientation]  # fmt: skip


def _picture(dataset: Any) -> DicomPicture:
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    colours = _text(dataset.PhotometricInterpretation)
    bits, samples = int(dataset.BitsStored), int(dataset.SamplesPerPixel)
    if bits != 8 or int(dataset.BitsAllocated) != 8 or int(dataset.get("PixelRepresentation", 0)):
        raise ImageDecodeError(f"DICOM photograph of {bits} bits a sample, or with signs; 8 without are read")
    read = JPEG_COLOURS if syntax in JPEG else JPEG_2000_COLOURS if syntax in JPEG_2000 else NATIVE_COLOURS
    if colours not in read or samples != (1 if colours == "MONOCHROME2" else 3):
        raise ImageDecodeError(f"DICOM photograph of {samples} samples a pixel, {colours}; read here are {', '.join(read)}")
    if syntax not in (*NATIVE, RUN_LENGTHS, *JPEG, *JPEG_2000):
        name = _text(dataset.file_meta.TransferSyntaxUID.name)
        raise ImageDecodeError(f"DICOM transfer syntax {name} is not read; decompress the file, or use JPEG baseline")
    frame = b"" if syntax in NATIVE else _first_frame(dataset)
    if syntax == RUN_LENGTHS and len(frame) > MAX_RUNS:
        raise ImageSizeError(f"DICOM photograph of over {MAX_RUNS // 1_000_000} MB of run lengths; save it uncompressed")
    by_exif = jpeg.read_header(frame).metadata.orientation if syntax in JPEG else UPRIGHT
    return DicomPicture(
        int(dataset.Columns),
        int(dataset.Rows),
        _orientation(dataset) or by_exif,
        bytes(dataset.get("ICCProfile", b"") or b""),
        frame if syntax in JPEG else b"",
        JPEG_COLOURS.get(colours, "") if syntax in JPEG and not _says_its_colours(frame) else "",
        frame if syntax in JPEG_2000 else b"",
        dataset,
    )


def _orientation(dataset: Any) -> int | None:
    """How to turn the picture so that the feet are down: 1, 3, 6 or 8 as in EXIF; None where Patient Orientation is not given.

    Its two values say where rows and columns lead: `L\\F` is a face that looks at the camera, upright (PS3.3 C.7.6.1.1.1).
    Whether the picture is mirrored cannot be told from it, because it does not say whether one looks at face or neck.
    """
    value = dataset.get("PatientOrientation") or ()
    rows, columns = (str(v)[:1] for v in value) if len(value) == 2 else ("", "")
    return {"F": UPRIGHT, "H": UPSIDE_DOWN}.get(columns) or {"F": FEET_RIGHT, "H": FEET_LEFT}.get(rows)


def _first_frame(dataset: Any) -> bytes:
    from pydicom.encaps import get_frame

    return get_frame(dataset.PixelData, 0, number_of_frames=int(dataset.get("NumberOfFrames") or 1))


def _says_its_colours(frame: bytes) -> bool:
    """Whether a JPEG has a JFIF or an Adobe segment, which libjpeg goes by; DICOM's word is often wrong where they are there."""
    start = frame[:4096].split(b"\xff\xda")[0]
    return b"JFIF\0" in start or b"Adobe" in start


def _text(value: Any) -> str:
    """A value as it may stand in an error: one line, and not a long one."""
    return " ".join(str(value).split())[:64]


@contextmanager
def quiet() -> Iterator[None]:
    """pydicom warns of what is odd but harmless. The filters belong to the whole process, so one thread at a time sets them."""
    with _quiet_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
