"""Writing files so that a reader never meets half of one, and the caches they lie in."""

from __future__ import annotations

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
