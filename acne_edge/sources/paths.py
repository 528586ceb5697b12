"""Expands paths as people type them (files, folders, globs, `-` for stdin), and decides which files in a folder are photographs.

One rule holds for everything that searches folders (`predict`, `watch`, `evaluate`, training). A file is a photograph if

* its name ends in one of `SUFFIXES`, in upper or lower case;
* neither it nor a folder between it and the named one is hidden (a name that begins with a dot: `.Trash-1000`,
  `.thumbnails`, macOS' `._IMG.jpg`) or one of `JUNK`, where systems keep deleted files and thumbnails;
* it is a regular file: pipes, sockets and devices are not.

Links are followed, but each file and folder is taken once, and a link to a folder that contains the named one is ignored. So a
photograph comes once however many links lead to it, and circles end. Two hard links are two photographs.

A file that is named explicitly is always taken, whatever its name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

from acne_edge.errors import ImageNotFoundError
from acne_edge.files import STDIN

HEIF_SUFFIXES = (".heic", ".heif", ".hif")
DICOM_SUFFIX = ".dcm"
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", *HEIF_SUFFIXES, DICOM_SUFFIX)
JUNK = frozenset((
    "@eadir", "thumbnails", "thumbs", "__macosx",  # small copies and attributes: Synology, cameras and viewers, macOS' archives
    "#recycle", "@recycle", "$recycle.bin", "recycler", "recycled", "trash", "lost+found",  # thrown away, or fallen off
    "#snapshot", "@recently-snapshot", "@tmp", "system volume information",
))  # fmt: skip
GLOB = re.compile(r"[*?[]")

OnError: TypeAlias = "Callable[[OSError], None]"


def photographs(folder: str | os.PathLike[str], on_error: OnError | None = None) -> list[str]:
    """The photographs anywhere under a folder, by the rule above, sorted. `on_error` is called for unreadable folders."""
    return sorted(os.path.join(folder, name) for name, _ in walk(folder, on_error))


def walk(
    folder: str | os.PathLike[str], on_error: OnError | None = None, on_other: Callable[[str], None] | None = None
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """The photographs anywhere under a folder, unsorted: each one's relative name and directory entry.

    `on_error` is called for folders that cannot be read, `on_other` for names that are not photographs.
    """
    return _Walk(on_error or (lambda error: None), on_other or (lambda name: None)).of(os.fspath(folder))


class _Walk:
    """One walk through a folder: files and folders first, then those that only links lead to."""

    def __init__(self, on_error: OnError, on_other: Callable[[str], None]) -> None:
        self._on_error, self._on_other = on_error, on_other
        self._folders: set[tuple[int, int]] = set()  # device and inode of those that were walked
        self._files: set[tuple[int, int]] = set()
        self._links: list[tuple[str, os.DirEntry[str]]] = []

    def of(self, folder: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """The photographs under a folder, each once: its relative name and directory entry."""
        above = os.path.realpath(folder)
        while above != os.path.dirname(above):  # a link to one of them leads round in a circle
            above = os.path.dirname(above)
            self._enter(above)
        if self._enter(folder):
            yield from self._inside(folder, "")
        links = iter(self._links)  # which grows meanwhile
        for name, link in links:
            try:
                if link.is_dir():
                    if self._enter(link.path):
                        yield from self._inside(link.path, name + "/")
                elif link.is_file() and is_photograph(link.name) and self._new_file(link):
                    yield name, link
                else:
                    self._on_other(name)
            except OSError:  # a link to itself
                self._on_other(name)

    def _inside(self, top: str, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
        below = [(top, prefix)]
        while below:
            folder, prefix = below.pop()
            try:
                with os.scandir(folder) as entries:
                    device = os.stat(folder).st_dev
                    for entry in entries:
                        name = prefix + entry.name
                        if is_junk(entry.name):
                            self._on_other(name)
                        elif entry.is_symlink():
                            self._links.append((name, entry))
                        elif entry.is_dir(follow_symlinks=False):
                            if self._enter(entry.path):
                                below.append((entry.path, name + "/"))
                        elif is_photograph(entry.name) and entry.is_file(follow_symlinks=False):
                            self._files.add((device, entry.inode()))
                            yield name, entry
                        else:
                            self._on_other(name)
            except OSError as error:
                self._on_error(error)

    def _enter(self, folder: str) -> bool:
        """Whether the folder was not walked yet. An unreadable folder is walked too, so that its error is reported."""
        try:
            status = os.stat(folder)
        except OSError:
            return True
        key = (status.st_dev, status.st_ino)
        new = key not in self._folders
        self._folders.add(key)
        return new

    def _new_file(self, link: os.DirEntry[str]) -> bool:
        status = link.stat()
        key = (status.st_dev, status.st_ino)
        new = key not in self._files
        self._files.add(key)
        return new


def is_photograph(name: str) -> bool:
    """Whether a file's name ends like a photograph's."""
    return name.lower().endswith(SUFFIXES)


def is_junk(name: str) -> bool:
    """Whether a name is hidden, or a system folder's."""
    return name.startswith(".") or name.lower() in JUNK


def expand(paths: list[str]) -> list[tuple[str, ImageNotFoundError | None]]:
    """Expand folders and globs to the photographs in them, in order; `-` and names of files are passed on unchanged.

    Each path comes with None, or with the error of a folder or glob without photographs, an unreadable folder or a missing path.
    """
    found: list[tuple[str, ImageNotFoundError | None]] = []

    def wrong(path: str, reason: str) -> None:
        found.append((path, ImageNotFoundError(reason)))

    def unreadable(error: OSError) -> None:
        wrong(os.fsdecode(error.filename), f"folder cannot be read: {error.strerror}")

    for path in paths:
        before = len(found)
        if path == STDIN or os.path.isfile(path):
            found.append((path, None))
        elif os.path.isdir(path):
            found += [(inside, None) for inside in photographs(path, unreadable)]
            if len(found) == before:
                wrong(path, f"the folder holds no photographs ({' '.join(SUFFIXES)})")
        elif os.path.lexists(path):
            found.append((path, None))
        elif GLOB.search(path):
            found += [(match, None) for match in _matches(path, unreadable)]
            if len(found) == before:
                wrong(path, "no photograph matches")
        else:
            wrong(path, _missing(path))
    return found


def _missing(path: str) -> str:
    folder = os.path.dirname(path)
    if folder and not os.path.isdir(folder):
        return f"no such folder: {folder}"
    return "no such file" if is_photograph(path) else "no such file or folder"


def _matches(pattern: str, on_error: OnError) -> list[str]:
    """Photographs that match a glob or are in folders that match, each once; junk only if the glob names it."""
    from glob import glob

    junk = JUNK - set(re.split(r"[/\\]", pattern.lower()))
    found: dict[str, str] = {}  # by what the links in their paths lead to
    for path in sorted(glob(pattern, recursive=True), key=lambda p: (p.count(os.sep), p)):
        if junk & set(re.split(r"[/\\]", path.lower())):
            continue
        inside = photographs(path, on_error) if os.path.isdir(path) else [path] if is_photograph(path) else []
        for photograph in filter(os.path.isfile, inside):
            found.setdefault(os.path.realpath(photograph), photograph)
    return sorted(found.values())
