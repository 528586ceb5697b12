from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from acne_edge import AcneGrader, framing, models
from acne_edge import image as images
from acne_edge.errors import ImageSizeError
from acne_edge.evaluation.perturbations import letterbox, screenshot
from acne_edge.framing import Box, find
from acne_edge.preprocess import resize
from tests import drawing

SKIN = (206, 160, 138)
COLOURS = st.tuples(*[st.integers(0, 255)] * 3)


def grainy(width: int, height: int, seed: int = 0, colour: tuple[int, int, int] = SKIN) -> np.ndarray:
    """A photograph of nothing but grain around a colour, and light that falls off: uint8 [height, width, 3]."""
    rng = np.random.default_rng(seed)
    light = np.linspace(1, 0.8, height)[:, None, None]
    return np.clip(np.array(colour) * light + rng.normal(0, 10, (height, width, 3)), 0, 255).astype(np.uint8)


def inside(photograph: np.ndarray, colour: tuple[int, int, int], left: int, top: int, right: int, bottom: int) -> np.ndarray:
    """The photograph with so many pixels of a colour on each side."""
    height, width = photograph.shape[:2]
    picture = np.empty((top + height + bottom, left + width + right, 3), np.uint8)
    picture[:] = colour
    picture[top : top + height, left : left + width] = photograph
    return picture


def whole(picture: np.ndarray) -> Box:
    return Box(0, 0, picture.shape[1], picture.shape[0])


SIZES = st.integers(60, 200)
THICK = st.integers(0, 60)


@given(width=SIZES, height=SIZES, colour=COLOURS, left=THICK, top=THICK, right=THICK, bottom=THICK, seed=st.integers(0, 9))
@settings(max_examples=60)
def test_a_border_of_any_colour_is_cut_to_the_pixel(
    width: int, height: int, colour: tuple[int, int, int], left: int, top: int, right: int, bottom: int, seed: int
) -> None:
    assume(max(abs(a - b) for a, b in zip(colour, SKIN, strict=True)) > 90)  # grain and shade reach half as far
    picture = inside(grainy(width, height, seed), colour, left, top, right, bottom)
    taken = (left + right) / picture.shape[1], (top + bottom) / picture.shape[0]
    assume(max(taken) >= 1 / framing.THICK)
    assert find(picture) == (left, top, left + width, top + height)


@given(width=st.integers(128, 240), height=st.integers(128, 240), colour=COLOURS, fall=st.floats(0, 0.9), seed=st.integers(0, 9),
       sideways=st.booleans(), sigma=st.floats(0, 30))  # fmt: skip
@settings(max_examples=60)
def test_nothing_is_cut_where_light_falls_off_with_grain_or_without(
    width: int, height: int, colour: tuple[int, int, int], fall: float, seed: int, sideways: bool, sigma: float
) -> None:
    ramp = np.arange(width)[None, :, None] if sideways else np.arange(height)[:, None, None]
    grain = np.random.default_rng(seed).normal(0, sigma, (height, width, 3))
    picture = np.clip(np.array(colour) - fall * ramp + grain, 0, 255).astype(np.uint8)
    assert find(picture) == whole(picture)


def face_before(ground: tuple[int, int, int], width: int, height: int, *oval: float) -> tuple[np.ndarray, np.ndarray]:
    """Grain in an oval (centre x and y, radii, in shares of the frame) before one colour; and which pixels are the oval."""
    x_middle, y_middle, x_radius, y_radius = oval
    y, x = np.mgrid[0:height, 0:width]
    inner = ((x / width - x_middle) / x_radius) ** 2 + ((y / height - y_middle) / y_radius) ** 2 < 1
    return np.where(inner[..., None], grainy(width, height), np.array(ground, np.uint8)), inner


@pytest.mark.parametrize("ground", [(0, 0, 0), (52, 58, 66), (255, 255, 255)], ids=str)
@pytest.mark.parametrize("middle", [(0.5, 0.5), (0.9, 0.5), (0.1, 0.6), (0.8, 0.8)], ids=str)
def test_a_face_before_a_background_of_one_colour_is_not_cut(ground: tuple[int, int, int], middle: tuple[float, float]) -> None:
    picture, _ = face_before(ground, 576, 640, *middle, 0.44, 0.46)
    assert find(picture) == whole(picture)


