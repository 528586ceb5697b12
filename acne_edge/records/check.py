"""Whether a record is as it was written: lines that were changed, are missing, or stand elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from acne_edge.records import chain

MAX_FAULTS = 1000  # of a file that is damaged all over, no more are worth naming


@dataclass(frozen=True)
class Fault:
    """What is wrong at a line; lines count from 1, the header."""

    line: int
    what: str


@dataclass
class Tally:
    """What the lines of a record that are whole say."""

    graded: int = 0
    abstained: int = 0
    failed: int = 0
    counts: int = 0  # by people
    readers: set[str] = field(default_factory=set)
    counted: set[str] = field(default_factory=set)  # sha256 of the photographs that people counted
    cuts: int = 0  # lines that a crash had cut short, and that were removed since
    first: str = ""  # UTC
    last: str = ""

    @property
    def photographs(self) -> int:
        """Predicted or failed."""
        return self.graded + self.abstained + self.failed

    def add(self, content: dict[str, Any]) -> None:
        """Take in a line."""
        at = str(content.get("at", ""))
        self.first, self.last = self.first or at, at or self.last
        kind = content.get("kind")
        if kind == chain.PHOTOGRAPH:
            result = content.get("result", {})
            fate = "failed" if "error" in result else "abstained" if result.get("abstained") else "graded"
            setattr(self, fate, getattr(self, fate) + 1)
        elif kind == chain.COUNT:
            self.counts += 1
            self.readers.add(str(content.get("by")))
            self.counted.add(str(content.get("sha256")))
        self.cuts += kind == chain.CUT


@dataclass
class Checked:
    """What `check` found. Without `faults`, every line is as it was written, and none is missing before the last one."""

    lines: int  # whole ones
    head: str  # hash of the last one
    faults: list[Fault]
    torn: int  # bytes of a last line that is cut short
    tally: Tally
    filed_at: int | None = None  # the line whose hash was asked for

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


@dataclass(frozen=True)
class _Seen:
    """A line as far as it could be read."""

    at: int  # where it stands
    n: int | None  # its own number
    hash: str | None
    previous: str | None


def check(path: Path, filed: str | None = None) -> Checked:
    """Read a record from its beginning to its end and compare every line with its hash and with the line before.

    Args:
        path: the record.
        filed: a head that was filed elsewhere; that no line has it is a fault.

    Raises UsageError for a file that is no record, of a version that is not known, or that cannot be read.
    """
    tally, faults, seen = Tally(), [], []
    lines, torn = 0, 0
    for at, raw in enumerate(_raw(path), 1):
        if not raw.endswith(b"\n") and len(raw) < chain.MAX_LINE:
            torn = len(raw)
            break
        lines = at
        try:
            line = chain.read_line(raw.rstrip(b"\n"))
        except chain.NotALineError as error:
            faults.append(Fault(at, f"line {at} {error}"))
            seen.append(_Seen(at, None, error.hash, None))
            continue
        seen.append(_Seen(at, line.n, line.hash, line.previous))
        tally.add(line.content)
    faults += _order(seen)
    head = next((s.hash for s in reversed(seen) if s.hash), "")
    filed_at = next((s.at for s in seen if s.hash == filed), None) if filed else None
    if filed and filed_at is None:
        faults.append(Fault(lines, "no line has the head that was filed: the record was rewritten, or its end is missing"))
    faults.sort(key=lambda fault: fault.line)
    return Checked(lines, head, faults[:MAX_FAULTS], torn, tally, filed_at)


def _raw(path: Path) -> Iterator[bytes]:
    """The lines; the first must be that of a record, and if the header is missing, at least a line of one."""
    with chain.opened(path) as stream:
        raws = chain.raw_lines(stream)
        first = next(raws, b"")
        try:
            headless = chain.read_line(first.rstrip(b"\n")).kind != chain.HEADER
        except chain.NotALineError:
            headless = False
        if not headless:
            chain.check_header(first, path)
        yield first
        yield from raws


def _order(seen: list[_Seen]) -> Iterator[Fault]:
    """What is missing, stands elsewhere, or was put in the place of another line."""
    numbers = [s.n if s.n is not None else (seen[i - 1].n or i) + 1 if i else 1 for i, s in enumerate(seen)]
    there = set(numbers)
    for low, high in _gaps(sorted(there)):
        what = f"line {low} is missing" if low == high else f"lines {low} to {high} are missing"
        yield Fault(low, what)
    highest, met = 0, set()
    for s, n in zip(seen, numbers, strict=True):
        if s.n is not None and n in met:
            yield Fault(s.at, f"line {n} is there twice")
        elif s.n is not None and n < highest:
            yield Fault(s.at, f"line {n} stands behind line {highest}: lines were put into another order")
        highest = max(highest, n)
        met.add(n)
    for (a, b), (x, y) in zip(pairwise(seen), pairwise(numbers), strict=True):
        if y == x + 1 and b.n is not None and a.hash is not None and b.previous != a.hash:
            yield Fault(a.at, f"line {x} was replaced: line {y} was written after another one")
    if seen and seen[0].n == 1 and seen[0].previous is not None:
        yield Fault(1, "line 1 was replaced: nothing can come before it")


def _gaps(numbers: list[int]) -> Iterator[tuple[int, int]]:
    for before, after in pairwise([0, *numbers]):
        if after > before + 1:
            yield before + 1, after - 1
