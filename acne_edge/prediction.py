"""What a prediction is, and its JSON form, which `prediction.schema.json` beside this file describes."""

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
    from acne_edge.image import ImageSource, Photograph
    from acne_edge.positions import Lesion
    from acne_edge.quality import Quality

THUMBNAIL = 800  # pixels of the longer side, in a notebook
COLUMNS = (
    "path", "count", "low", "high", "grade", "label", "text", "probability", "grade_set", "scale", "abstained", "quality",
    "error",
)  # fmt: skip
SCHEMA = "1.1"  # a minor version adds fields and changes none


@dataclass(frozen=True)
class CountInterval:
    """The lesion counts, both ends included, that hold the true one with probability `level`."""

    level: float
    low: int
    high: int


@dataclass(frozen=True)
class Grade:
    """A grade: the likeliest one's index into the scale, from 0, its label, and what a person should read instead of it."""

    index: int
    label: str
    text: str  # of all grades that are possible, "mild to moderate"; "none counted" and "no grade" too; see `grading.describe`


@dataclass(frozen=True)
class ImageSize:
    """Of the photograph as it was taken, upright and uncut; not of the smaller picture that may have been decoded."""

    width: int  # pixels
    height: int


@dataclass(frozen=True)
class ModelInfo:
    """The model that made a prediction and what it really ran on."""

    name: str
    version: str
    sha256: str  # of the model file
    backend: str  # runtime and provider