@given(st.integers(60, 300), st.integers(60, 300), st.tuples(*[st.floats(0.1, 0.9)] * 2), st.tuples(*[st.floats(0.15, 0.6)] * 2))
@settings(max_examples=80)
def test_of_a_face_before_a_background_of_one_colour_hardly_a_pixel_is_lost(
    width: int, height: int, middle: tuple[float, float], radii: tuple[float, float]
) -> None:
    """A small one may lose background, and of itself stray pixels of a line."""
    picture, lost = face_before((0, 0, 0), width, height, *middle, *radii)
    face = int(lost.sum())
    box = find(picture)
    lost[box.top : box.bottom, box.left : box.right] = False
    assert lost.sum() <= face / 20


@pytest.mark.parametrize(("width", "height"), [(16, 9), (9, 20)])
def test_a_letterbox_is_cut(width: int, height: int, face: np.ndarray) -> None:
    picture = letterbox(width, height)(Image.fromarray(face), np.random.default_rng(0))
    left, top = (picture.width - face.shape[1]) // 2, (picture.height - face.shape[0]) // 2
    assert find(picture) == (left, top, left + face.shape[1], top + face.shape[0])


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_of_a_chat_the_photograph_is_left(dark: bool) -> None:
    """To a bubble's margin of ten pixels, in which the grain of the photograph rings."""
    for seed in range(3):
        photograph = Image.fromarray(grainy(300, 360, seed))
        box = find(screenshot(dark)(photograph, np.random.default_rng(seed)))
        assert 0 <= box.width - 810 <= 22
        assert 0 <= box.height - 972 <= 22


def test_bars_with_words_on_them_above_and_below_are_cut() -> None:
    bar = np.full((50, 300, 3), 30, np.uint8)
    bar[20:30, 30:130:4] = 240
    photograph = grainy(300, 200)
    assert find(np.concatenate([bar, photograph, bar])) == (0, 50, 300, 250)
    assert find(np.concatenate([photograph, bar])) == (0, 0, 300, 200)


@pytest.mark.parametrize("colour", [(0, 0, 0), SKIN], ids=str)
def test_a_picture_of_one_colour_is_not_cut(colour: tuple[int, int, int]) -> None:
    picture = np.full((90, 120, 3), colour, np.uint8)
    assert find(picture) == whole(picture)


def test_a_hairline_is_left_and_so_is_a_frame_with_hardly_a_photograph_in_it() -> None:
    """A cut that takes under 1/32 of both sides changes nothing; one that leaves under a fifth is not of a photograph."""
    for picture in (
        inside(grainy(330, 330), (0, 0, 0), 5, 5, 5, 5),
        inside(grainy(90, 300), (0, 0, 0), 190, 20, 190, 20),
        inside(grainy(28, 60), (0, 0, 0), 20, 20, 20, 20),  # which could not be predicted by itself
    ):
        assert find(picture) == whole(picture)


def framed_jpeg(width: int, height: int, margin: int, **options: object) -> bytes:
    """A smooth photograph with spots inside a white border, all of whose edges lie between blocks of 64 pixels."""
    rng = np.random.default_rng(0)
    small = rng.integers(90, 200, (height // 64, width // 64, 3), np.uint8)
    photograph = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))
    return drawing.encode(inside(photograph, (255, 255, 255), *[margin] * 4), "JPEG", quality=95, subsampling=0, **options)


def test_a_jpeg_with_too_few_pixels_left_is_decoded_again_at_a_finer_scale() -> None:
    """At 1/4 the picture has over 512 pixels a side, and what is left 320: of the same photograph at 1/2 it has 640."""
    jpeg = framed_jpeg(1280, 1280, 640)
    assert images.photograph(jpeg, 512).pixels.size == (640, 640)
    framed = framing.photograph(jpeg, 512)
    assert framed.pixels.size == (640, 640)
    assert framed.crop == (640, 640, 1920, 1920)
    assert (framed.width, framed.height) == (2560, 2560)
    fine = images.decode(jpeg, 1280)[320:960, 320:960]
    apart = resize(framed.pixels, 256, 256).astype(int) - resize(np.ascontiguousarray(fine), 256, 256)
    assert np.abs(apart).max() <= 1


def test_a_jpeg_with_enough_pixels_left_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded, real = [], images.photograph
    monkeypatch.setattr(images, "photograph", lambda *a: decoded.append(a) or real(*a))
    assert framing.photograph(framed_jpeg(1280, 1280, 192), 256).pixels.size == (320, 320)
    assert len(decoded) == 1
    assert framing.photograph(drawing.encode(inside(grainy(200, 200), (0, 0, 0), 90, 90, 90, 90)), 256).pixels.size == (200, 200)
    assert len(decoded) == 2, "a PNG has no finer scale"


