"""The page in a browser: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import sleep
from typing import Any, TypeAlias

import pytest

from tests import drawing
from tests.serve.conftest import TOKEN, Client, Serve, rows, wait_for

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")
Open: TypeAlias = "Callable[..., Any]"
EDGE = 0.02  # of the photograph, that a pointer may be off


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        arguments = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    """Open the page of a server. Whatever it complains of, and whatever it asks of another machine, fails the test."""
    contexts, wrong = [], []

    def start(address: Client | str, *, size: tuple[int, int] = (1280, 800), like: Any = None, **options: Any) -> Any:
        url = address if isinstance(address, str) else f"{address.base_url}?token={TOKEN}"
        viewport = {"width": size[0], "height": size[1]}
        context = like.context if like else browser.new_context(viewport=viewport, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "console", lambda m: wrong.append(m.text) if m.type == "error" and "Failed to load resource" not in m.text else None
        )
        page.on("request", lambda r: None if r.url.startswith(("http://localhost:", "blob:")) else wrong.append(r.url))
        page.set_default_timeout(15_000)
        page.goto(url)
        page.wait_for_selector("body.ready")
        return page

    yield start
    for context in contexts:
        context.close()
    assert wrong == []


def at(page: Any, x: float, y: float) -> tuple[float, float]:
    """Where a place of the photograph is on the screen."""
    box = page.locator("#picture").bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def choose(page: Any, name: str) -> None:
    page.locator(f'.item[title="{name}"]').click()
    page.wait_for_selector(f'#name[title="{name}"]')


def saved(page: Any) -> None:
    page.wait_for_selector('#saved[data-status="saved"]')


def count(page: Any) -> str:
    return page.locator("#human-count").inner_text()


def kept(client: Client, name: str, reader: str = "") -> dict:
    return client.study.store.reading(client.study.store.named(name).sha256, reader)


def test_what_is_dropped_appears_with_its_count(serve: Serve, open_page: Open, folder: Path, jpeg: bytes) -> None:
    page = open_page(serve(folder))
    page.wait_for_selector(".item")
    content = base64.b64encode(jpeg).decode()
    transfer = page.evaluate_handle(
        """(content) => {
            const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], "dropped.jpg", {type: "image/jpeg"}));
            transfer.items.add(new File(["none"], "letter.txt", {type: "text/plain"}));
            return transfer;
        }""",
        content,
    )
    page.dispatch_event("body", "dragenter", {"dataTransfer": transfer})
    assert page.locator("#drop").is_visible()
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    page.wait_for_selector('#name[title="dropped.jpg"]')
    assert (folder / "dropped.jpg").read_bytes() == jpeg
    assert int(page.locator("#machine-count").inner_text()) > 0
    assert re.fullmatch(r"90 % interval: \d+ to \d+.*", page.locator("#machine-interval").inner_text())
    assert page.locator("#ladder button.theirs").count() == 1
    assert "letter.txt is no photograph" in page.locator("#toasts").inner_text()


@pytest.mark.slow
def test_marks_are_added_removed_moved_undone_and_kept(serve: Serve, open_page: Open, folder: Path) -> None:
    client = serve(folder)
    page = open_page(client)
    choose(page, "b.jpg")
    machine = int(page.locator("#machine-count").inner_text())
    assert count(page) == "\N{EN DASH}"
    page.mouse.click(*at(page, 0.05, 0.05))
    saved(page)
    assert count(page) == str(len(kept(client, "b.jpg").marks))
    marks = len(kept(client, "b.jpg").marks)
    assert page.locator("#machine-count").inner_text() == str(machine)  # beside, never over

    page.mouse.move(*at(page, 0.05, 0.05))
    page.mouse.down()
    page.mouse.move(*at(page, 0.3, 0.1), steps=4)
    page.mouse.move(*at(page, 0.5, 0.95), steps=4)
    page.mouse.up()
    wait_for(lambda: kept(client, "b.jpg").marks[-1][1] > 0.9)
    x, y, score = kept(client, "b.jpg").marks[-1]
    assert (x, y) == (pytest.approx(0.5, abs=EDGE), pytest.approx(0.95, abs=EDGE))
    assert score is None
    assert count(page) == str(marks)

    page.mouse.click(*at(page, 0.5, 0.95))
    wait_for(lambda: len(kept(client, "b.jpg").marks) == marks - 1)
    page.click("#undo")
    page.click("#undo")
    wait_for(lambda: kept(client, "b.jpg").marks[-1][0] == pytest.approx(0.05, abs=EDGE))
    page.click("#redo")
    wait_for(lambda: kept(client, "b.jpg").marks[-1][0] == pytest.approx(0.5, abs=EDGE))
    page.fill("#note", "old scar")
    wait_for(lambda: kept(client, "b.jpg").note == "old scar")

    page.reload()
    page.wait_for_selector('#name[title="b.jpg"]')
    assert count(page) == str(marks)
    assert page.locator("#note").input_value() == "old scar"
    assert page.locator('.item[title="b.jpg"]').get_attribute("data-state") == "corrected"


@pytest.mark.slow
def test_a_grade_and_a_count_of_ones_own(serve: Serve, open_page: Open, folder: Path) -> None:
    client = serve(folder)
    page = open_page(client)
    choose(page, "a.jpg")
    page.fill("#typed", "33")
    page.press("#typed", "Tab")
    assert (count(page), page.locator("#human-grade").inner_text()) == ("33", "severe")
    page.click("#ladder button:nth-child(4)")
    saved(page)
    wait_for(lambda: (kept(client, "a.jpg").count, kept(client, "a.jpg").grade) == (33, 3))
    page.click("#ladder button:nth-child(4)")
    assert page.locator("#human-grade").inner_text() == "severe"


@pytest.mark.slow
def test_everything_by_keyboard(serve: Serve, open_page: Open, folder: Path) -> None:
    client = serve(folder)
    rows(client, 3)  # so that there is a next one
    page = open_page(client)
    page.wait_for_selector("#tools:not([hidden])")
    first = page.locator("#name").get_attribute("title")
    keys = page.keyboard
    keys.press("Tab")  # the link that skips to the photograph
    keys.press("Enter")
    keys.press("Tab") if page.evaluate("document.activeElement.id") != "stage" else None
    assert page.evaluate("document.activeElement.id") == "stage"
    keys.press("Shift+ArrowLeft")
    keys.press("Enter")
    wait_for(lambda: kept(client, first).marks is not None)
    before = kept(client, first).marks
    keys.press("m")
    for _ in range(3):
        keys.press("Shift+ArrowDown")
    keys.press("Enter")
    wait_for(lambda: kept(client, first).marks[-1][1] > before[-1][1] + 0.05)
    assert kept(client, first).marks[-1][0] == pytest.approx(before[-1][0], abs=1e-6)
    assert "Moved" in page.locator("#live").inner_text()
    keys.press("Delete")
    wait_for(lambda: len(kept(client, first).marks) == len(before) - 1)
    keys.press("z")
    wait_for(lambda: len(kept(client, first).marks) == len(before))
    keys.press("Shift+Z")
    wait_for(lambda: len(kept(client, first).marks) == len(before) - 1)
    width = page.locator("#picture").bounding_box()["width"]
    keys.press("+")
    assert page.locator("#picture").bounding_box()["width"] > 1.3 * width
    keys.press("0")
    assert page.locator("#picture").bounding_box()["width"] == pytest.approx(width, abs=1)
    keys.press(".")
    if len(before) > 1:
        assert "Mark 1 of" in page.locator("#live").inner_text()
    keys.press("d")
    page.wait_for_selector(f'#name:not([title="{first}"])')
    assert kept(client, first).done
    keys.press("p")
    page.wait_for_selector(f'#name[title="{first}"]')
    keys.press("?")
    assert page.locator("#help").is_visible()
    keys.press("Escape")
    keys.press("/")
    keys.type("below")
    wait_for(lambda: page.locator(".item").count() == 1)


@pytest.mark.slow
def test_tab_reaches_every_part_and_shows_where_it_is(serve: Serve, open_page: Open, folder: Path) -> None:
    page = open_page(serve(folder))
    page.wait_for_selector("#tools:not([hidden])")
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        name, width, style = page.evaluate(
            """() => {
                const { id, dataset, tagName } = document.activeElement;
                const { outlineWidth, outlineStyle } = getComputedStyle(document.activeElement);
                return [id || dataset.filter || tagName, parseFloat(outlineWidth), outlineStyle];
            }"""
        )
        reached.add(name)
        assert name == "BODY" or (width >= 2 and style != "none"), name
    assert {"reader", "choose", "search", "all", "rows", "stage", "zoom-in", "hide", "typed", "note", "confirm"} <= reached


@pytest.mark.slow
def test_marks_are_hidden_and_compared(serve: Serve, open_page: Open, folder: Path) -> None:
    page = open_page(serve(folder))
    choose(page, "below/c.jpg")
    rings = page.locator("#marks circle.line")
    shown = rings.count()
    assert shown > 0
    page.keyboard.press("h")
    assert rings.count() == 0
    page.keyboard.press("h")
    page.mouse.click(*at(page, 0.02, 0.02))
    page.keyboard.press("c")
    assert page.locator("#marks circle.machine:not(.casing)").count() == shown
    assert rings.count() == shown + 1
    assert page.locator("#marks circle.dot").count() == 1  # the reader's own is told apart without colour
    assert page.locator("#legend").is_visible()
    assert "1 added" in page.locator("#human-change").inner_text()


@pytest.mark.slow
def test_a_photograph_that_is_shown_is_not_asked_for_again(serve: Serve, open_page: Open, folder: Path) -> None:
    page = open_page(serve(folder))
    choose(page, "b.jpg")
    held: list[Any] = []
    page.route(re.compile(r"/study/photographs/\d+\?"), lambda route: held.append(route))
    item = page.locator('.item[title="below/c.jpg"]')
    item.click()
    item.click()
    wait_for(lambda: page.evaluate("1") and held)
    assert len(held) == 1
    held.pop().continue_()
    page.wait_for_selector('#name[title="below/c.jpg"]')
    page.mouse.click(*at(page, 0.02, 0.02))
    item.click()
    assert "1 added" in page.locator("#human-change").inner_text()
    saved(page)
    assert held == []


@pytest.mark.slow
@pytest.mark.parametrize(("error", "told"), [("AbortError", "AbortError"), ("NetworkError", "Offline")])
def test_an_answer_that_is_cut_off_is_none(serve: Serve, open_page: Open, folder: Path, error: str, told: str) -> None:
    page = open_page(serve(folder))
    found = page.evaluate(
        """async (error) => {
            const { about, Offline } = await import("/page/js/api.js");
            const real = window.fetch;
            window.fetch = async () => ({ ok: true, json: async () => { throw new DOMException("", error); } });
            const found = await about().catch((error) => (error instanceof Offline ? "Offline" : error.name));
            window.fetch = real;
            return found;
        }""",
        error,
    )
    assert found == told


@pytest.mark.slow
def test_wheel_and_fingers_zoom_and_drag_moves(serve: Serve, open_page: Open, folder: Path) -> None:
    client = serve(folder)
    page = open_page(client, has_touch=True)
    choose(page, "a.jpg")
    picture = page.locator("#picture")
    before = picture.bounding_box()
    page.mouse.move(*at(page, 0.25, 0.25))
    point = at(page, 0.25, 0.25)
    page.mouse.wheel(0, -600)
    wait_for(lambda: picture.bounding_box()["width"] > 1.5 * before["width"])
    assert at(page, 0.25, 0.25) == (pytest.approx(point[0], abs=2), pytest.approx(point[1], abs=2))  # what is under it stays
    x = picture.bounding_box()["x"]
    middle = at(page, 0.27, 0.27)
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] - 60, middle[1], steps=3)
    page.mouse.up()
    assert picture.bounding_box()["x"] == pytest.approx(x - 60, abs=2)
    page.keyboard.press("0")
    touch = page.context.new_cdp_session(page)
    centre = at(page, 0.5, 0.5)
    for kind, reach in (("touchStart", 30), ("touchMove", 60), ("touchMove", 120), ("touchEnd", None)):
        points = [] if reach is None else [{"x": centre[0] - reach, "y": centre[1]}, {"x": centre[0] + reach, "y": centre[1]}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    wait_for(lambda: picture.bounding_box()["width"] > 2 * before["width"])
    assert kept(client, "a.jpg").marks is None  # nothing of this was a correction


@pytest.mark.slow
def test_two_windows_do_not_overwrite_each_other(serve: Serve, open_page: Open, folder: Path) -> None:
    client = serve(folder)
    one = open_page(client)
    choose(one, "b.jpg")
    other = open_page(client, like=one)
    choose(other, "b.jpg")
    one.mouse.click(*at(one, 0.1, 0.1))
    saved(one)
    marks = kept(client, "b.jpg").marks
    other.mouse.click(*at(other, 0.9, 0.1))
    other.wait_for_selector("#conflict:not([hidden])")
    assert kept(client, "b.jpg").marks == marks
    other.click("#keep-mine")
    saved(other)
    assert kept(client, "b.jpg").marks[-1][0] == pytest.approx(0.9, abs=EDGE)
    one.mouse.click(*at(one, 0.1, 0.9))
    one.wait_for_selector("#conflict:not([hidden])")
    one.click("#take-theirs")
    assert count(one) == str(len(kept(client, "b.jpg").marks))


@pytest.mark.slow
def test_one_who_counts_blind_sees_nothing_before(serve: Serve, open_page: Open, folder: Path) -> None:
    client = serve(folder, blind=True)
    page = open_page(client)
    page.fill("#reader", "Dr A")
    page.press("#reader", "Tab")
    choose(page, "b.jpg")
    assert page.locator("#machine-count").inner_text() == "?"
    assert page.locator("#marks circle").count() == 0
    page.mouse.click(*at(page, 0.4, 0.4))
    page.mouse.click(*at(page, 0.6, 0.6))
    assert page.locator("#confirm").inner_text() == "I count 2: show the model's"
    page.click("#confirm")
    page.wait_for_selector("#legend:not([hidden])")
    assert page.locator("#machine-count").inner_text() not in ("?", "")
    assert kept(client, "b.jpg", "Dr A").first["lesions"] == 2
    page.click("#menu summary")
    page.click("#agreement-open")
    page.wait_for_selector("#agreement-body table")
    assert "All were counted blind" in page.locator("#agreement-body").inner_text()


@pytest.mark.slow
def test_the_list_is_filtered_searched_and_grows(serve: Serve, open_page: Open, folder: Path, jpeg: bytes) -> None:
    client = serve(folder)
    (folder / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    page = open_page(client)
    rows(client, 4)
    page.wait_for_selector('.item[title="cut.jpg"]')
    page.click('[data-filter="failed"]')
    assert [item.get_attribute("title") for item in page.locator(".item").all()] == ["cut.jpg"]
    choose(page, "cut.jpg")
    assert "damaged" in page.locator("#failed").inner_text()
    assert page.locator("#result").is_hidden()
    page.click('[data-filter="all"]')
    page.fill("#search", "C.JPG")
    wait_for(lambda: page.locator(".item").count() == 1)
    page.fill("#search", "")
    (folder / "later.jpg").write_bytes(jpeg)
    page.wait_for_selector('.item[title="later.jpg"]')


@pytest.mark.slow
def test_the_camera_takes_a_photograph(serve: Serve, open_page: Open, folder: Path) -> None:
    page = open_page(serve(folder))
    page.click("#camera-open")
    page.wait_for_selector("#shoot:not([disabled])")
    page.wait_for_function("() => document.getElementById('video').videoWidth > 0")
    page.click("#shoot")
    page.wait_for_selector('#name[title^="camera-"]')
    assert [path.suffix for path in folder.glob("camera-*")] == [".jpg"]


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("size", [(390, 844), (1024, 600), (1440, 900)])
def test_all_sizes_and_languages(serve: Serve, open_page: Open, folder: Path, size: tuple[int, int], language: str) -> None:
    page = open_page(serve(folder), size=size, locale={"en": "en-GB", "zh": "zh-CN"}[language])
    page.wait_for_selector("#tools:not([hidden])")
    assert page.evaluate("document.documentElement.scrollWidth") == size[0]
    for part in ("#confirm", "#stage", "#machine-count", "#human-count", "#tools"):
        box = page.locator(part).bounding_box()
        assert box["x"] >= 0, part
        assert box["x"] + box["width"] <= size[0] + 1, part
        assert 0 <= box["y"] <= box["y"] + box["height"] <= size[1] + 1, part
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, textarea, summary, [role]")]
            .filter((e) => !(e.getAttribute("aria-label") || e.textContent.trim() || e.labels?.length || e.hidden
                || e.type === "file" || e.getAttribute("aria-labelledby") || ["status", "alert"].includes(e.role)))
            .map((e) => e.outerHTML)"""
    )
    assert unnamed == []
    text = page.locator("body").inner_text()
    assert "page." not in text
    assert bool(re.search("[\u4e00-\u9fff]", page.locator("#panel").inner_text())) is (language == "zh")


