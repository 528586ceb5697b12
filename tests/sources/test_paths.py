"""Which files of a folder are photographs, and how typed paths are expanded."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from acne_edge.sources.paths import SUFFIXES, expand, photographs

posix = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes of POSIX")


def fill(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def under(root: Path) -> list[str]:
    return [Path(p).relative_to(root).as_posix() for p in photographs(root)]


def test_a_photograph_is_told_by_the_ending_of_its_name(tmp_path: Path) -> None:
    fill(
        tmp_path,
        *(f"a{suffix}" for suffix in SUFFIXES),
        "b.JPG",
        "sub/c.Heic",
        "notes.txt",
        "movie.mp4",
        "jpg",
        "a.jpg.part",
        "x.jpg~",
    )
    assert under(tmp_path) == sorted([*(f"a{suffix}" for suffix in SUFFIXES), "b.JPG", "sub/c.Heic"])


@pytest.mark.parametrize(
    "name",
    [
        ".hidden.jpg", "._IMG.jpg", ".Trash-1000/files/a.jpg", "DCIM/.thumbnails/17.jpg", "@eaDir/IMG.jpg/SYNOPHOTO_THUMB_M.jpg",
        "#recycle/a.jpg", "@Recycle/a.jpg", "$RECYCLE.BIN/S-1-5/a.jpg", "Thumbnails/a.jpg", "__MACOSX/a.jpg", "lost+found/a.jpg",
        ".@__thumb/a.jpg", "System Volume Information/a.jpg",
    ],
)  # fmt: skip
def test_hidden_thrown_away_and_small_copies_are_none(tmp_path: Path, name: str) -> None:
    fill(tmp_path, name, "kept/IMG.jpg")
    assert under(tmp_path) == ["kept/IMG.jpg"]


def test_a_folder_that_is_named_itself_is_looked_into_whatever_it_is_called(tmp_path: Path) -> None:
    fill(tmp_path, ".Trash-1000/a.jpg")
    assert under(tmp_path / ".Trash-1000") == ["a.jpg"]


def test_a_folder_that_is_called_like_a_photograph_is_a_folder(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg/b.jpg")
    assert under(tmp_path) == ["a.jpg/b.jpg"]


@posix
def test_pipes_and_sockets_are_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").symlink_to("/dev/zero")
    (tmp_path / "c.jpg").symlink_to("a.jpg")
    assert under(tmp_path) == []


@posix
def test_links_are_followed_and_each_photograph_comes_once(tmp_path: Path) -> None:
    root, other = tmp_path / "card", tmp_path / "other"
    fill(root, "a.jpg", "sub/b.jpg")
    fill(other, "c.jpg", "deep/d.jpg", "loose.jpg")
    for name, target in {
        "latest.jpg": "sub/b.jpg", "again": "sub", "broken.jpg": "nowhere.jpg", "self.jpg": "self.jpg", "1": other,
        "2": other / "deep", "e.jpg": other / "loose.jpg", "lone.jpg": tmp_path / "lone.jpg", "twice.jpg": tmp_path / "lone.jpg",
    }.items():  # fmt: skip
        (root / name).symlink_to(target)
    fill(tmp_path, "lone.jpg")
    found = photographs(root)
    assert sorted(os.path.basename(os.path.realpath(p)) for p in found) == [
        "a.jpg",
        "b.jpg",
        "c.jpg",
        "d.jpg",
        "lone.jpg",
        "loose.jpg",
    ]
    assert {"a.jpg", "sub/b.jpg"} <= set(under(root)), "what lies in the folder comes by its own name"


@posix
def test_links_in_a_circle_end(tmp_path: Path) -> None:
    root = tmp_path / "card"
    fill(root, "a.jpg")
    fill(tmp_path, "beside.jpg", "away/b.jpg")
    (root / "up").symlink_to(tmp_path)
    (root / "here").symlink_to(".")
    (root / "away").symlink_to(tmp_path / "away")
    (tmp_path / "away" / "back").symlink_to(root)
    assert under(root) == ["a.jpg", "away/b.jpg"], "a folder above is a circle, and not walked"


@posix
def test_a_link_to_a_file_in_a_hidden_folder_is_a_photograph(tmp_path: Path) -> None:
    fill(tmp_path, ".store/objects/1.jpg")
    (tmp_path / "IMG.jpg").symlink_to(".store/objects/1.jpg")
    assert under(tmp_path) == ["IMG.jpg"]


@posix
def test_hard_links_are_photographs_of_their_own(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg")
    (tmp_path / "b.jpg").hardlink_to(tmp_path / "a.jpg")
    assert under(tmp_path) == ["a.jpg", "b.jpg"]


def said(*paths: object) -> list[tuple[str, str]]:
    return [(os.path.basename(path), str(error or "")) for path, error in expand([str(p) for p in paths])]


def test_folders_and_globs_are_expanded_in_order_and_files_taken_at_their_word(tmp_path: Path) -> None:
    fill(tmp_path, "b/2.jpg", "b/1.jpg", "a.dat", ".h.jpg")
    assert said(tmp_path / "a.dat", tmp_path / "b", "-", tmp_path / ".h.jpg", tmp_path / "b" / "*.jpg") == [
        (name, "") for name in ("a.dat", "1.jpg", "2.jpg", "-", ".h.jpg", "1.jpg", "2.jpg")
    ]


def test_a_glob_takes_photographs_by_the_rule_each_once(tmp_path: Path) -> None:
    fill(tmp_path, "v1/a.jpg", "v1/notes.txt", "v2/deep/b.jpg", "v2/@eaDir/b.jpg")
    assert said(tmp_path / "v*") == [("a.jpg", ""), ("b.jpg", "")]
    assert said(tmp_path / "**") == [("a.jpg", ""), ("b.jpg", "")]
    assert said(tmp_path / "v2" / "@eaDir" / "*") == [("b.jpg", "")]
    if sys.platform != "win32":
        (tmp_path / "v1" / "loop").symlink_to(tmp_path)
        assert said(tmp_path / "**") == [("a.jpg", ""), ("b.jpg", "")]


def test_a_file_with_the_signs_of_a_glob_in_its_name_is_a_file(tmp_path: Path) -> None:
    fill(tmp_path, "a[1].jpg", "a1.jpg")
    assert said(tmp_path / "a[1].jpg") == [("a[1].jpg", "")]


def test_what_holds_no_photograph_says_why(tmp_path: Path) -> None:
    fill(tmp_path, "empty/notes.txt", "file.jpg")
    assert said(tmp_path / "empty")[0][1].startswith("the folder holds no photographs (.jpg ")
    assert said(tmp_path / "*.png")[0][1] == "no photograph matches"
    assert said(tmp_path / "gone.jpg")[0][1] == "no such file"
    assert said(tmp_path / "gone")[0][1] == "no such file or folder"
    for missing in (tmp_path / "gone" / "a.jpg", f"{tmp_path}/gone/"):
        assert said(missing)[0][1] == f"no such folder: {tmp_path / 'gone'}"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg", "closed/b.jpg")
    (tmp_path / "closed").chmod(0)
    try:
        assert sorted(said(tmp_path)) == [("a.jpg", ""), ("closed", "folder cannot be read: Permission denied")]
    finally:
        (tmp_path / "closed").chmod(0o700)


def test_a_folder_that_cannot_be_read_is_named_to_root_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "a.jpg", "closed/b.jpg")
    scandir = os.scandir

    def refusing(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert sorted(said(tmp_path)) == [("a.jpg", ""), ("closed", "folder cannot be read: Permission denied")]
