"""How many processors this process may use, which can be fewer than the machine has (affinity, container limits)."""

from __future__ import annotations

import os
from collections.abc import Iterator


def available_cpus(root: str = "/") -> int:
    """Processors that this process may keep busy, at least 1.

    This is the least of three: the machine's number, the affinity mask's (`taskset`, cpusets), and the processor time that the
    control groups grant (`docker run --cpus`, Kubernetes limits), rounded up. `root` is the folder that holds /proc and /sys.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([affinity, *(-int(-quota // 1) for quota in _quotas(root))]))


def limited_cpus() -> int:
    """`available_cpus` if they are fewer than the machine's; else 0, which lets the runtime choose."""
    cpus = available_cpus()
    return cpus if cpus < (os.cpu_count() or 1) else 0


def _quotas(root: str) -> Iterator[float]:
    """The number of processors that each control group grants, for cgroup versions 1 and 2."""
    for line in _text(os.path.join(root, "proc/self/cgroup")).splitlines():
        controllers, _, path = line.partition(":")[2].partition(":")
        if not controllers:
            for folder in _upwards(os.path.join(root, "sys/fs/cgroup"), path):
                quota, _, period = _text(os.path.join(folder, "cpu.max")).strip().partition(" ")
                yield from _ratio(quota, period)
        elif "cpu" in controllers.split(","):
            for folder in _upwards(os.path.join(root, "sys/fs/cgroup/cpu"), path):
                names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
                yield from _ratio(*(_text(os.path.join(folder, name)).strip() for name in names))


def _upwards(top: str, path: str) -> Iterator[str]:
    """A group's folder and its parents. In a container the path may be the host's, and the group's folder is `top`."""
    path = path.strip("/")
    while path and ".." not in path:
        yield os.path.join(top, path)
        path = os.path.dirname(path)
    yield top


def _ratio(quota: str, period: str) -> Iterator[float]:
    if quota.isdecimal() and period.isdecimal() and int(period):  # else "max", "-1", or nothing
        yield int(quota) / int(period)


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read(65536)
    except OSError:
        return ""
