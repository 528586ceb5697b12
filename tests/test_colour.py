from __future__ import annotations

import io
import random
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from acne_edge import colour
from acne_edge.image import decode, read
from tests import drawing, profiles

FILES = {"JPEG": {"quality": 97, "subsampling": 0}, "PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}}


def opened(profile: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(profile))


def twin(face: np.ndarray, space: str) -> tuple[Image.Image, bytes]:
    """The colours of an sRGB picture, written in another space, and the profile of that space."""
    profile = profiles.matrix(space)
    srgb = ImageCms.createProfile("sRGB")
    written = ImageCms.profileToProfile(Image.fromarray(face), srgb, opened(profile), renderingIntent=1, outputMode="RGB")
    assert written is not None
    written.info.clear()
    return written, profile


def error(decoded: np.ndarray, expected: np.ndarray) -> float:
    """The largest mean error of a channel, in levels of 255."""
    return float(np.abs(decoded.astype(int) - expected).mean(axis=(0, 1)).max())


@pytest.mark.parametrize("space", profiles.SPACES)
@pytest.mark.parametrize("kind", FILES)
def test_a_photograph_with_a_profile_gives_the_pixels_of_its_srgb_twin(face: np.ndarray, space: str, kind: str) -> None:
    written, profile = twin(face, space)
    bare = drawing.encode(written, kind, **FILES[kind])
    tagged = drawing.encode(written, kind, icc_profile=profile, **FILES[kind])
    assert error(decode(tagged), face) < (1.5 if kind == "JPEG" else 0.5)  # what eight bits, and JPEG, cost
    assert error(decode(bare), face) > 2.5


@pytest.mark.parametrize("space", profiles.SPACES)
def test_the_conversion_is_that_of_imagecms(face: np.ndarray, space: str) -> None:
    written, profile = twin(face, space)
    data = drawing.encode(written, "JPEG", icc_profile=profile)
    plain = Image.open(io.BytesIO(data))
    expected = ImageCms.profileToProfile(plain, opened(profile), ImageCms.createProfile("sRGB"), renderingIntent=1)
    np.testing.assert_array_equal(decode(data), np.asarray(expected))
    np.testing.assert_array_equal(decode(plain), np.asarray(expected))


def test_a_scaled_jpeg_is_converted_too(face: np.ndarray) -> None:
    written, profile = twin(face, "p3")
    small = decode(drawing.encode(written, "JPEG", icc_profile=profile, quality=97), 128)
    expected = decode(drawing.encode(face, "JPEG", quality=97), 128)
    assert small.shape == (160, 144, 3)
    assert error(small, expected) < 1.5


def test_transparency_and_palettes_are_converted_before_they_are_flattened(face: np.ndarray) -> None:
    written, profile = twin(face, "prophoto")
    clear = written.copy()
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    expected = Image.fromarray(face)
    expected.putalpha(Image.linear_gradient("L").resize(clear.size))
    assert error(decode(drawing.encode(clear, icc_profile=profile)), decode(expected)) < 1
    palette = written.quantize(256)
    expected = ImageCms.profileToProfile(
        palette.convert("RGB"), opened(profile), ImageCms.createProfile("sRGB"), renderingIntent=1, outputMode="RGB"
    )
    np.testing.assert_array_equal(decode(drawing.encode(palette, icc_profile=profile)), np.asarray(expected))


def test_threads_share_a_conversion() -> None:
    written, profile = twin(drawing.face(width=64, height=72), "p3")
    data = drawing.encode(written, "JPEG", icc_profile=profile)
    expected = decode(data).tobytes()
    with ThreadPoolExecutor(8) as pool:
        assert {decoded.tobytes() for decoded in pool.map(decode, [data] * 200)} == {expected}


def test_grey_and_inks_are_converted_by_profiles_of_their_kind(face: np.ndarray) -> None:
    grey = Image.fromarray(np.full((64, 64), 128, np.uint8))
    linear = decode(drawing.encode(grey, "JPEG", icc_profile=profiles.grey(1.0)))
    assert abs(int(linear[0, 0, 0]) - 188) <= 1  # half of the light
    inks = Image.new("CMYK", (64, 64), (0, 255, 255, 0))
    red = decode(drawing.encode(inks, "JPEG", quality=100, icc_profile=profiles.inks()))[0, 0].astype(int)
    assert red[0] > red[2] + 20
    assert (decode(drawing.encode(inks, "JPEG", quality=100))[0, 0] != red).any()
    white = decode(drawing.encode(Image.new("CMYK", (64, 64)), "JPEG", icc_profile=profiles.inks()))
    assert white.min() >= 254


def test_pil_images_are_converted_and_left_as_they_are(face: np.ndarray) -> None:
    written, profile = twin(face, "adobe")
    written.info["icc_profile"] = profile
    before = np.array(written)
    assert error(decode(written), face) < 0.5
    np.testing.assert_array_equal(np.asarray(written), before)


@pytest.mark.parametrize("profile", [profiles.srgb(), profiles.srgb(256), ImageCms.createProfile("sRGB")])
def test_srgb_is_known_without_little_cms(face: np.ndarray, profile: object) -> None:
    raw = profile if isinstance(profile, bytes) else ImageCms.ImageCmsProfile(profile).tobytes()
    assert colour.is_srgb(raw)
    assert colour.converter(raw, "RGB") is None
    np.testing.assert_array_equal(decode(drawing.encode(face, icc_profile=raw)), face)


def test_other_spaces_are_not_taken_for_srgb() -> None:
    assert not any(colour.is_srgb(profiles.matrix(space)) for space in profiles.SPACES)
    linear = profiles.srgb().replace(b"rTRC", b"xTRC", 1)
    assert not colour.is_srgb(linear)
    tables = profiles.srgb().replace(b"wtpt", b"A2B0", 1)
    assert not colour.is_srgb(tables)


def test_untagged_and_srgb_files_do_not_load_little_cms(tmp_path) -> None:
    small = drawing.face(width=64, height=72)
    (tmp_path / "bare.jpg").write_bytes(drawing.encode(small, "JPEG"))
    (tmp_path / "srgb.jpg").write_bytes(drawing.encode(small, "JPEG", icc_profile=profiles.srgb()))
    (tmp_path / "p3.jpg").write_bytes(drawing.encode(small, "JPEG", icc_profile=profiles.matrix("p3")))
    code = """
import sys
from acne_edge.image import read
for name in sys.argv[1:]:
    read(name)
    print("PIL.ImageCms" in sys.modules)
"""
    paths = [str(tmp_path / f"{name}.jpg") for name in ("bare", "srgb", "p3")]
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "True"]


