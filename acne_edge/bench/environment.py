"""Describes the machine and the software that times were measured on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

CPU_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")


def environment() -> dict[str, Any]:
    """The machine and software of a measurement: processor, INT8 instructions, governor, device model, versions."""
    info = _read("/proc/cpuinfo")
    lines = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in info.splitlines())}
    flags = set((lines.get("flags") or lines.get("Features") or "").split())
    return {
        "machine": platform.machine(),
        "cpu": lines.get("model name") or platform.processor() or "unknown",
        "cores": os.cpu_count(),
        "cpu_flags": [flag for flag in CPU_FLAGS if flag in flags],
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or "unknown",
        "device": _read("/proc/device-tree/model").strip("\0") or _read("/sys/class/dmi/id/product_name") or "unknown",
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in ("acne-edge", "onnxruntime", "numpy", "pillow", "torch", "openvino")},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
