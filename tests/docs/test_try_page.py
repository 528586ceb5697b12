"""The page that counts in a browser: the stages give what Python's give, nothing leaves it, and it works without a network."""

from __future__ import annotations

import base64
import json
import runpy
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
from PIL import Image

from acne_edge import AcneGrader, framing, preprocess, quality
from acne_edge.bench.photograph import drawn_photograph
from acne_edge.catalogue import LANGUAGES
from acne_edge.evaluation.perturbations import border, letterbox, screenshot
from acne_edge.grading import HAYASHI, CountDecoding, Familiarity, Uncertainty, interpret
from acne_edge.positions import locate
from tests import browser, drawing
from tests.docs.pages import ROOT

SOURCE = ROOT / "docs" / "try"
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "try-page"))
SIZES = ((576, 640), (256, 256), (300, 200), (255, 700), (700, 333), (128, 128), (40, 600))
ROUNDED = 0 if int(PIL.__version__.split(".")[0]) >= 13 else 1  # Pillow before 13 may take the passes in another order
CLOSE, TYPICAL = 0.1, 0.05  # lesions; INT8 kernels differ by as much between processors, and between a runtime's own settings


class Served:
    """A folder on this machine's own port, and the paths that were asked of it."""

    def __init__(self, folder: Path) -> None:
        self.paths: list[str] = []
        asked = self.paths

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, form: str, *values: object) -> None:
                asked.append(self.path)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.address = f"http://localhost:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.up = True

    def stop(self) -> None:
        """Nobody answers any more."""
        if self.up:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
        self.up = False


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser.browser() as found:
        yield found


