from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from acne_edge import models
from acne_edge.errors import ModelError, ModelIntegrityError


@pytest.mark.parametrize("name", list(models.index()))
def test_a_shipped_model_is_the_listed_one(name: str) -> None:
    entry, file = models.index()[name], models.load_model(name)
    assert file.sha256 == entry["sha256"] == hashlib.sha256(file.data).hexdigest()
    assert len(file.data) == entry["bytes"] < 25_000_000


def test_the_default_is_the_first_listed() -> None:
    assert models.load_model().name == next(iter(models.index()))


def tampered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: bytes | None) -> None:
    """Point the package's resources at a copy whose default model is `data`, or missing."""
    name = next(iter(models.index()))
    if data is not None:
        (tmp_path / str(models.index()[name]["file"])).write_bytes(data)
    monkeypatch.setattr(models, "FOLDER", str(tmp_path))


def test_a_tampered_model_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = bytearray(models.load_model().data)
    data[len(data) // 2] ^= 1
    tampered(monkeypatch, tmp_path, bytes(data))
    with pytest.raises(ModelIntegrityError, match="not the one that was shipped"):
        models.load_model()


def test_a_missing_model_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tampered(monkeypatch, tmp_path, None)
    with pytest.raises(ModelIntegrityError, match="missing"):
        models.load_model()


@pytest.mark.parametrize("path", ["no-such-model", ".", "nul\0"])
def test_an_unreadable_path_names_the_shipped_models(path: str) -> None:
    with pytest.raises(ModelError, match=next(iter(models.index()))):
        models.load_model(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system")
def test_a_path_that_never_ends_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    for path in (tmp_path / "pipe.onnx", "/dev/zero"):
        with pytest.raises(ModelError, match="no regular file"):
            models.load_model(path)
    monkeypatch.setattr(models, "MAX_BYTES", 3)
    (tmp_path / "large.onnx").write_bytes(b"1234")
    with pytest.raises(ModelError, match="larger than"):
        models.load_model(tmp_path / "large.onnx")


def test_a_file_is_read_by_path(tmp_path: Path) -> None:
    file = tmp_path / "mine.onnx"
    file.write_bytes(b"bytes")
    assert models.load_model(file) == models.ModelFile("mine.onnx", b"bytes", hashlib.sha256(b"bytes").hexdigest())
