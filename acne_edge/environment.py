"""What results and measured times belong to: processor, system, versions."""

from __future__ import annotations

import os
import platform
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

CPU_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")
MAKERS = {  # of results: what decodes, computes and runs; name and module
    "acne-edge": "acne_edge", "numpy": "numpy", "pillow": "PIL", "pillow-heif": "pillow_heif", "pydicom": "pydicom",
    "onnxruntime": "onnxruntime", "openvino": "openvino", "tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx",
}  # fmt: skip


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


def software() -> dict[str, str]:
    """What a result belongs to: versions of all that is loaded and may change it, and the processor."""
    loaded = {name: getattr(sys.modules.get(module), "__version__", None) for name, module in MAKERS.items()}
    found = {name: str(number) for name, number in loaded.items() if number is not None}
    return {**found, "python": platform.python_version(), "cpu": f"{platform.machine()} {_cpu(_cpuinfo())}"}


@cache
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
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
