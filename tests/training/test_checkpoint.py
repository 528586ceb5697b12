from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from acne_edge.errors import AcneEdgeError, UsageError
from acne_edge.training import checkpoint


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3), "b": torch.tensor(4)}
    checkpoint.save(tmp_path / "c.safetensors", tensors, {"epoch": 3})
    loaded, info = checkpoint.load(tmp_path / "c.safetensors")
    assert info == {"epoch": 3}
    assert all(torch.equal(loaded[k], v) for k, v in tensors.items())


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, {"a": torch.ones(1)}, {"epoch": 1})

    def full_disk(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(AcneEdgeError, match=r"c\.safetensors: cannot be written \(No space left on device\); the old file"):
        checkpoint.save(path, {"a": torch.zeros(1)}, {"epoch": 2})
    assert checkpoint.load(path)[1] == {"epoch": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["c.safetensors"]


def test_a_damaged_or_foreign_file_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "c.safetensors"
    checkpoint.save(path, {"a": torch.ones(100)}, {})
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(UsageError, match="cannot be read"):
        checkpoint.load(path)
    with pytest.raises(UsageError, match="cannot be read"):
        checkpoint.load(tmp_path / "missing.safetensors")
    save_file({"a": torch.ones(1)}, path)
    with pytest.raises(UsageError, match="not a checkpoint written by acne-edge"):
        checkpoint.load(path)


def test_prefixes_come_off_as_they_went_on() -> None:
    tensors = {"x.y": torch.ones(1)}
    assert checkpoint.unprefixed("ema", {**checkpoint.prefixed("ema", tensors), "model.z": torch.ones(1)}) == tensors
