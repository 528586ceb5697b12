"""Every command and snippet of README and docs is run, in a folder with drawn photographs, and gives what the page shows.

Figures may differ from those shown, by processor and by machine; words and form may not.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep

import pytest

from acne_edge.prediction import Prediction
from tests.docs.conftest import clip, dicom_photograph
from tests.docs.pages import ROOT, Block, Command, blocks, commands, name, pages

RUN = ("console", "python", "c", "json")
SHOWN = ("text", "yaml")  # output, trees, help texts, settings: nothing to run
UNFAMILIAR = "  [unfamiliar]"
ANYTHING = "..."  # a line, or the end of one, that stands for what is left out
PROGRAMS = re.compile(r"(?:^|[;&|] *)(acne-edge|python -m export|python -m calibration) ([a-z][a-z-]+)([^;&|]*)")
INTERRUPTED = "interrupted once it has printed this"
OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")


def test_every_block_says_what_it_is() -> None:
    strange = [
        f"{name(page)}:{block.line}: {block.language or 'no language'}"
        for page in pages()
        for block in blocks(page)
        if block.language not in RUN + SHOWN
    ]
    assert strange == []


def with_blocks(slow: bool) -> list[Path]:
    """The pages that have something to run."""
    return [p for p in pages() if any(b.runs and b.language in RUN and b.slow == slow for b in blocks(p))]


def ordinary() -> list[object]:
    """What everybody reads runs always; the how-to guides take half a minute, and run with the slow tests."""
    return [pytest.param(page, marks=pytest.mark.slow if "how-to" in page.parts else ()) for page in with_blocks(slow=False)]


@pytest.mark.parametrize("page", ordinary(), ids=name)
def test_the_page_runs(page: Path, desk: Path, environment: dict[str, str]) -> None:
    run_page(page, desk, environment, slow=False)


@pytest.mark.slow
@pytest.mark.parametrize("page", with_blocks(slow=True), ids=name)
def test_the_slow_part_of_the_page_runs(page: Path, desk: Path, environment: dict[str, str]) -> None:
    if page.name == "run-on-tensorrt.md" and not any(map(find_spec, ("tensorrt_rtx", "tensorrt_rtx_bindings"))):
        pytest.skip("needs the extra tensorrt-rtx")
    run_page(page, desk, environment, slow=True)


def run_page(page: Path, desk: Path, environment: dict[str, str], slow: bool) -> None:
    """Run a page's blocks in order. Its Python blocks are one program, as they are to the reader."""
    chosen = [block for block in blocks(page) if block.runs and block.slow == slow]
    if any("clip.avi" in block.text for block in chosen):
        clip(desk / "clip.avi")
    if any("photo.dcm" in block.text for block in chosen):
        dicom_photograph(desk / "photo.dcm")
    for block in chosen:
        where = f"{page.name}:{block.line}"
        if block.language == "console":
            run_console(block, where, desk, environment)
        elif block.language == "c":
            compile_c(block, where, desk)
        elif block.language == "json":
            json.loads(block.text)
    program = "\n".join(block.text for block in chosen if block.language == "python")
    if program:
        command = ["python", "-W", "error", "-c", program]  # that of the environment
        done = subprocess.run(command, cwd=desk, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{page.name}: {done.stderr}"


def run_console(block: Block, where: str, desk: Path, environment: dict[str, str]) -> None:
    """Run a block's commands one after the other and compare what they print with what the block shows."""
    wanted = re.fullmatch(r"exit code (\d+)", block.mark)
    listed = commands(block)
    assert listed, f"{where}: a console block without a command"
    for number, command in enumerate(listed):
        start = run_until_shown if block.mark == INTERRUPTED else run
        printed, code = start(command, desk, environment)
        expected = int(wanted[1]) if wanted and number == len(listed) - 1 else 0
        if code != expected:
            pytest.fail(f"{where}: `{command.text}` ended with {code}:\n{printed}", pytrace=False)
        if not alike(command.shown, printed.splitlines()):
            pytest.fail(f"{where}: `{command.text}` printed\n{printed}", pytrace=False)


def run(command: Command, desk: Path, environment: dict[str, str]) -> tuple[str, int]:
    """What a command prints, and its exit code."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(["bash", "-c", command.text], cwd=desk, env=environment, text=True, timeout=900, **streams)
    return done.stdout, done.returncode


def run_until_shown(command: Command, desk: Path, environment: dict[str, str]) -> tuple[str, int]:
    """The same of a command that does not end by itself: it is interrupted once it has printed what the page shows."""
    output = desk / "output"
    with output.open("w") as stream:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command.text}"],
            cwd=desk, env=environment, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT,
        )  # fmt: skip
        give_up = monotonic() + 120
        while not alike(command.shown, output.read_text().splitlines()) and monotonic() < give_up and process.poll() is None:
            sleep(0.1)
        process.send_signal(signal.SIGINT)
        code = process.wait(timeout=120)
    return output.read_text(), code


def compile_c(block: Block, where: str, desk: Path) -> None:
    """The header and the block must compile as a stranger would compile them."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler here")
    source = desk / "snippet.c"
    source.write_text(block.text)
    command = [compiler, "-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{ROOT}/cpp_bench/include", str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{where}: {done.stderr}"


def alike(shown: tuple[str, ...], printed: list[str]) -> bool:
    """Whether the output has the lines that the page shows, numbers aside. A page that shows none accepts any.

    Pictures are drawn here, and unfamiliar; the reader's photographs are not, unless the page says so.
    """
    text = "\n".join(printed) + "\n"
    if UNFAMILIAR not in "\n".join(shown):
        text = text.replace(UNFAMILIAR, "")
    return not shown or re.fullmatch(pattern(shown), text) is not None


def pattern(shown: tuple[str, ...]) -> str:
    """The regular expression of shown lines: numbers and runs of blanks may be others, `...` stands for anything."""
    lines = []
    for line in shown:
        if line == ANYTHING:
            lines.append(r"(?:.*\n)*?")
            continue
        start, left_out = (line[: -len(ANYTHING)], ".*") if line.endswith(ANYTHING) else (line, "")
        words = re.sub(r"\d[\w.:+-]*", "0", start)  # a figure, a version, a digest, a date
        lines.append(re.sub(r"(?:\\ )+", r"\\s+", re.escape(words)).replace("0", r"\d[\w.:+-]*") + left_out + r"\n")
    return "".join(lines)


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        (["a 1.5  b", "..."], "a 20 b\nmore\n", True),
        (["a 1.5  b"], "a 20 b\nmore\n", False),
        (["ok 12 ms"], "FAIL 12 ms\n", False),
        (["{...", "  x", "..."], "{1\n  x\n", True),
        (["...", "end 2"], "any\nthing\nend 33\n", True),
        (["...", "end 2"], "any\nthing\n", False),
    ],
)
def test_output_is_compared_by_its_words(shown: list[str], printed: str, same: bool) -> None:
    assert alike(tuple(shown), printed.splitlines()) is same


