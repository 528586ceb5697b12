"""Plain English: phrases that readers stumbled over stay out of the source, its help texts and the pages."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, name, pages

SOURCES = ("acne_edge", "export", "calibration", "cpp_bench", "scripts", "tests")
KINDS = ("", ".py", ".c", ".cc", ".h", ".sh", ".j2", ".txt")
LEFT_OUT = (".deps", "build", "__pycache__", "checkpoints")
STUMBLED = {  # phrase: what to write instead
    r"\bpassed over\b|\bpass(?:es)? over (?:an?|it)\b": "ignored, or skipped",
    r"\bby heart\b": "overfitted",
    r"\blooked at by eye\b": "on inspection",
    r"\bwithout a word\b": "unflagged, or without a warning",
    r"\bwhat (?:\w+ ){1,5}(?:is|are) (?:of|worth)\b": "the thing itself: its sources, its gain",
    r"\bwhat each did without\b": "what each held out",
    r"\b(?:stay|leaves?) (?:\w+ )?as (?:they are|it is)\b": "unchanged",
    r"\bmakes? no sense\b": "wrong",
    r"\b(?:to go|goes|gone|going|go) on (?:from|with)\b": "continue, or resume",
    r"\banew\b": "again",
    r"\bhelp=\"(?:Of|As of) ": "a help text that begins with its subject",
    r"\bpoor captures?\b": "poor photograph",
}


def stumbles(text: str) -> list[str]:
    """The phrases in a text, each with its line and what to write instead."""
    return [
        f"{text[: found.start()].count(chr(10)) + 1}: {found[0]!r}; write: {instead}"
        for phrase, instead in STUMBLED.items()
        for found in re.finditer(phrase.replace(" ", r"[\s>*#/]+"), text, re.I)
    ]


def sources(folder: str) -> Iterator[Path]:
    """Files of prose and code; not this one, which has to name the phrases."""
    for above, folders, files in os.walk(ROOT / folder):
        folders[:] = [inner for inner in folders if inner not in LEFT_OUT]
        paths = (Path(above, file) for file in files)
        yield from (path for path in paths if path.suffix in KINDS and path.name != Path(__file__).name)


@pytest.mark.parametrize("folder", SOURCES)
def test_the_source_is_in_plain_english(folder: str) -> None:
    files = list(sources(folder))
    assert files
    assert [f"{path.relative_to(ROOT)}:{one}" for path in files for one in stumbles(path.read_text("utf-8", "replace"))] == []


@pytest.mark.parametrize("page", pages(), ids=name)
def test_pages_are_in_plain_english(page: Path) -> None:
    assert stumbles(page.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        "A profile is passed over.",
        "a grade that changes\n    without a word",
        "/* what the labels are\n * of */",
        'typer.Option(help="Of --camera: seconds.")',
        "Grades stay as they are.",
    ],
)
def test_a_phrase_is_found_even_across_lines(text: str) -> None:
    assert len(stumbles(text)) == 1


def test_plain_english_passes() -> None:
    assert stumbles("Skip the file. `passed_over` is a name. It is what it is. Go on a walk.") == []