@pytest.mark.slow
def test_the_page_of_the_interface(serve: Serve, open_page: Open, browser: Any) -> None:
    client = serve()
    page = open_page(client)
    page.goto(f"{client.base_url}/docs".replace("//docs", "/docs"))
    page.wait_for_selector("details.operation")
    text = page.locator("#operations").inner_text()
    assert "/v1/predictions" in text
    assert "429" in text


class Process:
    """`acne-edge serve` as a process of its own, which can be killed."""

    def __init__(self, folder: Path, port: int) -> None:
        command = [sys.executable, "-m", "acne_edge", "serve", str(folder), "--port", str(port)]
        environment = {**os.environ, "ACNE_EDGE_TOKEN": TOKEN}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        self.port = int(self.url.rsplit(":", 1)[1].split("/")[0])

    def end(self, number: int = signal.SIGKILL) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.communicate(timeout=30)


@pytest.fixture
def process() -> Iterator[Callable[..., Process]]:
    """Start servers as processes, which end with the test."""
    started: list[Process] = []

    def start(folder: Path, port: int) -> Process:
        started.append(Process(folder, port))
        return started[-1]

    yield start
    for server in started:
        server.end()


def free_port() -> int:
    """One that no connection is given by chance: a browser that asks again and again could take one of those itself."""
    for port in range(20_000, 32_000):
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


