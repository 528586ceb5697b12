"""Reading files that may be anything, writing them so that a reader never meets half of one, and the caches they lie in."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from acne_edge.errors import AcneEdgeError, BackendError

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, data: bytes) -> None:
    """Write a file so that the old one survives whatever goes wrong, a full disk included.

    Raises AcneEdgeError if the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise AcneEdgeError(f"{path}: cannot be written ({error.strerror}); the old file, if any, is untouched") from error
    finally:
        temporary.unlink(missing_ok=True)


def read_file(path: str | os.PathLike[str], limit: int) -> bytes:
    """The bytes of a regular file of at most `limit`; a pipe is not waited for, and no endless device is read.

    Raises OSError, with a `strerror`, for everything else.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise OSError(errno.EINVAL, kind, os.fspath(path))
        if status.st_size > limit:
            raise OSError(errno.EFBIG, f"larger than {limit >> 20} MB", os.fspath(path))
        with open(descriptor, "rb", closefd=False) as stream:
            data = stream.read(status.st_size + 1)
    finally:
        os.close(descriptor)
    if len(data) != status.st_size:  # it is being written, or is made up as it is read, as in /proc
        raise OSError(errno.EIO, "not of the size that the system states", os.fspath(path))
    return data


def cache_folder(kind: str) -> str:
    """`$XDG_CACHE_HOME/acne-edge/KIND`, by default in `~/.cache`."""
    root = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(root, "acne-edge", kind)


def private(directory: str | os.PathLike[str]) -> None:
    """Make the directory if need be. Raises BackendError unless it is ours (or root's) and only we may write.

    Whoever may write to a cache of engines or graphs decides what runs here.
    """
    try:
        os.makedirs(directory, exist_ok=True, mode=0o700)
        status = os.stat(directory)
    except OSError as error:
        raise BackendError(f"{directory}: cannot be used as a cache ({error.strerror})") from error
    if (
        not stat.S_ISDIR(status.st_mode)
        or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        or status.st_uid not in (os.getuid(), 0)
    ):
        raise BackendError(f"{directory}: others may write to this cache; chmod it to 700 or name another")
