"""A record that is written: each photograph a line, on the disk before its result goes on.

    from acne_edge import AcneGrader, Record

    with AcneGrader.load() as grader, Record("study.jsonl") as record:
        for result in record.predict_many(grader, "photos"):
            ...
        print(record.head)   # to be filed elsewhere

A kill at any moment loses at most the line that is being written. The next start recognises it by its missing end, removes it,
and says so in a line of its own.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from acne_edge.environment import software
from acne_edge.errors import AcneEdgeError, UsageError
from acne_edge.files import STDIN
from acne_edge.grader import each_photograph
from acne_edge.image import NotedFile
from acne_edge.records import chain
from acne_edge.sources.paths import is_photograph

if TYPE_CHECKING:
    from types import TracebackType

    from acne_edge.grader import AcneGrader
    from acne_edge.image import ImageSource
    from acne_edge.prediction import Failure, Prediction

BEGINNING = b'{"at":"'  # of every header
MAX_NOTE = 10_000  # characters of a comment, or of a reader's name


class Record:
    """A record, open for more lines. Use it as a context manager or `close` it. Many threads may share one.

    Args:
        path: the file; it is begun if it is not there, else continued. Only one process at a time may have it.

    Attributes:
        head: the hash of the last line. File it elsewhere: whoever can write the file can rewrite it, hashes and all.
        cut: bytes of a last line that had been cut short, and was removed; 0 for none.

    Raises UsageError for a file that is no record or that another process has open, AcneEdgeError if it cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.cut = 0
        self.head = ""
        self._n = self._end = 0
        self._lock = Lock()
        if is_photograph(self.path.name):
            raise UsageError(f"{self.path}: is called like a photograph; a record is text, NAME.jsonl")
        try:
            self._descriptor: int | None = _open(self.path)
        except OSError as error:
            raise AcneEdgeError(f"{self.path}: a record cannot be kept there ({error.strerror})") from error
        try:
            self._go_on()
        except BaseException:
            self.close()
            raise

    def predict(self, grader: AcneGrader, source: ImageSource) -> Prediction | Failure:
        """`AcneGrader.try_predict` with a line in the record. Raises what it does, and what `add` does."""
        noted = _noted(source)
        return self.add(grader, grader.try_predict(noted), noted)

    def predict_many(
        self, grader: AcneGrader, sources: Iterable[ImageSource] | str | os.PathLike[str], workers: int = 0
    ) -> Iterator[Prediction | Failure]:
        """`AcneGrader.predict_many`; each result comes when its line is on the disk. Raises what it does, and what `add` does."""
        begun: deque[ImageSource] = deque()

        def each() -> Iterator[ImageSource]:
            for source in each_photograph(sources):
                begun.append(_noted(source))
                yield begun[-1]

        for result in grader.predict_many(each(), workers):
            yield self.add(grader, result, begun.popleft())

    def add(self, grader: AcneGrader, result: Prediction | Failure, source: ImageSource | None = None) -> Prediction | Failure:
        """Write what became of a photograph; it is on the disk when this returns the result.

        Args:
            grader: that made the result.
            result: of one photograph.
            source: what it was made of: a `NotedFile`, whose bytes have been read, or the bytes of a file. Of anything else
                the record says nothing, and it cannot be proved later.

        Raises AcneEdgeError if the line cannot be written.
        """
        digest, size = _sum(source)
        model = grader.model
        content = {
            "kind": chain.PHOTOGRAPH,
            "at": chain.now(),
            "sha256": digest,
            "bytes": size,
            "result": self._told(result),
            "model": vars(model),
            "settings": grader.settings,
            "software": software(),
        }
        self._append(content)
        return result

    def add_count(
        self, photograph: str, count: int, grade: int | None = None, scale: str | None = None, *, by: str, comment: str = ""
    ) -> None:
        """Write what a person counted, beside what the model did.

        Args:
            photograph: sha256 of a photograph in the record, hexadecimal.
            count: lesions.
            grade: index into the `scale`'s grades, from 0, if one was given.
            scale: name of the scale; with a grade.
            by: who counted; a code does, and tells less than a name.
            comment: anything else.

        Raises UsageError for a count or a grade that cannot be, AcneEdgeError if the line cannot be written.
        """
        if not 0 <= count <= 10_000:
            raise UsageError(f"a count of {count} lesions cannot be; expected 0..10000")
        if grade is not None and (scale is None or not 0 <= grade <= 15):
            raise UsageError(f"a grade of {grade} needs a scale, and lies in 0..15")
        if not by.strip() or max(len(by), len(comment)) > MAX_NOTE:
            raise UsageError(f"a count needs the name or code of who counted, and at most {MAX_NOTE} characters of comment")
        self._append({
            "kind": chain.COUNT, "at": chain.now(), "sha256": photograph, "by": by, "count": count,
            "grade": grade, "scale": scale if grade is not None else None, "comment": comment,
        })  # fmt: skip

    def close(self) -> None:
        """Let another process have the file. Twice is fine."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _told(self, result: Prediction | Failure) -> dict[str, Any]:
        """The JSON of a result, without the names of folders, which may be those of patients or users."""
        told = result.to_dict()
        told["path"] = self._name(result.path)
        if not result.ok and result.path is not None and os.path.isabs(result.path):
            for path in (result.path, os.path.dirname(result.path)):
                told["error"]["message"] = told["error"]["message"].replace(path, "...")
        return told

    def _name(self, path: str | None) -> str | None:
        """The path below the record's own folder; of what lies elsewhere the name of the file alone."""
        if path in (None, STDIN):
            return path
        relative = Path(os.path.relpath(os.path.abspath(path), os.path.abspath(self.path.parent)))
        return relative.name if relative.parts[:1] == ("..",) else relative.as_posix()

    def _append(self, content: dict[str, Any]) -> None:
        with self._lock:
            if self._descriptor is None:
                raise UsageError(f"{self.path}: the record is closed")
            line, digest = chain.write_line(content, self._n + 1, self.head or None)
            if len(line) > chain.MAX_LINE:
                raise AcneEdgeError(f"{self.path}: a line of {len(line)} bytes is too long for a record")
            if os.fstat(self._descriptor).st_size != self._end:
                raise UsageError(f"{self.path}: another program has written to it meanwhile; nothing more is recorded")
            try:
                if os.write(self._descriptor, line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(self._descriptor)
            except OSError as error:
                os.ftruncate(self._descriptor, self._end)
                raise AcneEdgeError(f"{self.path}: cannot be written ({error.strerror}); the lines before are whole") from error
            self._n, self._end, self.head = self._n + 1, self._end + len(line), digest

    def _go_on(self) -> None:
        """Find the end of what is there, remove a line that was cut short, or begin."""
        assert self._descriptor is not None
        with open(self._descriptor, "rb", closefd=False) as stream:
            first = stream.readline(chain.MAX_LINE)
            begun = first.endswith(b"\n")
            if begun:
                chain.check_header(first, self.path)
            elif first and not (first.startswith(BEGINNING) or BEGINNING.startswith(first)):
                raise UsageError(f"{self.path}: is no record of acne-edge; name another file")
            size = stream.seek(0, os.SEEK_END)
            start = stream.seek(max(0, size - 2 * chain.MAX_LINE))
            tail = stream.read()
        whole, feed, torn = tail.rpartition(b"\n")
        if begun:
            self._end = start + len(whole) + len(feed)
            self._continue(whole.rpartition(b"\n")[2])
        if torn:
            self.cut = len(torn)
            os.ftruncate(self._descriptor, self._end)
        if not begun:
            self._append(chain.header(secrets.token_hex(16)))
            _keep_name(self.path)
        if torn:
            told = {"kind": chain.CUT, "at": chain.now(), "bytes": len(torn), "sha256": hashlib.sha256(torn).hexdigest()}
            self._append(told)

    def _continue(self, last: bytes) -> None:
        try:
            line = chain.read_line(last)
        except chain.NotALineError as error:
            raise UsageError(
                f"{self.path}: its last line {error}, so nothing is added; `acne-edge check-record` says more"
            ) from error
        self._n, self.head = line.n, line.hash

    def __enter__(self) -> Record:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _open(path: Path) -> int:
    """An open descriptor of a regular file, which no other process has for a record. Raises OSError, UsageError."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "no regular file")
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise UsageError(f"{path}: another process is recording there; wait for it, or name another file") from error
    except ImportError:  # no locks on this system; the size tells when another program has written
        pass
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):  # no locks on this file system
            os.close(descriptor)
            raise
    return descriptor


def _keep_name(path: Path) -> None:
    """Let the folder remember a new file, also when the power fails."""
    folder = os.open(path.parent, os.O_RDONLY)
    with suppress(OSError):  # some file systems cannot
        os.fsync(folder)
    os.close(folder)


def _noted(source: ImageSource) -> ImageSource:
    return NotedFile(source) if isinstance(source, str | os.PathLike) and not isinstance(source, NotedFile) else source


def _sum(source: ImageSource | None) -> tuple[str | None, int | None]:
    """Sha256 and size of the file that a photograph was read from, where there was one."""
    if isinstance(source, NotedFile):
        return source.sha256, source.size if source.sha256 else None
    if isinstance(source, bytes | bytearray | memoryview):
        return hashlib.sha256(source).hexdigest(), len(source)
    return None, None
