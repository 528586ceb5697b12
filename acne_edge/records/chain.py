"""The form of a record: lines of JSON, each bound to the one before by its hash.

    {"at":"2026-11-28T22:11:45.123Z","format":"acne-edge record","id":"...","kind":"header","n":1,"previous":null,"version":"1.0","hash":"..."}
    {"at":"...","kind":"photograph","n":2,"previous":"<hash of line 1>", ... ,"hash":"..."}

* A line is canonical JSON: keys sorted, no blanks, ASCII. `hash` is the last key: the SHA-256, in hexadecimal, of the line
  without it. `previous` is the hash of the line before, and `n` its own number, from 1.
* `kind` is `header`, `photograph` (one that was predicted, or failed), `count` (by a person) or `cut` (the last line had been cut
  short, and was removed). A reader passes over kinds that it does not know. `docs/reference/record.md` has the fields.
* A line ends with a line feed. Bytes after the last one are a line that a crash has cut short.
"""  # noqa: E501

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from acne_edge.errors import UsageError

FORMAT, VERSION = "acne-edge record", "1.0"  # a minor version adds fields and kinds and changes none
HEADER, PHOTOGRAPH, COUNT, CUT = "header", "photograph", "count", "cut"
MAX_LINE = 1 << 20  # bytes; a thousand lesions take 50 kB
RESULT = {"path", "count", "count_interval", "grade", "grade_probs", "scale", "image", "quality", "abstained", "model"}
HASH = re.compile(rb',"hash":"([0-9a-f]{64})"\}$')


@dataclass(frozen=True)
class Line:
    """One whole line."""

    n: int
    hash: str
    previous: str | None
    content: dict[str, Any] = field(repr=False)  # the whole object

    @property
    def kind(self) -> str:
        """What the line is about."""
        return str(self.content.get("kind"))


@dataclass(frozen=True)
class Photograph:
    """What a line says of a photograph."""

    n: int
    sha256: str | None  # of the file; None where there was none
    result: dict[str, Any]  # the JSON of a prediction or of a failure
    model: dict[str, str]
    settings: dict[str, Any]
    software: dict[str, str]
    at: str

    @property
    def name(self) -> str:
        """The photograph's name in the record."""
        return str(self.result["path"])

    @property
    def failed(self) -> bool:
        """Whether there is no prediction."""
        return "error" in self.result


@dataclass(frozen=True)
class Count:
    """What a line says of a person's count."""

    n: int
    sha256: str  # of the photograph
    by: str
    count: int  # lesions
    grade: int | None
    comment: str


class NotALineError(ValueError):
    """Text that is no line of a record, or not as it was written. `hash` is the one that it claims, if any."""

    def __init__(self, why: str, claimed: str | None = None) -> None:
        super().__init__(why)
        self.hash = claimed


def now() -> str:
    """The time in UTC, to the millisecond."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def header(identity: str) -> dict[str, Any]:
    """What the first line says. `identity`: no two records have the same, so that no line of one fits into another."""
    return {"kind": HEADER, "format": FORMAT, "version": VERSION, "id": identity, "at": now()}


def write_line(content: Mapping[str, Any], n: int, previous: str | None) -> tuple[bytes, str]:
    """A line with its line feed, and its hash."""
    text = _canonical({**content, "n": n, "previous": previous})
    digest = hashlib.sha256(text).hexdigest()
    return text[:-1] + f',"hash":"{digest}"}}\n'.encode(), digest


def read_line(raw: bytes) -> Line:
    """A line, without its line feed. Raises NotALineError."""
    found = HASH.search(raw)
    claimed = found[1].decode() if found else None
    if found is None:
        raise NotALineError("is no line of a record")
    text = raw[: found.start()] + b"}"
    if hashlib.sha256(text).hexdigest() != claimed:
        raise NotALineError("was changed: it does not fit its hash", claimed)
    try:
        content = json.loads(text)
        n, previous = content["n"], content["previous"]
        fits = _canonical(content) == text and type(n) is int and n > 0 and isinstance(previous, str | None)
    except (ValueError, TypeError, KeyError, RecursionError):
        fits = False
    if not fits:
        raise NotALineError("is no line of a record", claimed)
    return Line(n, str(claimed), previous, content)


def raw_lines(stream: IO[bytes]) -> Iterator[bytes]:
    """The lines with their line feeds; the last one may lack its own. What is too long for a line comes in pieces."""
    while raw := stream.readline(MAX_LINE):
        yield raw


def check_header(raw: bytes, path: str | os.PathLike[str]) -> None:
    """Raises UsageError for a first line that is that of no record, or of a version that is not known here."""
    try:
        content = json.loads(raw)
        known = content["format"] == FORMAT
        major = str(content["version"]).split(".")[0]
    except (ValueError, TypeError, KeyError, RecursionError):
        known = False
    if not known:
        raise UsageError(f"{os.fspath(path)}: is no record of acne-edge; `predict --record FILE` writes one")
    if major != VERSION.split(".")[0]:
        raise UsageError(
            f"{os.fspath(path)}: has version {content['version']}; this version reads {VERSION[0]}.x: update acne-edge"
        )


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The file, for reading. Raises UsageError if it is no regular file, or cannot be read."""
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise UsageError(f"{path}: is no file")
        with path.open("rb") as stream:
            yield stream
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error


def lines(path: Path) -> Iterator[Line]:
    """The lines that are as they were written; `check` says what is wrong with the others.

    Raises UsageError for a file that is no record, or cannot be read.
    """
    with opened(path) as stream:
        for number, raw in enumerate(raw_lines(stream)):
            if number == 0:
                check_header(raw, path)
            with suppress(NotALineError):
                if raw.endswith(b"\n"):
                    yield read_line(raw[:-1])


def photographs_and_counts(path: Path) -> Iterator[Photograph | Count]:
    """The lines about photographs and people's counts. Raises what `lines` does, and UsageError for one that lacks a field."""
    for line in lines(path):
        c = line.content
        try:
            if line.kind == PHOTOGRAPH:
                fields = ("sha256", "result", "model", "settings", "software", "at")
                yield _complete(Photograph(line.n, *(c[name] for name in fields)))
            elif line.kind == COUNT:
                yield Count(line.n, *(c[name] for name in ("sha256", "by", "count", "grade", "comment")))
        except (KeyError, TypeError) as error:
            raise UsageError(f"{path}: line {line.n} lacks {error} or has it in another form; it was not written here") from error


def _complete(told: Photograph) -> Photograph:
    """The photograph, with all that is read of it later. Raises KeyError, TypeError."""
    wanted = {"path", "error"} if told.failed else RESULT
    missing = wanted - set(told.result)
    if missing:
        raise KeyError(min(missing))
    told.model["sha256"], told.settings["scale"], told.settings["on_poor_quality"], told.software["acne-edge"]
    return told


def _canonical(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
