"""Where the photographs of a study are: a folder that nothing leads out of, or, without one, memory."""

from __future__ import annotations

import os
import re
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from threading import Lock

from acne_edge import files, image
from acne_edge.errors import ImageError, ImageNotFoundError
from acne_edge.serve.problems import Problem
from acne_edge.sources.paths import HEIF_SUFFIXES

HELD = 512_000_000  # bytes of photographs that are held in memory at most
FORBIDDEN = re.compile(r'[\0-\x1f\x7f-\x9f/\\:*?"<>|\u2028-\u202e\u2066-\u2069]')
ENDINGS = {".jpg": (".jpg", ".jpeg", ".jpe", ".jfif"), ".heic": HEIF_SUFFIXES}
LONGEST = 120  # characters of a name


class Folder:
    """Photographs in a folder. None is ever altered; one that is added gets a name that is free."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._real = os.path.realpath(root)

    def read(self, name: str) -> bytes:
        """The content. Raises ImageNotFoundError for what is not there, ImageError for what, by links, lies elsewhere."""
        real = os.path.realpath(os.path.join(self._real, name))
        if os.path.commonpath((real, self._real)) != self._real:
            raise ImageError("leads out of the folder; it is not read")
        try:
            return files.read(real, image.MAX_BYTES)
        except OSError as error:
            raise ImageNotFoundError(f"cannot be read: {error.strerror}") from error

    def add(self, name: str, data: bytes) -> str:
        """Write a new photograph; the name that it got."""
        stem, suffix = os.path.splitext(name)
        for number in range(1, 1000):
            free = name if number == 1 else f"{stem} ({number}){suffix}"
            try:
                if self._write(free, data):
                    return free
            except OSError as error:
                raise Problem(503, f"the photograph cannot be written into the folder ({error.strerror})") from error
        raise Problem(409, "too many photographs of this name", "name_taken")

    def _write(self, name: str, data: bytes) -> bool:
        """Whole, or not at all, and never over another; False if there is one of this name."""
        target = os.path.join(self._real, name)
        if os.path.lexists(target):
            return False
        descriptor, temporary = tempfile.mkstemp(prefix=".acne-edge-", suffix=".part", dir=self._real)
        try:
            with open(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(temporary, 0o600)
            try:
                os.link(temporary, target)
            except FileExistsError:
                return False
            except OSError:  # a file system without links
                os.rename(temporary, target)
            return True
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary)

    def stamp(self, name: str) -> tuple[int, int]:
        """Size in bytes and modification time in ns. Raises ImageNotFoundError."""
        try:
            status = os.stat(os.path.join(self._real, name))
        except OSError as error:
            raise ImageNotFoundError(f"cannot be read: {error.strerror}") from error
        return status.st_size, status.st_mtime_ns


class Memory:
    """Photographs that are gone when the server ends."""

    def __init__(self) -> None:
        self._held: dict[str, bytes] = {}
        self._added: dict[str, int] = {}
        self._lock = Lock()

    def read(self, name: str) -> bytes:
        """The content. Raises ImageNotFoundError."""
        try:
            return self._held[name]
        except KeyError as error:
            raise ImageNotFoundError("is not held any more") from error

    def add(self, name: str, data: bytes) -> str:
        """Hold a new photograph; the name that it got. Raises a Problem where there is no room."""
        stem, suffix = os.path.splitext(name)
        with self._lock:
            if sum(map(len, self._held.values())) + len(data) > HELD:
                raise Problem(
                    413, f"{HELD // 1_000_000} MB of photographs are held in memory; start with a folder to keep more", "full"
                )
            number = 1
            while name in self._held:
                number += 1
                name = f"{stem} ({number}){suffix}"
            self._held[name], self._added[name] = data, time.time_ns()
        return name

    def stamp(self, name: str) -> tuple[int, int]:
        """Size in bytes, and the time in ns when it was added."""
        return len(self.read(name)), self._added[name]


def tidy(name: str, suffix: str) -> str:
    """A name of a file, made of what a client calls a photograph, with the ending of what it is."""
    name = FORBIDDEN.sub("_", name.replace("\\", "/").rpartition("/")[2])
    stem, ending = os.path.splitext(name)
    if ending.lower() not in ENDINGS.get(suffix, (suffix,)):
        stem, ending = name, suffix
    return (stem.strip(" .")[:LONGEST].encode("utf-8", "replace").decode() or "photograph") + ending
