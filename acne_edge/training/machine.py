"""The machine of a run: its device, its processes and its description."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from typing import NamedTuple

import torch

from acne_edge.errors import UsageError


def choose_device(name: str) -> torch.device:
    """`auto` (a GPU if PyTorch sees one), `cpu`, `cuda` or `cuda:N`. Raises UsageError for a device that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"device is {name!r}; expected auto, cpu or cuda") from error
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"device is {name!r}; expected auto, cpu or cuda")
    if device.type == "cuda":
        seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if seen <= (device.index or 0):
            built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
            raise UsageError(
                f"device {name}: PyTorch {torch.__version__}, {built}, sees {seen or 'no'} NVIDIA GPU; use --device cpu"
            )
    return device


class Processes(NamedTuple):
    """The processes that share every batch of a run; the first one alone evaluates and writes."""

    rank: int = 0
    number: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that evaluates and writes."""
        return self.rank == 0

    def device(self, device: torch.device) -> torch.device:
        """The GPU of this process; `device` unchanged for a single process or without GPUs."""
        if self.number == 1 or device.type != "cuda":
            return device
        return torch.device("cuda", self.rank % torch.cuda.device_count())

    def agree(self, value: int, device: torch.device) -> bool:
        """Whether all processes give the same value; each must ask. True for a single process."""
        if self.number == 1:
            return True
        from torch import distributed

        lowest = torch.tensor([value, -value], device=device)
        distributed.all_reduce(lowest, distributed.ReduceOp.MIN)
        return lowest.tolist() == [value, -value]


def join_processes(device: torch.device) -> Processes:
    """Join the processes that `torchrun` started, as its environment variables say; a single process without it."""
    from torch import distributed

    number = int(os.environ.get("WORLD_SIZE", "1"))
    if number == 1:
        return Processes()
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Processes(int(os.environ["RANK"]), number)


def has_bfloat16(device: torch.device) -> bool:
    """Whether to multiply in bfloat16. Without hardware support, emulation is 20 times slower than float32."""
    return device.type == "cuda" or (torch.backends.mkldnn.is_available() and cpu_has_bfloat16())


def cpu_has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 natively (AVX512-BF16 or AMX)."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def environment(device: torch.device) -> dict[str, str]:
    """Describes the machine of the run."""
    name = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{platform.machine()} CPU, {torch.get_num_threads()} threads"
    )
    precision = "bfloat16" if has_bfloat16(device) else "float32"
    return {"device": name, "torch": torch.__version__, "python": platform.python_version(), "precision": precision}


def keep_freed_memory() -> None:
    """Make glibc keep memory that a step frees for the next one, for the rest of the process.

    If it were returned to the kernel, every page would be cleared again at each step. Does nothing on other systems.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:  # musl has none
        for parameter in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
            mallopt(parameter, 2**31 - 1)
