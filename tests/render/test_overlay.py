from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageFont

from acne_edge.errors import AcneEdgeError, UsageError
from acne_edge.render.overlay import DARK, HEAT, INK, LIGHT, PAPER, draw, encode

SKIN = {"light": (244, 214, 196), "dark": (58, 38, 30), "white": (255, 255, 255), "black": (0, 0, 0)}


def skin(tone: str = "light", width: int = 400, height: int = 500) -> Image.Image:
    return Image.new("RGB", (width, height), SKIN[tone])


def luminance(colours: np.ndarray) -> np.ndarray:
    """Relative luminance of sRGB colours [..., 3] (WCAG 2.2)."""
    linear = np.where(colours <= 0.04045 * 255, colours / 255 / 12.92, ((colours / 255 + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def contrast(a: float, b: float) -> float:
    """From 1 to 21 (WCAG 2.2)."""
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)


def changed(before: Image.Image, after: Image.Image) -> np.ndarray:
    """Which pixels of the photograph's area differ, [H, W]."""
    a, b = np.asarray(before), np.asarray(after)[: before.height]
    return (a != b).any(2)


def test_a_ring_goes_around_a_place_and_leaves_the_lesion_in_it_to_be_seen() -> None:
    photograph = skin()
    y, x = np.nonzero(changed(photograph, draw(photograph, [(0.25, 0.6)])))
    distance = np.hypot(x + 0.5 - 100, y + 0.5 - 300)
    assert distance.min() > 0.015 * 400
    assert distance.max() < 0.03 * 400
    assert abs(x.mean() + 0.5 - 100) < 0.6
    assert abs(y.mean() + 0.5 - 300) < 0.6


@pytest.mark.parametrize("tone", SKIN)
def test_one_stroke_of_a_ring_stands_out_on_any_skin_by_lightness_alone(tone: str) -> None:
    """Three to one is what WCAG asks of graphics; lightness is seen by eyes that tell no colours apart."""
    photograph = skin(tone)
    drawn = np.asarray(draw(photograph, [(0.5, 0.5)]))[changed(photograph, draw(photograph, [(0.5, 0.5)]))]
    ground = float(luminance(np.array(SKIN[tone])))
    values = luminance(drawn.astype(float))
    assert max(contrast(float(values.max()), ground), contrast(float(values.min()), ground)) > 3
    assert contrast(float(values.max()), float(values.min())) > 10


def test_where_rings_meet_each_light_stroke_is_whole() -> None:
    alone = np.asarray(draw(skin(), [(0.5, 0.5)]))
    light = (alone == LIGHT).all(2)
    both = np.asarray(draw(skin(), [(0.5, 0.5), (0.52, 0.5)]))
    assert (both[light] == LIGHT).all()


def test_strokes_scale_with_the_picture_and_never_vanish() -> None:
    def ring(side: int) -> int:
        picture = draw(skin("dark", side, side), [(0.5, 0.5)])
        return int((np.asarray(picture)[side // 2].min(1) > 150).sum())

    assert ring(3000) >= 8 * ring(300) >= 8
    assert ring(64) >= 1


def test_rings_at_the_edge_are_cut_and_not_moved() -> None:
    photograph = skin()
    seen = changed(photograph, draw(photograph, [(0.0, 0.0), (1.0, 1.0)]))
    assert seen[:20, :20].any()
    assert seen[-20:, -20:].any()
    assert not seen[30:-30].any()


def test_a_box_has_two_strokes_on_its_edge_and_is_cut_at_that_of_the_photograph() -> None:
    photograph = skin()
    drawn = draw(photograph, boxes=[(0.25, 0.4, 0.5, 0.6)])
    row = np.asarray(drawn)[250]
    left = row[90:111]
    assert (left == LIGHT).all(1).any()
    assert (left == DARK).all(1).any()
    assert (row[115:185] == SKIN["light"]).all(), "what is in the box is to be seen"
    assert not changed(photograph, draw(photograph, boxes=[(-0.5, -0.5, 2, 2)]))[50:450, 50:350].any()


def test_quality_is_that_of_the_file() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8))
    assert len(encode(noise, ".jpg", quality=50)) < len(encode(noise, ".jpg")) / 2
    assert encode(noise, ".png", quality=50) == encode(noise, ".png")


def test_the_photograph_keeps_its_pixels_and_the_caption_lies_below_it() -> None:
    rng = np.random.default_rng(0)
    photograph = Image.fromarray(rng.integers(0, 256, (300, 200, 3), np.uint8))
    picture = np.asarray(draw(photograph, caption=["12 lesions", "estimate, not a diagnosis"]))
    np.testing.assert_array_equal(picture[:300], np.asarray(photograph))
    assert (picture[300:] == INK).all(2).any()
    assert (picture[-1] == PAPER).all()
    assert draw(photograph).size == photograph.size


def test_a_caption_is_broken_between_words_where_it_is_too_wide() -> None:
    text = "twelve lesions and a very long sentence that no narrow picture has the room for"
    one, broken = (draw(skin(width=300, height=64), caption=[line]) for line in (text[:14], text))
    assert (np.asarray(broken)[64:, -5:] == PAPER).all()
    assert broken.height > one.height + 2 * 1.3 * 12
    assert (np.asarray(broken)[one.height :] == INK).all(2).any()


def test_characters_that_the_font_lacks_become_question_marks() -> None:
    assert draw(skin(), caption=["中度"]).tobytes() == draw(skin(), caption=["??"]).tobytes()


def test_the_heat_map_is_blue_where_lesions_are_and_nothing_elsewhere() -> None:
    heat = np.zeros((10, 10))
    heat[2, 7] = 0.5
    picture = np.asarray(draw(skin(), heat=heat)).astype(int)
    ground = np.array(SKIN["light"])
    middle = picture[int(0.25 * 500), int(0.75 * 400)]
    expected = ground + 0.62 * (np.array(HEAT) - ground)
    assert np.abs(middle - expected).max() < 12
    assert (picture[300:] == ground).all()


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".png", ".webp"])
def test_a_file_has_the_profile_and_no_other_metadata(suffix: str) -> None:
    photograph = skin()
    photograph.info = dict.fromkeys(("exif", "comment", "xmp", "icc_profile", "photoshop"), b"secret")
    data = encode(draw(photograph, [(0.5, 0.5)]), suffix, b"a profile of colours")
    assert b"secret" not in data
    with Image.open(io.BytesIO(data)) as image:
        assert image.info["icc_profile"] == b"a profile of colours"
        assert not image.getexif()
    assert b"profile" not in encode(draw(photograph), suffix)


@pytest.mark.parametrize("suffix", [".gif", "", ".txt"])
def test_other_kinds_of_file_are_refused(suffix: str) -> None:
    with pytest.raises(UsageError, match=r"saved as \.jpg, \.jpeg, \.png, \.webp"):
        encode(skin(), suffix)


def test_a_pillow_without_freetype_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(size: float) -> None:
        raise ImportError("The _imagingft C module is not installed")

    monkeypatch.setattr(ImageFont, "load_default", refuse)
    with pytest.raises(AcneEdgeError, match="no FreeType"):
        draw(skin(), caption=["12 lesions"])


def test_heat_may_lie_over_a_part() -> None:
    photograph = skin()
    heated = changed(photograph, draw(photograph, heat=np.full((2, 2), 1.0), heated=(0.25, 0.5, 0.75, 1.0)))
    assert heated[250:, 100:300].all()
    heated[250:, 100:300] = False
    assert not heated.any()
