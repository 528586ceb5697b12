"""For PyInstaller, which finds this by the entry point `pyinstaller40`: a frozen program needs no options to find its model."""

from __future__ import annotations

import os


def get_hook_dirs() -> list[str]:
    """Where the hooks are."""
    return [os.path.dirname(__file__)]
