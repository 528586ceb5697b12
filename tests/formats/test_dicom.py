from __future__ import annotations

import sys
import warnings
import zlib
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from acne_edge import AcneGrader
from acne_edge import image as images
from acne_edge.errors import ImageDecodeError, ImageError, ImageSizeError, MissingExtraError
from tests import drawing

pydicom = pytest.importorskip("pydicom", reason="the extra dicom is not installed")
from tests.dicom_files import dicom  # noqa: E402

WIDTH, HEIGHT = 200, 240


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    return drawing.face(lesions=12, width=WIDTH, height=HEIGHT)


def apart(data: bytes, wanted: np.ndarray) -> float:
    """The mean difference of decoded values."""
    return float(np.abs(images.decode(data).astype(int) - wanted).mean())


@pytest.mark.parametrize(
    ("stored", "colours", "planar", "allowed"),
    [
        ("native", "RGB", 0, 0),
        ("native", "RGB", 1, 0),
        ("implicit", "RGB", 0, 0),
        ("big", "RGB", 0, 0),
        ("rle", "RGB", 0, 0),
        ("native", "YBR_FULL", 0, 1.0),
        ("native", "YBR_FULL", 1, 1.0),
        ("native", "YBR_FULL_422", 0, 1.5),
        ("jpeg", "YBR_FULL_422", 0, 3.0),
        ("jpeg", "YBR_FULL", 0, 3.0),
        ("j2k", "YBR_RCT", 0, 0),
        ("j2k", "RGB", 0, 0),
    ],
)
def test_every_way_to_store_colours_gives_the_same_picture(
    face: np.ndarray, stored: str, colours: str, planar: int, allowed: float
) -> None:
    assert apart(dicom(face, stored, colours, planar), face) <= allowed


@pytest.mark.parametrize("stored", ["native", "jpeg", "rle", "j2k"])
def test_grey_is_read(face: np.ndarray, stored: str) -> None:
    grey = np.asarray(Image.fromarray(face).convert("L"))
    decoded = images.decode(dicom(grey, stored, "MONOCHROME2"))
    assert np.abs(decoded.astype(int) - grey[..., None]).mean() < (3 if stored == "jpeg" else 1e-9)


def test_a_jpeg_inside_is_decoded_as_one_outside_at_a_reduced_scale_too() -> None:
    face = drawing.face(width=1200, height=1280)
    jpeg = drawing.encode(face, "JPEG", quality=90)
    inside = images.photograph(dicom(face, "jpeg", "YBR_FULL_422", frame=jpeg), 256)
    outside = images.photograph(jpeg, 256)
    assert inside.pixels.size == outside.pixels.size == (300, 320)
    assert (inside.width, inside.height) == (1200, 1280)
    assert inside.pixels.tobytes() == outside.pixels.tobytes()


def test_a_jpeg_of_rgb_without_markers_is_taken_at_dicoms_word(face: np.ndarray) -> None:
    jpeg = drawing.encode(Image.fromarray(face), "JPEG", quality=95, subsampling=0, keep_rgb=True)
    bare = jpeg.replace(b"Adobe", b"adobe").replace(b"JFIF\0", b"jfif\0")
    assert apart(dicom(face, "jpeg", "RGB", frame=bare), face) < 3
    assert apart(dicom(face, "jpeg", "RGB", frame=drawing.encode(face, "JPEG", quality=95)), face) < 4  # JFIF: it is YCbCr


@pytest.mark.parametrize(
    ("value", "turn"),
    [
        (["L", "F"], 1),
        (["R", "FP"], 1),
        (["R", "H"], 3),
        (["F", "R"], 6),
        (["H", "L"], 8),
        (None, 1),
        (["A", "P"], 1),
    ],
)
def test_the_picture_is_turned_by_the_patients_orientation(face: np.ndarray, value: list[str] | None, turn: int) -> None:
    undo = {1: 0, 3: 2, 6: 1, 8: 3}[turn]  # quarter turns to the left, by which the stored picture came about
    stored = np.rot90(face, undo)
    assert apart(dicom(np.ascontiguousarray(stored), PatientOrientation=value), face) == 0


def test_exif_in_the_jpeg_counts_where_the_orientation_is_not_given(face: np.ndarray) -> None:
    jpeg = drawing.with_orientation(np.ascontiguousarray(np.rot90(face)), 6)
    stored = np.ascontiguousarray(np.rot90(face))
    assert apart(dicom(stored, "jpeg", "YBR_FULL_422", frame=jpeg), face) < 3
    turned = dicom(stored, "jpeg", "YBR_FULL_422", frame=jpeg, PatientOrientation=["L", "F"])
    assert images.decode(turned).shape == stored.shape


def test_a_profile_is_honoured(face: np.ndarray) -> None:
    profile = drawing.display_p3()
    with_profile = images.decode(dicom(face, ICCProfile=profile))
    assert np.array_equal(with_profile, images.decode(drawing.encode(face, "PNG", icc_profile=profile)))
    assert not np.array_equal(with_profile, face)


