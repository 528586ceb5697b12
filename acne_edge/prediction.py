"""The result for one photograph, and its JSON form, which `prediction.schema.json` in this folder describes."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from acne_edge.errors import UsageError
from acne_edge.grading import UNFAMILIAR
from acne_edge.quality import BLANK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from PIL import Image

    from acne_edge.errors import AcneEdgeError
    from acne_edge.framing import Box
    from acne_edge.image import ImageSource, Photograph
    from acne_edge.positions import Lesion
    from acne_edge.quality import Quality

UNCOUNTED = (BLANK, UNFAMILIAR)  # reasons for which a count means nothing
THUMBNAIL = 800  # pixels of the longer side of a notebook's picture
COLUMNS = (
    "path", "count", "low", "high", "grade", "label", "text", "probability", "grade_set", "scale", "abstained", "quality",
    "error",
)  # fmt: skip
SCHEMA = "1.1"  # a minor version adds fields and changes none


@dataclass(frozen=True)
class CountInterval:
    """Lowest and highest lesion count, both included; the true count lies between with probability `level`."""

    level: float
    low: int
    high: int


@dataclass(frozen=True)
class Grade:
    """The likeliest grade: its index into the scale, from 0, its label, and a text for people that names all possible grades."""

    index: int
    label: str
    text: str  # of all grades that are possible, "mild to moderate"; "none counted" and "no grade" too; see `grading.describe`


@dataclass(frozen=True)
class ImageSize:
    """Pixels of the photograph as taken, upright and uncropped; the decoded picture may be smaller."""

    width: int  # pixels
    height: int
    crop: Box | None = None  # the part that was looked at, where borders or an interface around it were cut off


@dataclass(frozen=True)
class ModelInfo:
    """The model that made a prediction, and the runtime and device that it really used."""

    name: str
    version: str
    sha256: str  # of the model file, hexadecimal
    backend: str  # runtime and device, as in "onnxruntime:CPUExecutionProvider"


@dataclass(frozen=True)
class Prediction:
    """The result for one photograph. It is decision support for professionals, not a diagnosis."""

    count: float  # lesions
    count_interval: CountInterval
    grade: Grade
    grade_probs: tuple[float, ...]  # one per grade; they sum to 1
    grade_set: tuple[int, ...]  # grades that cannot be excluded at the interval's level
    scale: str
    quality: Quality  # of the photograph; its `reasons` are empty for a good one
    abstained: str | None  # reason code for not trusting the grade, or None
    model: ModelInfo
    timings: dict[str, float]  # milliseconds by stage, and their `total`
    image: ImageSize
    lesions: tuple[Lesion, ...]  # places in the map, the most likely first; there may be more or fewer than `count`
    path: str | None = None
    unfamiliarity: float | None = None
    """How far the photograph lies from those learned, 0 and more; over 1 it is unfamiliar. None: the model does not tell."""
    lesion_map: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32), repr=False, compare=False)
    """Float32 [h, w], expected lesions in each cell of a grid over `image.crop`; over the whole photograph where that is None."""

    @property
    def ok(self) -> Literal[True]:
        """True: this is a prediction, not a `Failure`. Type checkers narrow by it."""
        return True

    @property
    def marks(self) -> tuple[Lesion, ...]:
        """The lesions that a picture marks: the most likely `rounded_count` of them.

        There are fewer if the map does not show that many.
        """
        return self.lesions[: self.rounded_count]

    @property
    def rounded_count(self) -> int:
        """`count` to the nearest lesion; a half is rounded up, as for the grade."""
        return math.floor(self.count + 0.5)

    @property
    def is_counted(self) -> bool:
        """Whether there was something to count: a blank frame, or what looks like nothing that was learned, shows no lesions."""
        return self.abstained not in UNCOUNTED

    @property
    def is_unfamiliar(self) -> bool:
        """Whether the photograph looks like nothing that was learned, graded or not."""
        return self.unfamiliarity is not None and self.unfamiliarity > 1

    @property
    def warnings(self) -> tuple[str, ...]:
        """Codes of all that speaks against the result: why it was abstained on, if it was; unfamiliar; reasons of quality."""
        codes = (self.abstained, UNFAMILIAR if self.is_unfamiliar and self.is_counted else None, *self.quality.reasons)
        return tuple(dict.fromkeys(code for code in codes if code))

    @property
    def probability(self) -> float:
        """Total probability of the grades that `grade.text` names, 0..1."""
        return min(1.0, sum(self.grade_probs[min(self.grade_set) : max(self.grade_set) + 1]))

    def caption(self) -> tuple[str, ...]:
        """The lines of text under a picture."""
        marked = f"{len(self.marks)} marked"
        if len(self.marks) < self.rounded_count:
            marked = f"{len(self.marks)} of {self.rounded_count} marked; the map shows no more"
        return (
            " · ".join(filter(None, (self._count_in_words(), self._grade_in_words()))),
            f"quality: {', '.join(map(_words, self._told_against())) or 'ok'} · {marked}",
            f"{self.model.name} {self.model.version} · estimate, not a diagnosis",
        )

    def _told_against(self) -> tuple[str, ...]:
        return tuple(code for code in self.warnings if code != self.abstained or code in self.quality.reasons)

    def _count_in_words(self) -> str:
        if not self.is_counted:
            return ""
        lesions = {0: "none counted", 1: "1 lesion"}.get(self.rounded_count, f"{self.rounded_count} lesions")
        interval = self.count_interval
        return f"{lesions} ({100 * interval.level:.0f} % interval {interval.low} to {interval.high})"

    def _grade_in_words(self) -> str:
        if self.abstained:
            return f"{self.grade.text}: {_words(self.abstained)}"
        return f"{self.grade.text} ({100 * self.probability:.0f} %)" if self.rounded_count else ""

    def plot(self, image: ImageSource | None = None, *, heat: bool = False) -> Image.Image:
        """Draw the photograph, at its own resolution, with rings around `marks` and the `caption` below it.

        The picture has none of the photograph's EXIF data. Its colour profile, if any, is in `info["icc_profile"]`.

        Args:
            image: the photograph, as for `AcneGrader.predict`; None reads it again from `path`.
            heat: show the lesion map too.

        Raises:
            UsageError: there is no path to read from, or the photograph's size differs from the predicted one's.
            ImageError: the photograph cannot be read.
        """
        return self._draw(self._photograph(image), self.caption(), heat)

    def save(self, path: str | os.PathLike[str], image: ImageSource | None = None, *, heat: bool = False) -> None:
        """Write the picture that `plot` draws as a .jpg, .png or .webp file, with the colour profile and no other metadata.

        Raises what `plot` does, UsageError for another suffix or if `path` is the photograph itself, and AcneEdgeError if
        the file cannot be written.
        """
        from pathlib import Path

        from acne_edge.files import write

        if self.path is not None and os.path.exists(path) and os.path.samefile(path, self.path):
            raise UsageError(f"{os.fspath(path)}: this is the photograph itself; save the picture elsewhere")
        write(Path(path), self.picture(Path(path).suffix, image, heat=heat))

    def picture(self, suffix: str = ".png", image: ImageSource | None = None, *, heat: bool = False) -> bytes:
        """The bytes that `save` writes for this suffix. Raises what `plot` does, and UsageError for another suffix."""
        from acne_edge.render import overlay

        drawn = self.plot(image, heat=heat)
        return overlay.encode(drawn, suffix, drawn.info.get("icc_profile", b""))

    def show(self, image: ImageSource | None = None, *, heat: bool = False) -> None:
        """Open the picture that `plot` draws in the system's viewer."""
        self.plot(image, heat=heat).show()

    def _photograph(self, image: ImageSource | None, min_side: int | None = None) -> Photograph:
        from acne_edge import image as images

        if image is None and self.path is None:
            raise UsageError("this prediction was made from bytes or pixels, which it does not keep: give plot the photograph")
        photograph = images.photograph(self.path if image is None else image, min_side, srgb=False)  # type: ignore[arg-type]
        width, height = photograph.width, photograph.height
        if abs(width * self.image.height - height * self.image.width) > 0.01 * width * self.image.height:
            raise UsageError(
                f"{self.path or 'the photograph'}: has {width}x{height} pixels, the one that was predicted "
                f"{self.image.width}x{self.image.height}; give plot the same photograph"
            )
        return photograph

    def _draw(self, photograph: Photograph, caption: tuple[str, ...], heat: bool = False) -> Image.Image:
        from acne_edge.render import overlay

        places = [(lesion.x, lesion.y) for lesion in self.marks]
        width, height = self.image.width, self.image.height
        box = self.image.crop
        part = None if box is None else (box.left / width, box.top / height, box.right / width, box.bottom / height)
        picture = overlay.draw(photograph.pixels, places, caption, self.lesion_map if heat else None, heated=part)
        if photograph.profile:
            picture.info["icc_profile"] = photograph.profile
        return picture

    def _thumbnail(self, suffix: str, caption: tuple[str, ...] = ()) -> bytes | None:
        """A small picture as the bytes of a file, for a notebook; None if the photograph is not available."""
        from acne_edge.errors import AcneEdgeError
        from acne_edge.render import overlay

        try:
            photograph = self._photograph(None, min_side=THUMBNAIL)
            if max(photograph.pixels.size) > THUMBNAIL:
                small = photograph.pixels.copy()
                small.thumbnail((THUMBNAIL, THUMBNAIL))
                photograph = photograph._replace(pixels=small)
            return overlay.encode(self._draw(photograph, caption), suffix, photograph.profile)
        except AcneEdgeError:
            return None

    def _repr_png_(self) -> bytes | None:
        return self._thumbnail(".png", self.caption())

    def _repr_html_(self) -> str:
        import base64
        from html import escape

        lines = "<br>".join(map(escape, self.caption()))
        picture = self._thumbnail(".jpg")
        if picture is None:
            return f"<p>{lines}</p>"
        data, alt = base64.b64encode(picture).decode(), escape(self.caption()[0], quote=True)
        return f'<figure><img alt="{alt}" src="data:image/jpeg;base64,{data}"><figcaption>{lines}</figcaption></figure>'

    def to_dict(self, lesion_map: bool = False) -> dict[str, Any]:
        """The JSON form, with rounded numbers; `lesion_map` adds the lesion map."""
        values: dict[str, Any] = {
            "schema": SCHEMA,
            "path": self.path,
            "count": round(self.count, 2),
            "count_interval": {
                "level": self.count_interval.level,
                "low": self.count_interval.low,
                "high": self.count_interval.high,
            },
            "grade": vars(self.grade),
            "grade_probs": [round(p, 4) for p in self.grade_probs],
            "grade_set": list(self.grade_set),
            "scale": self.scale,
            "image": {
                "width": self.image.width,
                "height": self.image.height,
                "crop": None if self.image.crop is None else self.image.crop._asdict(),
            },
            "lesions": [{"x": round(x, 5), "y": round(y, 5), "score": round(score, 4)} for x, y, score in self.lesions],
            "quality": self.quality.to_dict(),
            "abstained": self.abstained,
            "unfamiliarity": None if self.unfamiliarity is None else round(self.unfamiliarity, 3),
            "model": vars(self.model),
            "timings": {stage: round(ms, 3) for stage, ms in self.timings.items()},
        }
        if lesion_map:
            values["lesion_map"] = [[round(float(v), 5) for v in row] for row in self.lesion_map]
        return values

    def to_json(self, lesion_map: bool = False, indent: int | None = None) -> str:
        """`to_dict` as text, on one line unless `indent` is given."""
        return json.dumps(self.to_dict(lesion_map), indent=indent)

    def to_row(self) -> dict[str, Any]:
        """The figures as a flat row with the keys COLUMNS, as in a table or CSV file."""
        return row(self.to_dict())