@pytest.mark.slow
def test_a_server_that_is_killed_in_the_middle_of_a_correction_loses_none(
    open_page: Open, folder: Path, process: Callable[..., Process]
) -> None:
    from acne_edge.serve.store import NAME, Store

    first = process(folder, free_port())
    page = open_page(f"{first.url}?token={TOKEN}")
    choose(page, "b.jpg")
    page.mouse.click(*at(page, 0.1, 0.1))
    saved(page)
    first.process.send_signal(signal.SIGSTOP)  # the next correction is under way
    page.mouse.click(*at(page, 0.9, 0.1))
    page.wait_for_selector('#saved[data-status="saving"]')
    first.end(signal.SIGKILL)
    page.wait_for_selector('#saved[data-status="waiting"]')
    page.wait_for_selector("#offline:not([hidden])")
    store = Store(folder / NAME)
    reading = store.reading(store.named("b.jpg").sha256, "")
    assert reading.marks[-1][0] == pytest.approx(0.1, abs=EDGE)  # whole, as it was
    store.close()
    page.mouse.click(*at(page, 0.9, 0.9))  # one goes on meanwhile
    second = process(folder, first.port)
    saved(page)
    store = Store(folder / NAME)
    places = [mark[:2] for mark in store.reading(store.named("b.jpg").sha256, "").marks[-3:]]
    assert places == [pytest.approx(place, abs=EDGE) for place in ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9))]
    store.close()
    page.wait_for_selector("#offline", state="hidden")
    second.end(signal.SIGTERM)
    assert second.process.returncode == 0