def test_a_jpeg_too_large_for_the_finer_scale_keeps_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    jpeg = framed_jpeg(1280, 1280, 640)
    coarse = images.photograph(jpeg, 512)

    def refuse(*_: object) -> None:
        raise ImageSizeError("takes too much memory")

    monkeypatch.setattr(images, "photograph", refuse)
    framed = framing.cut(jpeg, coarse, 512)
    assert framed.pixels.size == (320, 320)
    assert framed.crop == (640, 640, 1920, 1920)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_crop_is_of_the_upright_photograph(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = inside(grainy(200, 300), (0, 0, 255), 40, 10, 80, 120)
    upright = np.rot90(picture, {1: 0, 3: 2, 6: 3, 8: 1}[orientation])
    stored = drawing.encode(picture, "JPEG", quality=100, subsampling=0, exif=exif)
    framed = framing.photograph(stored, 512)
    assert (framed.width, framed.height) == upright.shape[1::-1]
    assert framed.crop == find(upright)


@pytest.fixture(scope="module")
def unframed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AcneGrader]:
    """The shipped network in a file that does not require framing."""
    data, required = models.load_model().data, b'"requires":["framing-1","mondrian-1","familiarity-1"]'
    assert data.count(required) == 1
    path: Path = tmp_path_factory.mktemp("models") / "unframed.onnx"
    path.write_bytes(data.replace(required, b'"requires":["mondrian-1","familiarity-1"]'.ljust(len(required))))
    with AcneGrader.load(path) as grader:
        yield grader


def test_a_framed_photograph_is_predicted_as_it_is_without_the_frame(grader: AcneGrader, face: np.ndarray) -> None:
    bare, framed = grader.predict(face), grader.predict(inside(face, (255, 255, 255), 40, 100, 200, 60))
    assert bare.image.crop is None
    assert framed.image.crop == (40, 100, 40 + face.shape[1], 100 + face.shape[0])
    assert (framed.count, framed.grade_probs, framed.quality) == (bare.count, bare.grade_probs, bare.quality)
    np.testing.assert_array_equal(framed.lesion_map, bare.lesion_map)


def test_positions_are_of_the_whole_picture(grader: AcneGrader, face: np.ndarray) -> None:
    bare, framed = grader.predict(face), grader.predict(inside(face, (255, 255, 255), 40, 100, 200, 60))
    assert len(bare.lesions) > 5
    for a, b in zip(bare.lesions, framed.lesions, strict=True):
        assert 40 + a.x * face.shape[1] == pytest.approx(b.x * framed.image.width)
        assert 100 + a.y * face.shape[0] == pytest.approx(b.y * framed.image.height)
        assert a.score == b.score


def test_a_model_that_does_not_require_it_sees_the_whole_picture(
    grader: AcneGrader, unframed: AcneGrader, face: np.ndarray
) -> None:
    picture = inside(face, (255, 255, 255), 40, 100, 200, 60)
    seen = unframed.predict(picture)
    assert seen.image.crop is None
    assert unframed.predict(face).count == grader.predict(face).count
    assert seen.count != grader.predict(picture).count


def test_the_heat_of_a_picture_lies_where_the_photograph_is(grader: AcneGrader, face: np.ndarray) -> None:
    picture = inside(face, (255, 255, 255), 40, 100, 200, 60)
    seen = grader.predict(picture)
    plain, hot = (np.asarray(seen.plot(picture, heat=heat))[: len(picture)].astype(int) for heat in (False, True))
    heated = (plain != hot).any(2)
    assert heated[100:-60, 40:-200].any()
    heated[100:-60, 40:-200] = False
    assert not heated.any()
    alone = np.asarray(grader.predict(face).plot(face, heat=True))[: len(face)]
    centre = np.s_[200:300, 200:300]  # where no ring is drawn larger or smaller
    rings = (np.asarray(grader.predict(face).plot(face))[: len(face)] != face).any(2)[centre]
    rings |= (plain[100:-60, 40:-200] != face).any(2)[centre]
    assert (np.abs(alone[centre] - hot[100:-60, 40:-200][centre])[~rings] <= 1).all()


@pytest.mark.slow
def test_of_acne04_at_most_one_in_two_hundred_is_cut(acne04: Path) -> None:
    """Each of these was looked at when the rule was made: a caption, a bar, or black at the sides, and no skin."""
    paths = sorted((acne04 / "Classification" / "JPEGImages").iterdir())
    cut = [path.name for path in paths if framing.photograph(path, 512).crop is not None]
    assert len(cut) <= len(paths) / 200, cut
