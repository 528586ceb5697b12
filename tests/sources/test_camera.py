from __future__ import annotations

import json
import logging
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread, Timer

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acne_edge import AcneGrader, ImageDecodeError, MissingExtraError, UsageError
from acne_edge.prediction import CountInterval, Grade, ImageSize, ModelInfo, Prediction
from acne_edge.quality import Quality
from acne_edge.sources import camera as module
from acne_edge.sources.camera import Camera, Smoother
from tests import drawing, schema

GOOD = Quality(600, 100.0, 0.0, 0.8, 0.2, 0.7, 0.7, ())
LABELS = ("mild", "moderate", "severe", "very severe")


def prediction(count: float, probs: tuple[float, ...]) -> Prediction:
    top = int(np.argmax(probs))
    return Prediction(
        count, CountInterval(0.9, 0, 9), Grade(top, LABELS[top], LABELS[top]), probs, (top,), "hayashi", GOOD, None,
        ModelInfo("m", "1", "0", "b"), {}, ImageSize(600, 800), (),
    )  # fmt: skip


class FakeCapture:
    """As much of `cv2.VideoCapture` as is used: the frames of a script, None for a failed read; then nothing, for ever."""

    def __init__(
        self,
        script: list[int | None],
        opened: bool = True,
        pause: float = 0.0,
        rate: float = 10.0,
        positions: Sequence[float] = (),
    ) -> None:
        self.script, self.opened, self.pause, self.released = list(script), opened, pause, False
        self.rate, self.positions = rate, list(positions)  # the latter in ms; without them, none is known

    def isOpened(self) -> bool:  # noqa: N802
        return self.opened

    def get(self, which: int) -> float:
        if which == module.RATE:
            return self.rate
        assert which == module.POSITION
        return self.positions.pop(0) if self.positions else 0.0

    def read(self) -> tuple[bool, np.ndarray | None]:
        time.sleep(self.pause)
        value = self.script.pop(0) if self.script else None
        return (False, None) if value is None else (True, np.full((40, 48, 3), (value, 0, 9), np.uint8))

    def release(self) -> None:
        self.released = True


def test_a_file_gives_every_frame_in_order_with_its_time(tmp_path: Path) -> None:
    file = tmp_path / "clip.avi"
    file.touch()
    capture = FakeCapture([1, 2, 3])
    frames = list(Camera(str(file), open_capture=lambda source: capture).frames(Event()))
    assert [(f.index, f.time) for f in frames] == [(0, 0.0), (1, 0.1), (2, 0.2)]
    assert [f.image[0, 0].tolist() for f in frames] == [[9, 0, 1], [9, 0, 2], [9, 0, 3]]  # RGB
    assert frames[0].image.flags.c_contiguous
    assert capture.released


@pytest.mark.parametrize(
    ("rate", "positions", "times"),
    [
        (30.0, [0, 33, 100, 2100], [0, 0.033, 0.1, 2.1]),  # a phone, whose rate varies
        (30.0, [500, 540, 700, 800], [0, 0.04, 0.2, 0.3]),  # cut out of a longer one
        (10.0, [], [0, 0.1, 0.2, 0.3]),
        (10.0, [0, 0, 0, 900], [0, 0.1, 0.2, 0.9]),
        (10.0, [0, math.nan, 300, 200], [0, 0.1, 0.3, 0.4]),
        (0.0, [], [0, 0, 0, 0]),
        (math.nan, [0, 10, 20, 30], [0, 0.01, 0.02, 0.03]),
        (math.inf, [], [0, 0, 0, 0]),
    ],
)
def test_a_frame_of_a_file_says_when_it_was_taken(
    tmp_path: Path, rate: float, positions: list[float], times: list[float]
) -> None:
    file = tmp_path / "clip.mp4"
    file.touch()
    capture = FakeCapture([1, 2, 3, 4], rate=rate, positions=positions)
    frames = Camera(str(file), open_capture=lambda source: capture).frames(Event())
    assert [f.time for f in frames] == pytest.approx(times)


def test_a_live_source_gives_the_newest_frame() -> None:
    capture = FakeCapture([1], pause=0.0)
    frames = Camera(0, open_capture=lambda source: capture).frames(Event())
    assert next(frames).index == 0
    capture.script = list(range(2, 100))
    time.sleep(0.2)  # a slow network; meanwhile the camera went on
    frames.close()
    slot = module._Slot()
    for index in range(5):
        slot.put(module.Frame(index, 0.0, np.zeros((1, 1, 3), np.uint8)))
    taken = slot.take(0)
    assert taken is not None
    assert taken.index == 4
    assert slot.take(0) is None


