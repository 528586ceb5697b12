"""Reads cameras, network streams and video files frame by frame. Needs the extra `camera`.

A live source gives its newest frame: a thread reads all the time and keeps one frame, so predictions never lag behind. A video
file gives every frame, in order, as fast as they are predicted, so that a run can be repeated.

A live source that is missing or goes away is tried again after 0.5 s, 1 s, 2 s ... up to 30 s, until the caller stops. The
logger says when it is gone and when it is back.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from threading import Condition, Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

from acne_edge.errors import ImageDecodeError, MissingExtraError, UsageError
from acne_edge.grading import describe
from acne_edge.prediction import Failure, Grade, Prediction

if TYPE_CHECKING:
    from acne_edge.grader import AcneGrader
    from acne_edge.image import ImageArray

logger = logging.getLogger(__name__)

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds between attempts to reach a lost source
SMOOTHING = 2.0  # seconds, the default time constant


@dataclass(frozen=True)
class Frame:
    """One frame. For a live source, `index` also counts the frames that were skipped."""

    index: int  # from 0
    time: float  # seconds since the first frame
    image: ImageArray  # uint8 [H, W, 3], RGB


@dataclass(frozen=True)
class Smoothed:
    """Count and grade after the temporal filter."""

    count: float  # lesions
    grade: Grade
    grade_probs: tuple[float, ...]  # sums to 1

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, rounded."""
        return {
            "count": round(self.count, 2),
            "grade": vars(self.grade),
            "grade_probs": [round(p, 4) for p in self.grade_probs],
        }


@dataclass(frozen=True)
class StreamResult:
    """The result of one frame alone, and the smoothed values, which are None until the first frame of good quality."""

    index: int
    time: float  # seconds
    result: Prediction | Failure
    smoothed: Smoothed | None

    def to_dict(self) -> dict[str, Any]:
        """The JSON form of the prediction or failure, with `frame` and `smoothed` added."""
        return {
            **self.result.to_dict(),
            "frame": {"index": self.index, "time": round(self.time, 3)},
            "smoothed": self.smoothed.to_dict() if self.smoothed else None,
        }


class Smoother:
    """A first-order low-pass filter over count and grade probabilities, for frames at irregular times.

    Each new value moves the state towards it by the share 1 - exp(-dt / tau), where dt is the time since the last value. This
    is the exact response of a low-pass with time constant `tau` (seconds) to a held value. Probabilities still sum to 1, because
    the new state is a weighted mean. `tau` 0 does not smooth.
    """

    def __init__(self, tau: float, labels: tuple[str, ...]) -> None:
        if not 0 <= tau < math.inf:
            raise UsageError(f"smoothing is {tau} s; expected 0 or more")
        self._tau, self._labels = tau, labels
        self._state: np.ndarray[Any, np.dtype[np.float64]] | None = None  # [1 + G]: count, then grade probabilities
        self._time = 0.0

    def update(self, time: float, prediction: Prediction) -> None:
        """Add a prediction made at `time` seconds; returns the new state."""
        new = np.array([prediction.count, *prediction.grade_probs])
        if self._state is None or self._tau == 0:
            self._state = new
        else:
            self._state = self._state - math.expm1(-max(0.0, time - self._time) / self._tau) * (new - self._state)
        self._time = time

    @property
    def value(self) -> Smoothed | None:
        """The current state; None before the first prediction."""
        if self._state is None:
            return None
        count, *probs = map(float, self._state)
        top = int(np.argmax(probs))
        return Smoothed(count, Grade(top, self._labels[top], describe(self._labels, (top,), count, None)), tuple(probs))


