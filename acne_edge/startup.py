"""Every trick whose only purpose is a faster start.

`scripts/startup` measures what each saves; `docs/benchmarks.md` has the table.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Pause the garbage collector during imports, when it would scan the new objects repeatedly and free nothing."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def import_onnxruntime() -> None:
    """Import ONNX Runtime in the calling thread, before a loading thread needs it: imports hold the interpreter's lock."""
    with suppress(ImportError):
        import onnxruntime  # noqa: F401


def exit_at_once(code: int) -> NoReturn:
    """End the process without tearing down the interpreter, which would free one by one what the system frees at once."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # full or closed, which was reported already
            stream.flush()
    os._exit(code)