def test_a_camera_that_vanishes_is_waited_for_and_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(module, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(module, "LONGEST_WAIT", 0.04)
    closed = FakeCapture([], opened=False)
    captures = [FakeCapture([1]), closed, closed, closed, closed, FakeCapture([2, 3], pause=0.01), FakeCapture([4], pause=0.01)]
    made = []

    def open_capture(source: str | int) -> FakeCapture:
        waits.append(time.monotonic())
        made.append(captures.pop(0) if captures else FakeCapture([], opened=False))
        return made[-1]

    caplog.set_level(logging.INFO, "acne_edge")
    seen = []
    stop = Event()
    for frame in Camera("7", open_capture=open_capture).frames(stop):
        seen.append(int(frame.image[0, 0, 2]))
        if seen[-1] == 4:
            stop.set()
    assert seen[-1] == 4
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "camera 7: gives no picture; is it plugged in and free? Trying again until it does"
    assert lines[1].startswith("camera 7: back after")
    assert all(capture.released for capture in made)
    gaps = np.diff(waits[1:6])
    assert gaps[1] > gaps[0] * 0.9  # 0.01, 0.02, 0.04, 0.04
    assert gaps[2] >= 0.04


def test_a_stop_ends_a_live_source_that_gives_nothing() -> None:
    stop = Event()
    frames = Camera("rtsp://nowhere/", open_capture=lambda source: FakeCapture([], opened=False)).frames(stop)
    stop.set()
    assert list(frames) == []


def test_an_error_of_the_reader_is_raised_to_the_caller() -> None:
    def broken(source: str | int) -> FakeCapture:
        raise RuntimeError("driver")

    with pytest.raises(RuntimeError, match="driver"):
        next(Camera(0, open_capture=broken).frames(Event()))


@pytest.mark.parametrize(
    ("source", "live"), [("0", True), (2, True), ("rtsp://cam/1", True), ("/dev/video0", True), ("a.mp4", False)]
)
def test_what_is_live(source: str | int, live: bool) -> None:
    assert Camera(source, open_capture=lambda source: None).live is live


def test_without_opencv_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError, match=r"acne-edge\[camera\]"):
        Camera(0)


def test_the_filter_answers_a_step_as_a_low_pass_does() -> None:
    smoother = Smoother(2.0, LABELS)
    assert smoother.value is None
    smoother.update(0.0, prediction(0.0, (1, 0, 0, 0)))
    for step in range(1, 21):
        smoother.update(step / 10, prediction(10.0, (0, 0, 1, 0)))
    value = smoother.value
    assert value is not None
    assert value.count == pytest.approx(10 * (1 - math.exp(-1)))  # after one time constant, however many frames it had
    assert value.grade_probs == pytest.approx((math.exp(-1), 0, 1 - math.exp(-1), 0))
    assert value.grade == Grade(2, "severe", "severe")


def test_after_a_pause_the_past_has_no_weight_and_tau_0_has_no_memory() -> None:
    for tau, pause in ((1.0, 40.0), (0.0, 0.1)):
        smoother = Smoother(tau, LABELS)
        smoother.update(0.0, prediction(50.0, (0, 0, 0, 1)))
        smoother.update(pause, prediction(1.0, (1, 0, 0, 0)))
        assert smoother.value is not None
        assert smoother.value.count == pytest.approx(1.0)


@given(
    st.lists(st.tuples(st.floats(0, 10), st.floats(0, 65), st.lists(st.floats(0.01, 1), min_size=4, max_size=4)), min_size=1),
    st.floats(0, 100),
)
def test_smoothed_probabilities_sum_to_one_and_counts_stay_in_range(steps: list, tau: float) -> None:
    smoother, now = Smoother(tau, LABELS), 0.0
    for wait, count, weights in steps:
        now += wait
        smoother.update(now, prediction(count, tuple(w / sum(weights) for w in weights)))
    value = smoother.value
    assert value is not None
    assert sum(value.grade_probs) == pytest.approx(1)
    assert min(c for _, c, _ in steps) - 1e-6 <= value.count <= max(c for _, c, _ in steps) + 1e-6