def _words(code: str) -> str:
    """A reason code as words."""
    return code.replace("_", " ")


@dataclass(frozen=True)
class Failure:
    """An input of a batch that has no prediction, and why."""

    path: str | None
    error: AcneEdgeError

    @property
    def ok(self) -> Literal[False]:
        """False: this is not a prediction."""
        return False

    def to_dict(self) -> dict[str, Any]:
        """The JSON form of a failed input."""
        return {"schema": SCHEMA, "path": self.path, "error": {"code": self.error.code, "message": self.error.message}}

    def to_json(self, indent: int | None = None) -> str:
        """`to_dict` as text, on one line unless `indent` is given."""
        return json.dumps(self.to_dict(), indent=indent)

    def to_row(self) -> dict[str, Any]:
        """A flat row with the keys COLUMNS: the path and the error's code; the rest is None."""
        return row(self.to_dict())


def row(record: Mapping[str, Any]) -> dict[str, Any]:
    """A result's JSON form as a flat row with the keys COLUMNS; absent values are None.

    Where the grade is abstained on, the row has none, and of what is blank or unfamiliar no count either: a row is read without
    its reasons.
    """
    r = record
    if "error" in r:
        return {**dict.fromkeys(COLUMNS), "path": r["path"], "error": r["error"]["code"]}
    absent: tuple[str, ...] = ("grade", "label", "probability", "grade_set") if r["abstained"] else ()
    absent += ("count", "low", "high") if r["abstained"] in UNCOUNTED else ()
    figures = {
        "path": r["path"],
        "count": r["count"],
        "low": r["count_interval"]["low"],
        "high": r["count_interval"]["high"],
        "grade": r["grade"]["index"],
        "label": r["grade"]["label"],
        "text": r["grade"]["text"],
        "probability": r["grade_probs"][r["grade"]["index"]],
        "grade_set": " ".join(map(str, r["grade_set"])),
        "scale": r["scale"],
        "abstained": r["abstained"],
        "quality": " ".join(r["quality"]["reasons"]),
        "error": None,
    }
    return figures | dict.fromkeys(absent)
