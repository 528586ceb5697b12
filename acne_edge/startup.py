"""Every trick that makes a first prediction start sooner. Nowhere else is there code for that alone.

What each saves is measured by `scripts/startup`; see the table in `docs/benchmarks.md`.
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
    """Import without the garbage collector: it walks what is being imported again and again, and finds nothing to free."""
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
    """End the process without taking the interpreter apart, which would free module by module what the system frees at once."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # full, or closed: what there was to say of it has been said
            stream.flush()
    os._exit(code)