def test_of_several_frames_the_first_is_read(face: np.ndarray) -> None:
    both = np.concatenate([face, 255 - face])
    data = dicom(both, NumberOfFrames=2, Rows=HEIGHT, SOPClassUID="1.2.840.10008.5.1.4.1.1.7.4")
    assert apart(data, face) == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, "no photograph .CT Image Storage."),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.7"}, "no photograph .Dermoscopic Photography"),
        ({"PhotometricInterpretation": "MONOCHROME1"}, "MONOCHROME1; read here are RGB"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "PALETTE COLOR; read here are RGB"),
        ({"PhotometricInterpretation": "YBR_PARTIAL_420"}, "YBR_PARTIAL_420"),
        ({"BitsAllocated": 16, "BitsStored": 12, "HighBit": 11}, "12 bits a sample"),
        ({"PixelRepresentation": 1}, "with signs"),
        ({"PixelData": b"\0\0"}, "damaged or cut short"),
        ({"Rows": HEIGHT + 1}, "damaged or cut short"),
    ],
)
def test_what_is_no_photograph_or_stored_otherwise_is_refused_by_name(
    face: np.ndarray, change: dict[str, object], says: str
) -> None:
    with pytest.raises(ImageDecodeError, match=says):
        images.read(dicom(face, **change))


def test_what_a_damaged_file_says_of_itself_is_told_in_one_line(face: np.ndarray) -> None:
    data = dicom(face).replace(b"1.2.840.10008.5.1.4.1.1.77.1.4", b"1.2.840.10008.5.1.4.1.1.77.1\n4")
    with pytest.raises(ImageDecodeError, match=r"no photograph \(1[\d.]+ 4\); read are"):
        images.read(data)


def test_another_transfer_syntax_is_refused_by_name(face: np.ndarray) -> None:
    data = dicom(face, "j2k", "RGB").replace(b"1.2.840.10008.1.2.4.90", b"1.2.840.10008.1.2.4.70")
    with pytest.raises(ImageDecodeError, match=r"transfer syntax JPEG Lossless.* is not read"):
        images.read(data)


def test_what_inflates_is_refused_before_it_does(face: np.ndarray) -> None:
    data = dicom(face)
    meta = data[: data.index(b"1.2.840.10008.1.2.1")]
    bomb = meta + b"1.2.840.10008.1.2.1.99" + zlib.compress(bytes(50_000_000))
    with pytest.raises(ImageDecodeError, match="deflated"):
        images.read(bomb)


def test_a_size_that_is_too_large_is_refused_before_the_pixels_are_looked_at(face: np.ndarray) -> None:
    with pytest.raises(ImageSizeError, match="at most 25 megapixels"):
        images.read(dicom(face, Rows=60000, Columns=60000))
    with pytest.raises(ImageSizeError, match="at least 32"):
        images.read(dicom(face[:16], "native"))
    small = drawing.encode(face, "JPEG2000", no_jp2=True)
    with pytest.raises(ImageDecodeError, match="not as many"):
        images.read(dicom(face, "j2k", "RGB", frame=small, Rows=HEIGHT - 1))
    deep = drawing.encode(Image.fromarray(face).convert("RGBA"), "JPEG2000", no_jp2=True)
    with pytest.raises(ImageDecodeError, match="says otherwise"):
        images.read(dicom(face, "j2k", "RGB", frame=deep))
    noise = np.random.default_rng(0).integers(0, 255, (1200, 1200, 3), dtype=np.uint8)
    with pytest.raises(ImageSizeError, match="run lengths"):
        images.read(dicom(noise, "rle"))


def test_without_the_extra_the_error_names_it(face: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    data = dicom(face)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(MissingExtraError, match=r"acne-edge\[dicom\]"):
        images.read(data)


def test_odd_values_are_no_warning_and_no_error(face: np.ndarray) -> None:
    data = dicom(face) + b"\0" * 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert apart(data.replace(b"CS\x02\0XC", b"CS\x02\0x\n"), face) == 0


def test_damage_is_one_error_whatever_is_damaged(face: np.ndarray) -> None:
    """Bytes changed and ends cut off, by a seed."""
    rng = np.random.default_rng(3)
    for stored, colours in (("native", "RGB"), ("jpeg", "YBR_FULL_422"), ("rle", "RGB"), ("j2k", "RGB")):
        data = dicom(face[:64, :64], stored, colours)
        for _ in range(60):
            broken = bytearray(data[: rng.integers(140, len(data))] if rng.random() < 0.5 else data)
            end = min(len(broken), 1000) if rng.random() < 0.7 else len(broken)
            for place in rng.integers(132, end, rng.integers(1, 12)):
                broken[place] = rng.integers(256)
            with suppress(ImageError):
                images.read(bytes(broken))


def test_a_prediction_is_that_of_the_same_pixels_elsewhere(face: np.ndarray, grader: AcneGrader) -> None:
    ours, theirs = grader.predict(dicom(face)), grader.predict(face)
    assert (ours.count, ours.grade_probs) == (theirs.count, theirs.grade_probs)