def test_a_negative_time_constant_is_refused() -> None:
    with pytest.raises(UsageError, match="smoothing"):
        Smoother(-1.0, LABELS)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A drawn video: five frames of a face, with two dark ones in the middle."""
    cv2 = pytest.importorskip("cv2", reason="needs the extra camera")
    file = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (240, 280))
    assert writer.isOpened()
    face = drawing.face(width=240, height=280)
    for dark in (False, False, True, True, False):
        writer.write(np.ascontiguousarray((face // 12 if dark else face)[..., ::-1]))
    writer.release()
    return file


def test_a_drawn_video_is_predicted_frame_by_frame(grader: AcneGrader, clip: Path) -> None:
    results = list(grader.stream(str(clip), smoothing=1.0))
    assert [(r.index, round(r.time, 3)) for r in results] == [(0, 0.0), (1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4)]
    assert [r.result.ok for r in results] == [True] * 5
    assert results[1].smoothed == results[2].smoothed == results[3].smoothed  # the dark frames do not enter
    for result in results:
        schema.check(json.loads(json.dumps(result.to_dict())))
    record = json.loads(json.dumps(results[2].to_dict()))
    assert record["schema"] == "1.1"
    assert "too_dark" in record["quality"]["reasons"]
    assert record["frame"] == {"index": 2, "time": 0.2}
    assert set(record["smoothed"]) == {"count", "grade", "grade_probs"}


def test_what_is_unfamiliar_does_not_enter(grader: AcneGrader, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predict = AcneGrader.try_predict
    monkeypatch.setattr(AcneGrader, "try_predict", lambda *args: replace(predict(*args), abstained="unfamiliar"))
    assert [r.smoothed for r in grader.stream(str(clip))] == [None] * 5


def test_a_poor_frame_can_be_refused_before_inference(clip: Path) -> None:
    with AcneGrader.load(on_poor_quality="fail") as strict:
        records = [r.to_dict() for r in strict.stream(clip)]
    assert [r.get("error", {}).get("code") for r in records] == [None, None, "poor_quality", "poor_quality", None]


@pytest.mark.parametrize("name", ["gone.avi", "text.avi"])
def test_a_file_that_is_no_video_is_refused(grader: AcneGrader, tmp_path: Path, name: str) -> None:
    pytest.importorskip("cv2", reason="needs the extra camera")
    (tmp_path / "text.avi").write_text("not a video")
    with pytest.raises(ImageDecodeError, match="no such video"):
        list(grader.stream(tmp_path / name))


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "acne_edge", "watch", *map(str, arguments)]


def test_the_command_prints_a_line_a_frame(clip: Path) -> None:
    done = subprocess.run(command("--camera", clip), capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert [json.loads(line)["frame"]["index"] for line in done.stdout.splitlines()] == [0, 1, 2, 3, 4]


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.path.exists("/dev/video99"), reason="wants a camera that is not there"
)
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_the_command_waits_for_a_camera_and_stops_cleanly_on_a_signal(how: signal.Signals) -> None:
    pytest.importorskip("cv2", reason="needs the extra camera")
    with subprocess.Popen(command("--camera", 99), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        process.send_signal(how)
        out, err = process.communicate(timeout=60)
    assert line == "acne-edge: camera 99: gives no picture; is it plugged in and free? Trying again until it does\n"
    assert (process.returncode, out, err) == (0, "", "")


class NetworkCamera(BaseHTTPRequestHandler):
    """Motion JPEG over HTTP: hangs up after thirty frames, and takes the next call."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for value in range(30):
            frame = drawing.encode(np.full((64, 80, 3), (40 + value, 0, 9), np.uint8), "JPEG")
            self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(frame) + frame + b"\r\n")
            time.sleep(0.02)

    def log_message(self, *_: object) -> None:
        pass


def test_a_network_camera_that_hangs_up_is_called_again(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("cv2", reason="needs the extra camera")
    caplog.set_level(logging.INFO, "acne_edge")
    stop, after = Event(), []
    with ThreadingHTTPServer(("127.0.0.1", 0), NetworkCamera) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/stream.mjpg"
        limit = Timer(60, stop.set)
        limit.start()
        for frame in Camera(url).frames(stop):
            if len(caplog.records) >= 2:  # gone, and back
                after.append(frame)
            if len(after) == 2:
                stop.set()
        limit.cancel()
        server.shutdown()
    said = caplog.messages
    assert said[0].startswith(f"{url}: gives no picture")
    assert said[1].startswith(f"{url}: back after")
    assert [f.image.shape for f in after] == [(64, 80, 3)] * 2
    assert 29 < after[0].index < after[1].index  # counted on


@pytest.mark.parametrize("arguments", [(), (".", "--camera", "0")])
def test_the_command_wants_a_directory_or_a_camera(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "acne-edge: watch needs a directory or --camera SOURCE\n"


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_thousands_of_frames_leave_memory_and_descriptors_as_they_were() -> None:
    pytest.importorskip("onnx", reason="needs the extra export to draw a model")
    done = subprocess.run(
        [sys.executable, "-m", "tests.soak", "5000"], capture_output=True, text=True, cwd=Path(__file__).parents[1], timeout=1800
    )
    assert done.returncode == 0, done.stdout + done.stderr
