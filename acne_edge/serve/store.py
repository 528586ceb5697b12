"""What is kept beside the photographs: what the model said of each, and what people say. One SQLite file.

A photograph is known by its name. What people say of it belongs to its content (sha256), so that it survives a new name and is
never taken for a statement on another photograph of that name. Every change is one transaction, on the disk when it returns
(`synchronous=FULL` and a rollback journal, which network shares can bear too). A reading has a version, which whoever changes it
must name; who names an old one is told so and changes nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from threading import RLock
from typing import Any

from acne_edge.errors import AcneEdgeError, UsageError

NAME = "acne-edge.sqlite"
APPLICATION, VERSION = 0x61636E65, 1  # "acne"; of the tables
TABLES = """
CREATE TABLE photograph (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    sha256 TEXT NOT NULL, model TEXT NOT NULL, result TEXT NOT NULL
);
CREATE TABLE reading (
    sha256 TEXT NOT NULL, reader TEXT NOT NULL, version INTEGER NOT NULL, content TEXT NOT NULL,
    PRIMARY KEY (sha256, reader)
);
"""
BUSY = 5.0  # seconds to wait for another process that writes


@dataclass(frozen=True)
class Photograph:
    """A photograph and what the model says of it."""

    id: int
    name: str  # below the folder, with `/`
    stamp: tuple[int, int]  # size in bytes, modification time in ns
    sha256: str  # of its content; empty where it could not be read
    model: str  # sha256 of the model file
    result: dict[str, Any]  # the JSON form of a prediction or a failure


@dataclass(frozen=True)
class Reading:
    """What one person says of one photograph."""

    version: int = 0  # 0: nothing is kept yet
    marks: tuple[tuple[float, float, float | None], ...] | None = None  # x, y, score of one that the model set; None: none set
    count: int | None = None  # where it is not the number of marks
    grade: int | None = None  # where it is not that of the count
    note: str = ""
    done: bool = False  # corrected, or confirmed
    revealed: bool = False  # what the model says has been seen
    first: dict[str, Any] | None = None  # of one who counted blind: marks, count and grade before that
    at: str = ""  # of the last change; ISO 8601

    @property
    def lesions(self) -> int | None:
        """How many; None where nobody counted."""
        return self.count if self.count is not None else None if self.marks is None else len(self.marks)


class ConflictError(Exception):
    """The reading was changed by somebody else meanwhile; `current` is as it is now."""

    def __init__(self, current: Reading) -> None:
        super().__init__(f"version {current.version}")
        self.current = current


class Store:
    """The file, for one process with several threads. Others may have it open too.

    Raises UsageError for a file that is not one of these.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock = RLock()
        where = ":memory:" if path is None else str(path)
        try:
            self._db = sqlite3.connect(where, timeout=BUSY, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA synchronous=FULL")
            with self._transaction():
                self._prepare()
        except UsageError:
            raise
        except (sqlite3.Error, AcneEdgeError) as error:
            raise UsageError(f"{where}: cannot be used to keep corrections ({error}); name another file with --store") from error

    def _prepare(self) -> None:
        application, version = (self._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
        if application == 0 and not self._db.execute("SELECT 1 FROM sqlite_master").fetchone():
            for statement in filter(str.strip, TABLES.split(";")):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA application_id={APPLICATION}")
            self._db.execute(f"PRAGMA user_version={VERSION}")
        elif application != APPLICATION:
            raise UsageError(f"{self.path}: is a database of another program; name another file with --store")
        elif version != VERSION:
            raise UsageError(f"{self.path}: was made by another version of acne-edge; update acne-edge")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All of what is done inside, or nothing. Raises AcneEdgeError if the file cannot be written."""
        try:
            with self._lock:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                    self._db.execute("COMMIT")
                except BaseException:
                    if self._db.in_transaction:  # SQLite has ended it itself, after some errors
                        self._db.execute("ROLLBACK")
                    raise
        except sqlite3.Error as error:
            raise AcneEdgeError(f"what was said could not be kept ({error})") from error

    def photographs(self) -> list[Photograph]:
        """All, by name."""
        with self._lock:
            rows = self._db.execute("SELECT * FROM photograph ORDER BY name").fetchall()
        return [_photograph(row) for row in rows]

    def photograph(self, number: int) -> Photograph | None:
        """The one with this id."""
        with self._lock:
            row = self._db.execute("SELECT * FROM photograph WHERE id=?", (number,)).fetchone()
        return row and _photograph(row)

    def named(self, name: str) -> Photograph | None:
        """The one of this name."""
        with self._lock:
            row = self._db.execute("SELECT * FROM photograph WHERE name=?", (name,)).fetchone()
        return row and _photograph(row)

    def keep_result(self, name: str, stamp: tuple[int, int], sha256: str, model: str, result: dict[str, Any]) -> int:
        """Keep what the model says of a photograph; its id."""
        values = (name, *stamp, sha256, model, json.dumps({**result, "path": name}))
        with self._transaction() as db:
            db.execute(
                "INSERT INTO photograph (name, size, mtime_ns, sha256, model, result) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT "
                "(name) DO UPDATE SET size=excluded.size, mtime_ns=excluded.mtime_ns, sha256=excluded.sha256, "
                "model=excluded.model, result=excluded.result",
                values,
            )
            return int(db.execute("SELECT id FROM photograph WHERE name=?", (name,)).fetchone()[0])

    def forget(self, name: str) -> None:
        """A photograph that is gone. What people said of it is kept."""
        with self._transaction() as db:
            db.execute("DELETE FROM photograph WHERE name=?", (name,))

    def reading(self, sha256: str, reader: str) -> Reading:
        """What a person says of a photograph's content; version 0 where that is nothing yet."""
        with self._lock:
            row = self._db.execute(
                "SELECT version, content FROM reading WHERE sha256=? AND reader=?", (sha256, reader)
            ).fetchone()
        return _reading(*row) if row else Reading()

    def readings(self, reader: str | None = None) -> dict[tuple[str, str], Reading]:
        """By content and person; of one person, or of all."""
        with self._lock:
            rows = self._db.execute(
                "SELECT sha256, reader, version, content FROM reading WHERE ? IS NULL OR reader=?", (reader, reader)
            ).fetchall()
        return {(sha256, who): _reading(version, content) for sha256, who, version, content in rows}

    def readers(self) -> list[str]:
        """Everybody who has read a photograph."""
        with self._lock:
            return [name for (name,) in self._db.execute("SELECT DISTINCT reader FROM reading ORDER BY reader")]

    def keep_reading(self, sha256: str, reader: str, reading: Reading) -> Reading:
        """Keep a reading, made of the one with its version; it is returned with the next one, and the time.

        Raises ConflictError if it was changed meanwhile, AcneEdgeError if the file cannot be written.
        """
        kept = replace(reading, version=reading.version + 1, at=datetime.now(timezone.utc).isoformat(timespec="seconds"))
        content = asdict(kept)
        del content["version"]
        with self._transaction() as db:
            row = db.execute("SELECT version, content FROM reading WHERE sha256=? AND reader=?", (sha256, reader)).fetchone()
            if (row[0] if row else 0) != reading.version:
                raise ConflictError(_reading(*row) if row else Reading())
            db.execute(
                "INSERT OR REPLACE INTO reading (sha256, reader, version, content) VALUES (?, ?, ?, ?)",
                (sha256, reader, kept.version, json.dumps(content)),
            )
        return kept

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()


def _photograph(row: tuple[Any, ...]) -> Photograph:
    number, name, size, mtime_ns, sha256, model, result = row
    return Photograph(number, name, (size, mtime_ns), sha256, model, json.loads(result))


def _reading(version: int, content: str) -> Reading:
    values = json.loads(content)
    marks = values["marks"]
    values["marks"] = None if marks is None else tuple((x, y, score) for x, y, score in marks)
    return Reading(version=version, **values)