def options() -> dict[str, set[str]]:
    """The options of each command, by the page that a test compares with the commands' own help."""
    page = (ROOT / "docs" / "reference" / "command-line.md").read_text()
    _, *sections = re.split(r"^### (.+)$", page, flags=re.MULTILINE)
    return {title: set(OPTION.findall(text)) for title, text in zip(sections[::2], sections[1::2], strict=True)}


def mistakes(command: Command, known: dict[str, set[str]]) -> list[str]:
    """The commands and options in a line that do not exist."""
    wrong = []
    for program, verb, rest in PROGRAMS.findall(command.text):
        title = f"{program} {verb}"
        if title not in known:
            wrong.append(f"no command {title!r}")
        else:
            wrong += [f"{title} has no {option}" for option in OPTION.findall(rest) if option not in known[title]]
    return wrong


def test_commands_that_are_not_run_exist_with_their_options() -> None:
    known = options()
    wrong = [
        f"{name(page)}:{block.line}: {mistake}"
        for page in pages()
        for block in blocks(page)
        if block.language == "console"
        for command in commands(block)
        for mistake in mistakes(command, known)
    ]
    assert wrong == []


def test_a_command_that_is_gone_would_be_found() -> None:
    assert mistakes(Command("acne-edge extend runs/s", ()), options()) == ["no command 'acne-edge extend'"]
    assert mistakes(Command("acne-edge predict a.jpg --colour", ()), options()) == ["acne-edge predict has no --colour"]


def test_the_reference_is_what_the_commands_say() -> None:
    done = subprocess.run([sys.executable, ROOT / "scripts" / "reference", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_example_of_a_prediction_has_the_fields_of_one(grader: object, face: object) -> None:
    examples = [b for b in blocks(ROOT / "docs" / "reference" / "json.md") if b.mark == "prediction"]
    (example,) = [json.loads(b.text) for b in examples]
    real: Prediction = grader.predict(face)  # type: ignore[attr-defined]
    assert shape(example) == shape(json.loads(json.dumps(real.to_dict() | {"path": "a.jpg"})))


def shape(value: object) -> object:
    """Keys and types of JSON, the length of lists aside."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
