"""Reads the documentation for its tests: pages, the blocks of code in them, and how to run each block.

A comment on the line before a block says how to treat it:

    <!-- not run: REASON -->  it needs a GPU, data or hours; its commands and options must exist all the same
    <!-- slow: REASON -->  it is run with the slow tests
    <!-- exit code N -->  the last command ends with this code
    <!-- interrupted once it has printed this -->  it runs until it gets SIGINT, and must then end well
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
FENCE = re.compile(r"^(?:<!-- (?P<mark>.*?) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of code."""

    language: str
    text: str
    mark: str  # the comment before it, or ""
    line: int  # of the block's first line in its page

    @property
    def runs(self) -> bool:
        """Whether it can be run here at all."""
        return not self.mark.startswith("not run: ")

    @property
    def slow(self) -> bool:
        """Whether it is left to the slow tests."""
        return self.mark.startswith("slow: ")


@dataclass(frozen=True)
class Command:
    """A command of a console block, and what the block shows below it."""

    text: str
    shown: tuple[str, ...]


def pages() -> list[Path]:
    """README, docs and the other pages at the top, in order."""
    return [
        README,
        *sorted((ROOT / "docs").rglob("*.md")),
        *sorted({*ROOT.glob("*.md"), *ROOT.glob("experiments/*.md")} - {README}),
    ]


def name(page: Path) -> str:
    """The page's path in the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    text = page.read_text()
    return [
        Block(m["language"], m["text"], m["mark"] or "", text.count("\n", 0, m.start("text")) + 1) for m in FENCE.finditer(text)
    ]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return FENCE.sub("", page.read_text())


def commands(block: Block) -> list[Command]:
    """The commands of a console block: lines that begin with `$ `, continued after a backslash."""
    found: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found and not found[-1][1] and found[-1][0].endswith("\\"):
            found[-1] = (found[-1][0][:-1] + line.strip(), [])
        elif found:
            found[-1][1].append(line)
    return [Command(text, tuple(shown)) for text, shown in found]