@pytest.fixture(scope="module")
def stages(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A page that calls the stages: `run(MODULE, FUNCTION, ARGUMENTS)`."""
    folder = tmp_path_factory.mktemp("stages")
    for module in SOURCE.glob("*.js"):
        (folder / module.name).write_text(module.read_text())
    (folder / "index.html").write_text("<!doctype html><meta charset=utf-8><title>stages</title>")
    served = Served(folder)
    page = chromium.new_page()
    page.goto(served.address)
    try:
        yield page
    finally:
        page.close()
        served.stop()


def run(page: Any, module: str, function: str, *arguments: Any) -> Any:
    """A stage's result in the browser; arrays [H, W, 3] go there and come back as images."""
    given = [
        {"rgb": base64.b64encode(a.tobytes()).decode(), "width": a.shape[1], "height": a.shape[0]}
        if isinstance(a, np.ndarray)
        else a
        for a in arguments
    ]
    result = page.evaluate(
        """async ({ module, name, given }) => {
            const unpacked = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
            const values = given.map((v) => (v?.rgb === undefined ? v : { ...v, data: unpacked(v.rgb) }));
            const found = (await import(`/${module}.js`))[name](...values);
            const image = found?.pixels ?? found;
            if (!(image?.data instanceof Uint8Array)) return found;
            let text = "";
            const step = 8192, bytes = image.data;
            for (let i = 0; i < bytes.length; i += step) text += String.fromCharCode(...bytes.subarray(i, i + step));
            return { ...found, width: found.width, height: found.height, size: [image.width, image.height], rgb: btoa(text) };
        }""",
        {"module": module, "name": function, "given": given},
    )
    if isinstance(result, dict) and "rgb" in result:
        width, height = result["size"]
        result["pixels"] = np.frombuffer(base64.b64decode(result["rgb"]), np.uint8).reshape(height, width, 3)
    return result


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_resizing_is_pillows(stages: Any, size: tuple[int, int]) -> None:
    picture = np.random.default_rng(size).integers(0, 256, (size[1], size[0], 3), np.uint8)
    for width, height in ((256, 256), (384, 200)):
        found = run(stages, "pixels", "resize", picture, width, height)["pixels"].astype(int)
        assert np.abs(found - preprocess.resize(picture, height, width)).max() <= ROUNDED


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_quality_is_the_same(stages: Any, size: tuple[int, int]) -> None:
    face = drawing.face(9, 3, *size)
    soft = Image.fromarray(face).resize((20, 20)).resize(size)
    noise = np.random.default_rng(size).integers(0, 256, (*size[::-1], 3), np.uint8)
    for picture in (face, face // 5, np.minimum(face, 127) * 2, np.asarray(soft), np.full_like(face, 130), noise):
        found, expected = run(stages, "quality", "assess", picture), quality.assess(picture)
        assert found.pop("reasons") == list(expected.reasons)
        assert found == pytest.approx({name: getattr(expected, name) for name in found}, rel=1e-9 if ROUNDED == 0 else 0.02)


AROUND = {
    "nothing": lambda picture, rng: picture,
    "black": border(0.1, (0, 0, 0)), "grey": border(0.7, (128, 128, 128)),
    "letterbox": letterbox(16, 9), "pillarbox": letterbox(9, 20),
    "screen": screenshot(dark=False), "dark screen": screenshot(dark=True),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("around", AROUND)
def test_the_same_is_cut_off(stages: Any, around: str) -> None:
    picture = AROUND[around](Image.fromarray(drawing.face(12, 5, 420, 500)), np.random.default_rng(1))
    pixels = np.asarray(picture)
    expected = framing.find(pixels)
    assert (expected != (0, 0, *picture.size)) == (around != "nothing")
    assert run(stages, "framing", "find", pixels) == expected._asdict()


@pytest.mark.parametrize("around", ["nothing", "grey"])
def test_what_is_left_are_the_pixels_inside(stages: Any, around: str) -> None:
    pixels = np.asarray(AROUND[around](Image.fromarray(drawing.face(12, 6, 300, 320)), np.random.default_rng(2)))
    left, top, right, bottom = box = framing.find(pixels)
    found = run(stages, "framing", "frame", pixels)
    assert (found["pixels"] == pixels[top:bottom, left:right]).all()
    assert found["crop"] == (box._asdict() if around == "grey" else None)
    assert (found["width"], found["height"]) == (pixels.shape[1], pixels.shape[0])


def test_interpretation_is_the_same(stages: Any) -> None:
    rng = np.random.default_rng(7)
    for turn in range(60):
        counts = rng.dirichlet(np.full(66, rng.choice([0.02, 0.3, 3]))).astype(np.float32).astype(np.float64)
        grades = rng.dirichlet(np.full(4, 0.5)).astype(np.float32).astype(np.float64)
        decoding = CountDecoding(("mean", "median")[turn % 2], float(rng.choice([0, 0.3])), float(rng.choice([0, 0.4, 1])))
        uncertainty = Uncertainty(0.9, rng.uniform(0.5, 2), rng.uniform(0.5, 1), rng.uniform(0.2, 1), rng.choice([0, 0.6]))
        if turn % 2:
            uncertainty = replace(
                uncertainty, count_quantile=tuple(rng.uniform(0.2, 1, 4)), grade_quantile=tuple(rng.uniform(0.2, 1, 4))
            )
        familiarity, far = (Familiarity(rng.uniform(0.5, 3)), rng.uniform(0, 4)) if turn % 3 else (None, None)
        expected = interpret(
            grades, counts, 11.5, native=HAYASHI, scale=HAYASHI, decoding=decoding, uncertainty=uncertainty,
            unfamiliarity=far, familiarity=familiarity,
        )  # fmt: skip
        constants = {"scale": {"lower": HAYASHI.lower}, "decoding": vars(decoding), "uncertainty": vars(uncertainty)}
        constants["familiarity"] = familiarity and vars(familiarity)
        found = run(stages, "grading", "interpret", grades.tolist(), counts.tolist(), 11.5, constants, far)
        assert found["unfamiliarity"] == (None if far is None else pytest.approx(expected.unfamiliarity))
        assert found["count"] == pytest.approx(expected.count, abs=1e-9)
        assert found["gradeProbs"] == pytest.approx(expected.grade_probs, abs=1e-9)
        assert (tuple(found["interval"]), found["grade"], tuple(found["gradeSet"]), found["abstained"]) == (
            expected.interval, expected.grade, expected.grade_set, expected.abstained,
        )  # fmt: skip


def test_outputs_that_are_no_numbers_are_refused(stages: Any) -> None:
    constants = {"scale": {"lower": [0, 1]}, "decoding": vars(CountDecoding()), "uncertainty": vars(Uncertainty())}
    with pytest.raises(Exception, match="not finite numbers"):
        run(stages, "grading", "interpret", [0.5, 0.5], [float("nan"), 1.0], 0.0, constants)


def test_positions_are_the_same(stages: Any) -> None:
    rng = np.random.default_rng(8)
    for height, width in ((32, 32), (5, 9), (1, 1), (16, 12)):
        cells = (rng.uniform(0, 1, (height, width)) ** 6 * 1.4 - 0.01).astype(np.float32)
        expected = locate(cells, 0.295)
        found = run(stages, "positions", "locate", [float(c) for c in cells.ravel()], width, height, 0.295)
        assert [(lesion["x"], lesion["y"], lesion["score"]) for lesion in found] == [tuple(lesion) for lesion in expected]


def test_texts_are_in_all_languages() -> None:
    texts = [json.loads((SOURCE / f"texts.{language}.json").read_text("utf-8")) for language in LANGUAGES]
    assert [list(one) for one in texts] == [list(texts[0])] * len(texts)
    page = (SOURCE / "index.html").read_text() + (SOURCE / "app.js").read_text()
    used = [key for key in texts[0] if key in page or key.startswith("try.failed.")]
    assert used == list(texts[0])


def test_a_folder_with_other_files_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(SystemExit, match="holds other files"):
        SCRIPT["build"](tmp_path, tmp_path / "none.tgz")
    assert (tmp_path / "thesis.txt").exists()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page as it is published; skips where npm cannot get ONNX Runtime for the web."""
    try:
        archive = SCRIPT["fetch"]()
    except SystemExit as error:
        pytest.skip(str(error))
    folder: Path = tmp_path_factory.mktemp("site") / "try"
    sizes = SCRIPT["build"](folder, archive)
    assert sum(sizes.values()) <= 12_000_000
    return folder


class Tab:
    """The published page, open in a browser of its own."""

    def __init__(self, chromium: Any, folder: Path) -> None:
        self.served = Served(folder)
        self.context = chromium.new_context(locale="en-GB", viewport={"width": 390, "height": 844})
        self.requests: list[str] = []
        self.console: list[str] = []
        self.context.on("request", lambda request: self.requests.append(request.url))
        self.page = self.context.new_page()
        self.page.on(
            "console", lambda message: self.console.append(message.text) if message.type in ("error", "warning") else None
        )
        self.page.on("pageerror", lambda error: self.console.append(str(error)))

    def open(self) -> None:
        self.page.goto(self.served.address)
        self.page.wait_for_selector("body[data-state=ready]", timeout=60_000)

    def predict(self, data: bytes) -> Any:
        """What the worker finds in the bytes of a file."""
        return self.page.evaluate(
            """async (text) => {
                const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
                const result = await (await import("/app.js")).predict(new Blob([bytes]));
                return result && { ...result, input: Array.from(result.input) };
            }""",
            base64.b64encode(data).decode(),
        )

    def close(self) -> None:
        self.context.close()
        self.served.stop()


@pytest.fixture(scope="module")
def tab(chromium: Any, built: Path) -> Iterator[Tab]:
    tab = Tab(chromium, built)
    try:
        tab.open()
        yield tab
    finally:
        tab.close()


@pytest.fixture(scope="module")
def grader() -> Iterator[AcneGrader]:
    """The page withholds the grade of a drawing, as the SDK does unless told otherwise."""
    with AcneGrader.load(backend="onnxruntime", on_unfamiliar="abstain") as grader:
        yield grader


PICTURES = {
    "face": drawing.face(), "many": drawing.face(60, 1), "none": drawing.face(0, 2), "small": drawing.face(20, 3, 200, 240),
    "large": drawing.face(30, 4, 1500, 1800), "wide": drawing.face(10, 5, 900, 400),
    "blank": np.full((300, 300, 3), 128, np.uint8),
    "framed": np.asarray(AROUND["screen"](Image.fromarray(drawing.face(12, 5, 420, 500)), np.random.default_rng(1))),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", PICTURES)
def test_the_same_pixels_give_the_same_result(tab: Tab, grader: AcneGrader, name: str) -> None:
    picture = PICTURES[name]
    found, expected = tab.predict(drawing.encode(picture)), grader.predict(picture)
    spec, crop = grader.manifest.input, expected.image.crop
    seen = preprocess.pack(
        [picture[crop.top : crop.bottom, crop.left : crop.right] if crop else picture], spec.height, spec.width
    )
    assert np.abs(np.array(found["input"]) - seen.ravel()).max() <= ROUNDED
    assert found["count"] == pytest.approx(expected.count, abs=CLOSE)
    assert found["gradeProbs"] == pytest.approx(expected.grade_probs, abs=0.02)
    assert (found["grade"], found["abstained"]) == (expected.grade.index, expected.abstained)
    assert found["interval"] == pytest.approx([expected.count_interval.low, expected.count_interval.high], abs=1)
    assert found["quality"]["reasons"] == list(expected.quality.reasons)
    assert found["image"] == {"width": expected.image.width, "height": expected.image.height, "crop": crop and crop._asdict()}
    assert len(found["lesions"]) == pytest.approx(len(expected.lesions), abs=1)
    there = [[lesion["x"], lesion["y"], lesion["score"]] for lesion in found["lesions"]]
    for lesion in expected.lesions[:3]:  # those of nearly the same score may change places
        assert any(one == pytest.approx(list(lesion), abs=0.05) for one in there)


@pytest.mark.slow
def test_it_counts_the_same_as_far_as_the_page_of_the_documentation_says(tab: Tab, grader: AcneGrader) -> None:
    """The page says how far counts lie apart, from the same pixels and from JPEGs, which browsers decode otherwise."""
    apart: dict[str, list[float]] = {"PNG": [], "JPEG": []}
    for seed in range(8):
        picture = drawing.face(10 * seed, 20 + seed, 1000 + 100 * seed, 1200)
        for kind, differences in apart.items():
            data = drawing.encode(picture, kind, **({"quality": 90} if kind == "JPEG" else {}))
            differences.append(abs(tab.predict(data)["count"] - grader.predict(data).count))
    for kind, differences in apart.items():
        print(f"{kind}: median {np.median(differences):.3f}, largest {max(differences):.3f} lesions")
    assert np.median(apart["PNG"]) <= TYPICAL
    assert max(apart["PNG"]) <= CLOSE
    assert max(apart["JPEG"]) <= 0.4


@pytest.mark.slow
def test_it_takes_as_long_as_the_page_of_the_documentation_says(tab: Tab, grader: AcneGrader) -> None:
    """Prints the page's own figures for a camera's photograph, beside the SDK's on the same machine."""
    data, times = drawn_photograph(), []
    tab.page.reload()  # from the second load on, the network runs in several threads
    tab.page.wait_for_selector("body[data-state=ready]", timeout=60_000)
    threads = tab.page.evaluate("self.crossOriginIsolated ? navigator.hardwareConcurrency : 1")
    for _ in range(12):
        found, begin = tab.predict(data), time.perf_counter()
        grader.predict(data)
        times.append((found["timings"]["total"], found["timings"]["inference"], 1000 * (time.perf_counter() - begin)))
    total, inference, sdk = np.median(times[2:], axis=0)
    print(f"browser {total:.0f} ms, {inference:.0f} of them in the network, threads: {threads}; SDK {sdk:.0f} ms")
    assert total <= 3000


@pytest.mark.slow
def test_a_file_that_is_no_photograph_is_refused(tab: Tab) -> None:
    assert tab.predict(b"this is no image") is None
    assert tab.page.inner_text("#status") == "This browser cannot read the file. Take a JPEG or a PNG."
    assert tab.predict(drawing.encode(np.zeros((20, 400, 3), np.uint8))) is None
    assert tab.page.inner_text("#status").startswith("The picture has 400 x 20 pixels.")


@pytest.fixture(scope="module")
def knowing(chromium: Any, built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """The page with a manifest by which drawings are familiar, and close-ups."""
    folder = tmp_path_factory.mktemp("knowing") / "try"
    shutil.copytree(built, folder)
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    manifest["familiarity"]["threshold"], manifest["close_up"]["threshold"] = 1e6, 0
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    tab = Tab(chromium, folder)
    try:
        tab.open()
        yield tab
    finally:
        tab.close()


@pytest.mark.slow
def test_a_drawing_is_not_counted(tab: Tab, tmp_path: Path) -> None:
    file = tmp_path / "face.png"
    file.write_bytes(drawing.encode(PICTURES["many"]))
    tab.page.set_input_files("#file", file)
    tab.page.wait_for_selector("#result:not([hidden])")
    assert tab.page.inner_text("#grade") == "Grade: no grade (unfamiliar)"
    assert not any(character.isdigit() for character in tab.page.inner_text("#count") + tab.page.inner_text("#range"))
    assert tab.page.inner_text("#marks") == ""
    assert "not like the photographs that the model learned" in tab.page.inner_text("#advice")
    assert "good enough" not in tab.page.inner_text("#advice")


@pytest.mark.slow
def test_people_see_count_rings_and_advice_in_both_languages(knowing: Tab, grader: AcneGrader, tmp_path: Path) -> None:
    tab, file = knowing, tmp_path / "face.png"
    file.write_bytes(drawing.encode(PICTURES["many"]))
    expected = grader.predict(file)
    tab.page.set_input_files("#file", file)
    tab.page.wait_for_selector("#result:not([hidden])")
    assert tab.page.inner_text("#count") == str(expected.rounded_count)
    assert "Brow or chin lies outside" in tab.page.inner_text("#advice")
    ring = tab.page.evaluate(
        """({ x, y }) => {
            const canvas = document.getElementById("picture"), context = canvas.getContext("2d");
            const radius = 0.022 * Math.min(canvas.width, canvas.height);
            return Array.from(context.getImageData(x * canvas.width + radius, y * canvas.height, 1, 1).data.slice(0, 3));
        }""",
        {"x": expected.marks[0].x, "y": expected.marks[0].y},
    )
    assert min(ring) > 200, "the line of a ring is white"
    tab.page.click("#language")
    tab.page.wait_for_selector("html:lang(zh)")
    assert tab.page.inner_text("h1") == "计数照片中的痤疮皮损"
    assert "等级" in tab.page.inner_text("#grade")
    assert "visit." not in tab.page.inner_text("body")
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.slow
def test_an_empty_picture_has_no_grade(tab: Tab, tmp_path: Path) -> None:
    file = tmp_path / "blank.png"
    file.write_bytes(drawing.encode(PICTURES["blank"]))
    tab.page.evaluate("document.getElementById('result').hidden = true")
    tab.page.set_input_files("#file", file)
    tab.page.wait_for_selector("#result:not([hidden])")
    assert not tab.page.is_visible("table")
    assert not any(character.isdigit() for character in tab.page.inner_text("#count"))


@pytest.mark.slow
def test_it_works_without_a_network_and_asks_nobody_else(chromium: Any, built: Path, grader: AcneGrader) -> None:
    tab = Tab(chromium, built)
    try:
        tab.open()
        tab.page.evaluate("navigator.serviceWorker.ready.then(() => null)")
        tab.page.wait_for_function("navigator.serviceWorker.controller !== null")
        tab.served.stop()
        tab.open()
        assert tab.page.evaluate("crossOriginIsolated"), "so that the network may use threads"
        expected = grader.predict(PICTURES["face"])
        assert tab.predict(drawing.encode(PICTURES["face"]))["count"] == pytest.approx(expected.count, abs=CLOSE)
        assert {url[: len(tab.served.address)] for url in tab.requests if not url.startswith("blob:")} == {tab.served.address}
        assert tab.console == []
    finally:
        tab.close()


@pytest.mark.slow
def test_the_page_may_ask_nobody_else(tab: Tab) -> None:
    refused = tab.page.evaluate("fetch('http://127.0.0.1:9/face').then(() => '', (error) => error.name)")
    assert refused == "TypeError"
    assert any("Content Security Policy" in text for text in tab.console)