def black(profile: bytes) -> bytes:
    """The profile with primaries that send every colour to black."""
    for name in (b"rXYZ", b"gXYZ", b"bXYZ"):
        at = profile.index(name)
        (offset,) = struct.unpack_from(">L", profile, at + 4)
        profile = profile[: offset + 8] + bytes(12) + profile[offset + 20 :]
    return profile


UNUSABLE = {
    "empty": b"",
    "no profile": b"nothing of the kind" * 20,
    "cut": profiles.matrix("p3")[:200],
    "cut to its header": profiles.matrix("p3")[:128],
    "without primaries": profiles.matrix("p3").replace(b"gXYZ", b"xxxx", 1),
    "black": black(profiles.matrix("p3")),
    "huge": profiles.matrix("p3") + bytes(colour.MAX_PROFILE),
    "grey": profiles.grey(),
    "inks": profiles.inks(),
    "Lab": ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(),
    "XYZ": ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes(),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_profile_that_cannot_be_used_does_not_cost_the_photograph(face: np.ndarray, name: str) -> None:
    assert colour.converter(UNUSABLE[name], "RGB") is None
    picture = Image.fromarray(face)
    for kind in ("JPEG", "PNG", "TIFF"):
        expected = decode(drawing.encode(picture, kind))
        np.testing.assert_array_equal(decode(drawing.encode(picture, kind, icc_profile=UNUSABLE[name])), expected)


def test_a_mangled_profile_does_not_cost_the_photograph() -> None:
    from tests.fuzz import mangle

    small = Image.fromarray(drawing.face(width=64, height=72))
    whole = profiles.matrix("p3")
    converted = 0
    for seed in range(300):
        profile = mangle(whole, random.Random(seed))
        decoded = read(drawing.encode(small, "PNG", icc_profile=profile))
        assert decoded.size == small.size
        converted += decoded.tobytes() != small.tobytes()
    assert 5 < converted < 295


@given(st.binary(max_size=400))
def test_any_bytes_are_no_srgb_profile(data: bytes) -> None:
    assert not colour.is_srgb(data)
    assert not colour.is_srgb(profiles.matrix("p3")[:132] + data)
