"""Calls a command line in this process."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import NamedTuple

import pytest


class Done(NamedTuple):
    """A command's exit code and output."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The last line on stderr; what was logged before stands above it."""
        return self.err.splitlines()[-1]


def call(main: Callable[[], None], *arguments: object) -> Done:
    """Run `main` with these arguments."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr("sys.argv", ["command", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
    return Done(code, out.getvalue(), err.getvalue())
