"""Pictures of photographs for a browser: upright, in sRGB, as JPEG, with nothing of the camera's remarks. Kept in memory."""

from __future__ import annotations

import io
from collections import OrderedDict
from threading import Lock

from PIL import Image

from acne_edge import image

THUMBNAIL, PICTURE = 144, 3000  # pixels of the longer side, at most
KEPT = 64_000_000  # bytes
QUALITY = {THUMBNAIL: 80, PICTURE: 90}


def render(data: bytes, side: int) -> bytes:
    """A JPEG whose longer side has at most `side` pixels. Raises what `image.read` does."""
    picture = image.read(data, min_side=side if side == THUMBNAIL else None)
    if max(picture.size) > side:
        picture = picture.copy()
        picture.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=QUALITY[side])
    return stream.getvalue()


class Kept:
    """The pictures that were asked for last."""

    def __init__(self) -> None:
        self._pictures: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def get(self, sha256: str, side: int) -> bytes | None:
        """The picture of a content, if it is here."""
        with self._lock:
            found = self._pictures.get((sha256, side))
            if found is not None:
                self._pictures.move_to_end((sha256, side))
            return found

    def add(self, sha256: str, side: int, picture: bytes) -> None:
        """Keep a picture, and let go of those that nobody has asked for for longest."""
        with self._lock:
            self._bytes += len(picture) - len(self._pictures.pop((sha256, side), b""))
            self._pictures[sha256, side] = picture
            while self._bytes > KEPT and len(self._pictures) > 1:
                self._bytes -= len(self._pictures.popitem(last=False)[1])
