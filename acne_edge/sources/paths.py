"""Paths as people type them: files, folders, globs, and `-` for bytes on stdin."""

from __future__ import annotations

import os
from pathlib import Path

from acne_edge.errors import ImageNotFoundError

HEIF_SUFFIXES = (".heic", ".heif", ".hif")
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", *HEIF_SUFFIXES)
STDIN = "-"


def photographs(folder: str | os.PathLike[str]) -> list[str]:
    """The photographs anywhere under a folder, by the endings of their names, sorted."""
    return sorted(str(p) for p in Path(folder).rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())


def expand(paths: list[str]) -> tuple[list[str], list[tuple[str, ImageNotFoundError]]]:
    """Folders and globs to the photographs in them. `-` and names of files stay as they are, whether the file is there or not.

    Returns the paths in order, and each folder or glob that holds none with the reason.
    """
    from glob import glob

    found: list[str] = []
    empty: list[tuple[str, ImageNotFoundError]] = []
    for path in paths:
        if path == STDIN:
            found.append(path)
        elif os.path.isdir(path):
            inside = photographs(path)
            found += inside
            if not inside:
                empty.append((path, ImageNotFoundError(f"directory without images ({' '.join(SUFFIXES)})")))
        elif any(c in path for c in "*?[") and not os.path.exists(path):
            inside = sorted(glob(path, recursive=True))
            found += inside
            if not inside:
                empty.append((path, ImageNotFoundError("no file matches")))
        else:
            found.append(path)
    return found, empty
