"""Draws marks, a heat map and a caption on a photograph."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from acne_edge.errors import AcneEdgeError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

RADIUS = 0.022  # of a ring, as a share of the shorter side: half of the median box side in ACNE04
LEAST_RADIUS = 5.0  # pixels
LINE, CASING = 0.13, 0.32  # width of the two strokes, as a share of the radius
LEAST_LINE, LEAST_CASING = 1.3, 3.4  # pixels
LIGHT, DARK = (255, 255, 255), (10, 10, 30)  # on any background at least one is legible, with any kind of colour vision
SMOOTH = 8  # a ring is drawn this many times larger and then reduced, because Pillow's lines have hard edges
HEAT = (40, 165, 255)  # skin is never blue
FULL_HEAT = 0.5  # lesions in a cell at which the heat map reaches its highest opacity
OPACITY = 0.62
TYPE = 0.026  # type size, as a share of the width
LEAST_TYPE = 12  # pixels
HEADLINE = 1.35  # size of the first line, relative to the others
PAPER, INK = (24, 24, 28), (245, 245, 245)
SUFFIXES = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}
QUALITY = 92  # of JPEG and WebP
OPTIONS: dict[str, dict[str, Any]] = {"JPEG": {"subsampling": 0}, "PNG": {}, "WEBP": {}}  # full colour resolution: rings are thin


def draw(
    photograph: Image.Image,
    marks: Sequence[tuple[float, float]] = (),
    caption: Sequence[str] = (),
    heat: NDArray[np.floating] | None = None,
    boxes: Sequence[tuple[float, float, float, float]] = (),
    heated: tuple[float, float, float, float] | None = None,
) -> Image.Image:
    """Returns a new picture: the photograph with a heat map, rings around places, and a caption below it.

    The photograph keeps its resolution; the caption is added below, so the picture is taller. Nothing of `photograph.info` is
    kept, because cameras store time, place and owner there.

    Args:
        photograph: mode RGB.
        marks: centres (x, y) in 0..1 of the frame.
        caption: lines; the first is set in larger type. Characters that Pillow's own font lacks become question marks.
        heat: [h, w], expected lesions in each cell of a grid; opacity is highest from FULL_HEAT on.
        boxes: (left, top, right, bottom) in 0..1 of the frame, drawn as rectangles in the same two strokes.
        heated: the rectangle under the grid: left, top, right, bottom in 0..1 of the frame; None: the whole frame.
    """
    lines = _set(caption, photograph.width)
    margin = lines[0].font.size * 0.6 if lines else 0.0
    strip = math.ceil(sum(line.height for line in lines) + 2 * margin)
    picture = Image.new("RGB", (photograph.width, photograph.height + strip), PAPER)
    picture.paste(photograph, (0, 0))
    if heat is not None:
        tint = Image.fromarray((255 * OPACITY * np.clip(heat / FULL_HEAT, 0, 1)).astype(np.uint8))
        left, top, right, bottom = (
            round(share * side) for share, side in zip(heated or (0, 0, 1, 1), 2 * photograph.size, strict=True)
        )
        picture.paste(HEAT, (left, top, right, bottom), tint.resize((right - left, bottom - top), Image.Resampling.BICUBIC))
    _frame(picture, boxes, photograph.size)
    _ring(picture, marks, photograph.size)
    write, y = ImageDraw.Draw(picture), photograph.height + margin
    for line in lines:
        write.text((margin, y), line.text, INK, line.font)
        y += line.height
    return picture


def encode(picture: Image.Image, suffix: str, profile: bytes = b"", quality: int = QUALITY) -> bytes:
    """The picture as the bytes of a file of the suffix's kind (`.jpg`, `.png`, `.webp`), with a colour profile and nothing else.

    `quality` is that of JPEG and WebP, 1..95.

    Raises UsageError for another suffix, and AcneEdgeError for a picture too large for that kind of file.
    """
    kind = SUFFIXES.get(suffix.lower())
    if kind is None:
        raise UsageError(f"pictures are saved as {', '.join(SUFFIXES)}, not as {suffix or 'a file without a suffix'!r}")
    stream = io.BytesIO()
    try:
        options = OPTIONS[kind] | ({} if kind == "PNG" else {"quality": quality})
        picture.save(stream, kind, **options, **({"icc_profile": profile} if profile else {}))
    except (OSError, ValueError) as error:  # JPEG and WebP limit the length of a side
        width, height = picture.size
        raise AcneEdgeError(f"a picture of {width}x{height} pixels cannot be saved as {kind} ({error})") from error
    return stream.getvalue()


def _ring(picture: Image.Image, marks: Sequence[tuple[float, float]], size: tuple[int, int]) -> None:
    """Draw rings in two strokes, all dark ones first, so that light ones stay whole where rings overlap."""
    radius = max(LEAST_RADIUS, RADIUS * min(size))
    for colour, breadth in ((DARK, max(LEAST_CASING, CASING * radius)), (LIGHT, max(LEAST_LINE, LINE * radius))):
        stamp = _stamp(radius, breadth)
        for x, y in marks:
            at = round(x * size[0] - stamp.width / 2), round(y * size[1] - stamp.height / 2)
            picture.paste(colour, (*at, at[0] + stamp.width, at[1] + stamp.height), stamp)


def _frame(picture: Image.Image, boxes: Sequence[tuple[float, float, float, float]], size: tuple[int, int]) -> None:
    """Rectangles in two strokes, as the rings are drawn; what lies outside of the photograph is cut off."""
    radius = max(LEAST_RADIUS, RADIUS * min(size))
    pen = ImageDraw.Draw(picture)
    for colour, breadth in ((DARK, max(LEAST_CASING, CASING * radius)), (LIGHT, max(LEAST_LINE, LINE * radius))):
        for left, top, right, bottom in boxes:
            reach = breadth / 2
            corners = (
                max(0, left * size[0] - reach),
                max(0, top * size[1] - reach),
                min(size[0] - 1, right * size[0] + reach),
                min(size[1] - 1, bottom * size[1] + reach),
            )
            pen.rectangle(corners, outline=colour, width=max(1, round(breadth)))


def _stamp(radius: float, breadth: float) -> Image.Image:
    """A mask of a ring with soft edges; `radius` is at the middle of its stroke."""
    side = 2 * math.ceil(radius + breadth / 2 + 1)
    large = Image.new("L", (side * SMOOTH, side * SMOOTH))
    outer, inner = (SMOOTH * (radius + sign * breadth / 2) for sign in (1, -1))
    pen, centre = ImageDraw.Draw(large), side * SMOOTH / 2
    for reach, value in ((outer, 255), (inner, 0)):
        pen.ellipse((centre - reach, centre - reach, centre + reach, centre + reach), fill=value)
    return large.resize((side, side), Image.Resampling.BOX)


class _Line:
    """A line of the caption, typeset."""

    def __init__(self, text: str, font: ImageFont.FreeTypeFont) -> None:
        self.text, self.font = text, font
        self.height = 1.3 * font.size


def _set(caption: Sequence[str], width: int) -> list[_Line]:
    """Typeset the caption in Pillow's own font, broken between words where it is wider than the picture."""
    size = max(LEAST_TYPE, round(TYPE * width))
    lines = []
    for number, text in enumerate(caption):
        font = _font(round(HEADLINE * size) if number == 0 else size)
        space, row = width - 1.2 * round(HEADLINE * size), ""
        for word in _printable(text).split():
            if row and font.getlength(f"{row} {word}") > space:
                lines.append(_Line(row.removesuffix(" ·"), font))
                row = word
            else:
                row = f"{row} {word}".strip()
        lines.append(_Line(row, font))
    return lines


def _font(size: int) -> ImageFont.FreeTypeFont:
    try:
        font = ImageFont.load_default(size)
    except ImportError as error:
        raise AcneEdgeError("this build of Pillow has no FreeType, which the caption needs; install the Pillow wheel") from error
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _printable(text: str) -> str:
    return "".join(c if " " <= c <= "~" or c == "·" else "?" for c in text)