@pytest.mark.slow
def test_two_thousand_photographs_scroll_without_a_stutter(serve: Serve, open_page: Open, tmp_path: Path) -> None:
    for n in range(2000):
        picture = drawing.face(n % 40, seed=n, width=96, height=108)
        (tmp_path / f"{n:04}.jpg").write_bytes(drawing.encode(picture, "JPEG"))
    client = serve(tmp_path, workers=2)
    wait_for(lambda: len(client.study.photographs()) == 2000, 400)
    page = open_page(client)
    page.wait_for_selector(".item")
    assert page.locator(".item").count() < 40
    longest = page.evaluate(
        """async () => {
            const pane = document.getElementById("rows");
            let [longest, before] = [0, performance.now()];
            for (let n = 0; n < 120; n += 1) {
                pane.scrollTop += 1000;
                await new Promise(requestAnimationFrame);
                const now = performance.now();
                longest = Math.max(longest, now - before);
                before = now;
            }
            return longest;
        }"""
    )
    assert longest < 500  # milliseconds; 16 on a machine with nothing else to do
    assert page.locator(".item").count() < 40
    page.fill("#search", "1999")
    wait_for(lambda: page.locator(".item").count() == 1)
    sleep(0.3)
    assert page.locator(".item img[src]").count() == 1
