"""What results and measured times belong to: processor, system, versions."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from acne_edge import __version__

CPU_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")


def environment() -> dict[str, Any]:
    """What measured times belong to: processor, its INT8 instructions, governor, device model, versions."""
    lines = _cpuinfo()
    flags = set((lines.get("flags") or lines.get("Features") or "").split())
    return {
        "machine": platform.machine(),
        "cpu": _cpu(lines),
        "cores": os.cpu_count(),
        "cpu_flags": [flag for flag in CPU_FLAGS if flag in flags],
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or "unknown",
        "device": _read("/proc/device-tree/model").strip("\0") or _read("/sys/class/dmi/id/product_name") or "unknown",
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in ("acne-edge", "onnxruntime", "numpy", "pillow", "torch", "openvino")},
    }


def software(runtime: str) -> dict[str, str]:
    """What a result belongs to: versions of the package, of what decodes and of the `runtime`, by package; and the processor."""
    names = ("numpy", "pillow", "onnxruntime" if runtime.startswith("onnxruntime") else runtime.split(":")[0])
    versions = {name: _version(name) for name in names}
    found = {name: number for name, number in versions.items() if number is not None}
    return {
        "acne-edge": __version__,
        **found,
        "python": platform.python_version(),
        "cpu": f"{platform.machine()} {_cpu(_cpuinfo())}",
    }


def _cpuinfo() -> dict[str, str]:
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in _read("/proc/cpuinfo").splitlines())}


def _cpu(lines: dict[str, str]) -> str:
    return lines.get("model name") or platform.processor() or "unknown"


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