@dataclass(frozen=True)
class Prediction:
    """The result for one photograph. It is decision support for professionals, not a diagnosis."""

    count: float  # lesions
    count_interval: CountInterval
    grade: Grade
    grade_probs: tuple[float, ...]  # one a grade, sums to 1
    grade_set: tuple[int, ...]  # grades that cannot be excluded at the interval's level
    scale: str
    quality: Quality  # of the capture; its `reasons` are empty for a good one
    abstained: str | None  # reason code for not trusting the grade, or None
    model: ModelInfo
    timings: dict[str, float]  # milliseconds by stage, and their `total`
    image: ImageSize
    lesions: tuple[Lesion, ...]  # where the map shows any, the most likely first; they may be more or fewer than `count`
    path: str | None = None
    unfamiliarity: float | None = None
    """How far the photograph lies from those learned, 0 and more; over 1 it is unfamiliar. None: the model does not tell."""
    lesion_map: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32), repr=False, compare=False)
    """Float32 [h, w], expected lesions in each cell of a grid over the whole frame."""

    @property
    def ok(self) -> Literal[True]:
        """This is a prediction and not a `Failure`; type checkers narrow by it."""
        return True

    @property
    def marks(self) -> tuple[Lesion, ...]:
        """What a picture marks: of `lesions` the most likely, as many as `count` rounded to the nearest lesion.

        They are fewer where the map does not show that many.
        """
        return self.lesions[: self.rounded_count]

    @property
    def rounded_count(self) -> int:
        """`count` to the nearest lesion; a half is rounded up, as for the grade."""
        return math.floor(self.count + 0.5)

    @property
    def is_counted(self) -> bool:
        """Whether there was something to count: a blank frame, or what looks like nothing that was learned, shows no lesions."""
        return self.abstained not in (BLANK, UNFAMILIAR)

    @property
    def probability(self) -> float:
        """Of the grades that `grade.text` spans, together."""
        return min(1.0, sum(self.grade_probs[min(self.grade_set) : max(self.grade_set) + 1]))

    def caption(self) -> tuple[str, ...]:
        """What stands under a picture, line by line."""
        marked = f"{len(self.marks)} marked"
        if len(self.marks) < self.rounded_count:
            marked = f"{len(self.marks)} of {self.rounded_count} marked; the map shows no more"
        return (
            " · ".join(filter(None, (self._count_in_words(), self._grade_in_words()))),
            f"quality: {', '.join(map(_words, self.quality.reasons)) or 'ok'} · {marked}",
            f"{self.model.name} {self.model.version} · estimate, not a diagnosis",
        )

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
        """The photograph, at its own resolution, with rings around `marks` and the `caption` below it.

        The picture has nothing of the photograph's EXIF data. Its colour profile, if any, is in `info["icc_profile"]`.

        Args:
            image: the photograph, as for `AcneGrader.predict`; None reads it again from `path`.
            heat: show the lesion map too.

        Raises:
            UsageError: there is no path to read from, or the photograph has not the shape of the one that was predicted.
            ImageError: the photograph cannot be read.
        """
        return self._draw(self._photograph(image), self.caption(), heat)

    def save(self, path: str | os.PathLike[str], image: ImageSource | None = None, *, heat: bool = False) -> None:
        """Write what `plot` draws as a .jpg, .png or .webp file, without metadata but with the colour profile.

        Raises what `plot` does, UsageError for another suffix or where `path` is the photograph itself, and AcneEdgeError if
        the file cannot be written.
        """
        from pathlib import Path

        from acne_edge.files import write

        if self.path is not None and os.path.exists(path) and os.path.samefile(path, self.path):
            raise UsageError(f"{os.fspath(path)}: is the photograph itself; save the picture elsewhere")
        write(Path(path), self.picture(Path(path).suffix, image, heat=heat))

    def picture(self, suffix: str = ".png", image: ImageSource | None = None, *, heat: bool = False) -> bytes:
        """What `save` writes to a file with this suffix. Raises what `plot` does, and UsageError for another suffix."""
        from acne_edge.render import overlay

        drawn = self.plot(image, heat=heat)
        return overlay.encode(drawn, suffix, drawn.info.get("icc_profile", b""))

    def show(self, image: ImageSource | None = None, *, heat: bool = False) -> None:
        """Open what `plot` draws in the system's viewer."""
        self.plot(image, heat=heat).show()

    def _photograph(self, image: ImageSource | None, min_side: int | None = None) -> Photograph:
        from acne_edge import image as images

        if image is None and self.path is None:
            raise UsageError("this prediction was made of bytes or pixels, which it does not keep: give plot the photograph")
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
        picture = overlay.draw(photograph.pixels, places, caption, self.lesion_map if heat else None)
        if photograph.profile:
            picture.info["icc_profile"] = photograph.profile
        return picture

    def _thumbnail(self, suffix: str, caption: tuple[str, ...] = ()) -> bytes | None:
        """A small picture as a file, or None where the photograph is not at hand: a notebook shows what it can."""
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
        """The JSON form, rounded to what is meant; the lesion map only on request."""
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
            "image": {"width": self.image.width, "height": self.image.height},
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
        """`to_dict` as text; on one line, unless lines are indented."""
        return json.dumps(self.to_dict(lesion_map), indent=indent)

    def to_row(self) -> dict[str, Any]:
        """The figures without structure, by COLUMNS, as a table or a CSV file has them."""
        return row(self.to_dict())


def _words(code: str) -> str:
    """A reason code as people read it."""
    return code.replace("_", " ")


@dataclass(frozen=True)
class Failure:
    """An input of a batch for which there is no prediction, and why."""

    path: str | None
    error: AcneEdgeError

    @property
    def ok(self) -> Literal[False]:
        """This is not a prediction."""
        return False

    def to_dict(self) -> dict[str, Any]:
        """The JSON form of a failed input."""
        return {"schema": SCHEMA, "path": self.path, "error": {"code": self.error.code, "message": self.error.message}}

    def to_json(self, indent: int | None = None) -> str:
        """`to_dict` as text; on one line, unless lines are indented."""
        return json.dumps(self.to_dict(), indent=indent)

    def to_row(self) -> dict[str, Any]:
        """By COLUMNS: the path, and the code of the error."""
        return row(self.to_dict())


def row(record: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON form of a result as one row of a table, by COLUMNS; what a result does not have is None."""
    r = record
    if "error" in r:
        return {**dict.fromkeys(COLUMNS), "path": r["path"], "error": r["error"]["code"]}
    return {
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
