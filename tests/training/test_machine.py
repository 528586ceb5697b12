from __future__ import annotations

import platform
import subprocess
import sys

import pytest
import torch

from acne_edge.errors import UsageError
from acne_edge.training.machine import Processes, choose_device, join_processes


def test_auto_is_a_gpu_where_pytorch_sees_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for seen in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda seen=seen: seen)
        assert choose_device("auto").type == ("cuda" if seen else "cpu")


@pytest.mark.parametrize(
    ("name", "gpus", "says"),
    [
        ("cuda", 0, r"device cuda: PyTorch .* sees no NVIDIA GPU; use --device cpu"),
        ("cuda:2", 2, r"device cuda:2: PyTorch .* sees 2 NVIDIA GPU"),
        ("abacus", 0, r"device is 'abacus'; expected auto, cpu or cuda"),
        ("meta", 0, r"device is 'meta'; expected auto, cpu or cuda"),
    ],
)
def test_a_device_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch, name: str, gpus: int, says: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(UsageError, match=says) as refused:
        choose_device(name)
    assert "\n" not in str(refused.value)


def test_one_process_is_alone_and_several_share_the_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert join_processes(cpu) == Processes(0, 1)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [Processes(rank, 4).device(gpu).index for rank in range(4)] == [0, 1, 0, 1]
    assert Processes(1, 4).device(cpu) == cpu
    assert Processes().device(gpu) == gpu
    assert [Processes(rank, 2).first for rank in range(2)] == [True, False]


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such setting")
def test_training_keeps_the_memory_that_a_step_frees() -> None:
    program = """
import os
import numpy as np
from pathlib import Path
from acne_edge.training.machine import keep_freed_memory

def resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

def left(megabytes: int = 200) -> float:
    before = resident()
    block = np.ones(megabytes * 10**6, np.uint8)
    del block
    return resident() - before

print(left())
keep_freed_memory()
print(left())
"""
    given_back, kept = map(float, subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout.split())
    assert given_back < 20
    assert kept > 180