class Camera:
    """A source of frames.

    Args:
        source: camera number, stream URL, device such as /dev/video0, or path of a video file.
        open_capture: opens the source and returns an object like `cv2.VideoCapture`.

    Raises MissingExtraError without the extra `camera`.
    """

    def __init__(
        self,
        source: str | int | os.PathLike[str],
        *,
        open_capture: Callable[[str | int], Any] | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        text = str(os.fspath(source) if isinstance(source, os.PathLike) else source)
        self._source: str | int = int(text) if text.isdecimal() else text
        self.live = isinstance(self._source, int) or "://" in text or text.startswith("/dev/")
        self._name = f"camera {text}" if isinstance(self._source, int) else text
        self._clock = clock
        self._open = open_capture or _opencv()

    def frames(self, stop: Event) -> Iterator[Frame]:
        """Yield frames until `stop` is set or the file ends. Raises ImageDecodeError for a file that is not a video."""
        return self._newest(stop) if self.live else self._every(stop)

    def _every(self, stop: Event) -> Iterator[Frame]:
        capture = self._open(self._source)
        try:
            if not os.path.isfile(str(self._source)) or not capture.isOpened():
                raise ImageDecodeError(f"{self._source}: no such video, or none that OpenCV can read")
            rate = capture.get(RATE)
            step = 1 / rate if 0 < rate < math.inf else 0.0
            index, time, start = 0, 0.0, 0.0
            while not stop.is_set():
                got, bgr = capture.read()
                if not got:
                    return
                position = capture.get(POSITION) / 1000
                start = start if index else position
                # Phones record at a variable rate, so a frame's own time counts; without one, the file's rate does.
                later = position - start > time and math.isfinite(position)
                time = position - start if later else time + step * (index > 0)
                yield Frame(index, time, _rgb(bgr))
                index += 1
        finally:
            capture.release()

    def _newest(self, stop: Event) -> Iterator[Frame]:
        slot, done = _Slot(), Event()
        reader = Thread(target=self._read, args=(slot, done), name="acne-edge-camera", daemon=True)
        reader.start()
        try:
            while not stop.is_set():
                frame = slot.take(timeout=0.1)
                if frame is not None:
                    yield replace(frame, image=_rgb(frame.image))
        finally:
            done.set()
            reader.join(timeout=5)  # a read may hang in the driver; the thread does not keep the process

    def _read(self, slot: _Slot, done: Event) -> None:
        """Keep the newest frame in the slot; reopen a lost source."""
        index, wait, start, lost = 0, FIRST_WAIT, None, None
        try:
            while not done.is_set():
                capture = self._open(self._source)
                try:
                    while not done.is_set():
                        got, bgr = capture.read() if capture.isOpened() else (False, _NOTHING)
                        if not got:
                            break
                        now = self._clock()
                        start = now if start is None else start
                        if lost is not None:
                            logger.info("%s: back after %.0f s", self._name, now - lost)
                        wait, lost = FIRST_WAIT, None
                        slot.put(Frame(index, now - start, bgr))
                        index += 1
                finally:
                    capture.release()
                if done.is_set():
                    return
                if lost is None:
                    lost = self._clock()
                    logger.warning("%s: gives no picture; is it plugged in and free? Trying again until it does", self._name)
                done.wait(wait)
                wait = min(2 * wait, LONGEST_WAIT)
        except Exception as error:
            slot.fail(error)


class _Slot:
    """Holds one frame; a newer one replaces it."""

    def __init__(self) -> None:
        self._frame: Frame | None = None
        self._error: Exception | None = None
        self._filled = Condition()

    def put(self, frame: Frame) -> None:
        """Store a frame; an older one that nobody took is lost."""
        with self._filled:
            self._frame = frame
            self._filled.notify()

    def fail(self, error: Exception) -> None:
        """Raise `error` in the next `take`."""
        with self._filled:
            self._error = error
            self._filled.notify()

    def take(self, timeout: float) -> Frame | None:
        """Wait for the newest frame that was not taken yet; None if none comes within `timeout` seconds."""
        with self._filled:
            if self._frame is None and self._error is None:
                self._filled.wait(timeout)
            frame, self._frame = self._frame, None
            if frame is None and self._error is not None:
                raise self._error
            return frame


_NOTHING = np.zeros((0, 0, 3), np.uint8)
RATE, POSITION = 5, 0  # OpenCV's CAP_PROP_FPS, CAP_PROP_POS_MSEC


def _opencv() -> Callable[[str | int], Any]:
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # errors are reported here, once
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    try:
        import cv2
    except ImportError as error:
        raise MissingExtraError("opencv-python-headless", "camera", "reading cameras and video") from error
    make: Any = cv2.VideoCapture
    return make  # type: ignore[no-any-return]


def _rgb(bgr: Any) -> ImageArray:
    """Convert OpenCV's frame, uint8 [H, W, 3] BGR or [H, W] grey, to uint8 [H, W, 3] RGB."""
    return np.ascontiguousarray(bgr[..., ::-1]) if bgr.ndim == 3 else np.repeat(bgr[..., None], 3, axis=2)


def stream(grader: AcneGrader, camera: Camera, smoothing: float, stop: Event) -> Iterator[StreamResult]:
    """Predict a source's frames; see `AcneGrader.stream`."""
    smoother = Smoother(smoothing, grader.scale.labels)
    for frame in camera.frames(stop):
        result = grader.try_predict(frame.image)
        if isinstance(result, Prediction) and result.is_counted and not result.quality.faults:
            smoother.update(frame.time, result)
        yield StreamResult(frame.index, frame.time, result, smoother.value)
