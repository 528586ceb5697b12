"""Writing files so that a reader never meets half of one."""

from __future__ import annotations

import os
from pathlib import Path

from acne_edge.errors import AcneEdgeError


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
