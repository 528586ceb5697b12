"""Reads files that may be anything, writes files so that no reader ever sees half of one, and finds the user's folders."""

from __future__ import annotations

import errno
import os
import stat
import sys
from typing import TYPE_CHECKING

from acne_edge.errors import AcneEdgeError, BackendError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

STDIN = "-"  # in the place of a path


def read(path: str | os.PathLike[str], limit: int) -> bytes:
    """The bytes of a regular file. Raises OSError if it cannot be read, is a pipe or a device, or has over `limit` bytes."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "no regular file", os.fspath(path))
        size = min(status.st_size, limit)
        with open(descriptor, "rb", closefd=False) as stream:
            data = stream.read(size + 1)  # reading up to the limit would allocate all of it at once
            if size < len(data) <= limit:  # it grows, or is one of /proc, which have no size
                data += stream.read(limit + 1 - len(data))
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"larger than {limit / 1e6:.0f} MB", os.fspath(path))
    return data


def read_text(path: Path, limit: int) -> str:
    """A text in UTF-8, with or without a byte order mark; from stdin if the path is `-`.

    Raises UsageError if it cannot be read as such, or has over `limit` bytes.
    """
    try:
        if str(path) == STDIN:
            data = sys.stdin.buffer.read(limit + 1) if sys.stdin else b""
            if len(data) > limit:
                raise OSError(errno.EFBIG, f"larger than {limit / 1e6:.0f} MB")
        else:
            data = read(path, limit)
        return data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as UTF-8 text ({getattr(error, 'strerror', None) or error})") from error


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


def cache_folder(kind: str) -> str:
    """`$XDG_CACHE_HOME/acne-edge/KIND`, by default in `~/.cache`. Raises BackendError where there is no home."""
    root = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(root):  # the XDG Base Directory Specification says to ignore relative paths
        root = os.path.join(os.path.expanduser("~"), ".cache")
    if not os.path.isabs(root):  # without HOME and an entry in passwd, as in containers
        raise BackendError("no folder for caches, because HOME is not set; set XDG_CACHE_HOME to an absolute path")
    return os.path.join(root, "acne-edge", kind)


def state_folder(kind: str) -> str | None:
    """The folder for the state of a user's programs on this system; None if the user has no home folder."""
    import platformdirs  # here, because its import takes as long as a prediction

    try:
        root = platformdirs.user_state_dir("acne-edge", appauthor=False)
    except RuntimeError:  # versions before 4.14 return "~"
        return None
    return os.path.join(root, kind) if os.path.isabs(root) else None


def private(directory: str | os.PathLike[str]) -> None:
    """Make the directory if it is missing. Raises BackendError unless we (or root) own it and nobody else may write to it.

    Whoever can write to a cache of engines or graphs can run code here.
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
