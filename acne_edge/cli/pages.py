"""What the commands that write pages to read and print have in common."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from acne_edge.errors import UsageError


def check_target(file: Path, suffixes: Sequence[str]) -> None:
    """Say before the work begins what would be in the way of a page: UsageError, or MissingExtraError without the extra."""
    from acne_edge.report.page import check_installed

    if file.suffix.lower() not in suffixes:
        raise UsageError(f"{file}: a page is a {' or '.join(suffixes)} file")
    if file.is_dir():
        raise UsageError(f"{file}: is a folder; name a file")
    if not file.parent.is_dir():
        raise UsageError(f"{file}: no such folder: {file.parent}")
    check_installed()


def command() -> str:
    """The command that runs, as one would type it."""
    return shlex.join(["acne-edge", *sys.argv[1:]])
