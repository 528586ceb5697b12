from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from acne_edge import cpus
from acne_edge.cpus import available_cpus


@pytest.fixture(autouse=True)
def _eight(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with sixteen processors, of which the affinity mask allows eight."""
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)


def system(root: Path, groups: str, **files: str) -> str:
    """A root folder with the control groups of the process and files of theirs."""
    for name, text in {"proc/self/cgroup": groups, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return str(root)


def test_the_affinity_mask_counts_and_not_the_machine(tmp_path: Path) -> None:
    assert available_cpus(str(tmp_path)) == 8
    assert cpus.limited_cpus() == available_cpus()


def test_a_whole_machine_is_left_to_the_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpus, "available_cpus", lambda: 16)
    assert cpus.limited_cpus() == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("5000 100000\n", 1),
        ("max 100000\n", 8),
        ("9000000 100000\n", 8),
        ("odd", 8),
        ("", 8),
        ("1 0", 8),
    ],
)
def test_the_quota_of_a_group_counts_rounded_up(tmp_path: Path, text: str, expected: int) -> None:
    assert available_cpus(system(tmp_path, "0::/\n", **{"sys/fs/cgroup/cpu.max": text})) == expected


def test_the_least_of_the_groups_above_counts(tmp_path: Path) -> None:
    root = system(
        tmp_path,
        "0::/kubepods/pod1/box\n",
        **{"sys/fs/cgroup/kubepods/pod1/box/cpu.max": "400000 100000", "sys/fs/cgroup/kubepods/pod1/cpu.max": "300000 100000"},
    )
    assert available_cpus(root) == 3


@pytest.mark.parametrize(("quota", "expected"), [("250000", 3), ("-1", 8)])
@pytest.mark.parametrize("path", ["", "docker/box/"])
def test_groups_of_version_1_count_too(tmp_path: Path, quota: str, expected: int, path: str) -> None:
    """In a container /proc names the group by the host's path, and /sys shows it at the top."""
    folder = f"sys/fs/cgroup/cpu/{path}"
    root = system(
        tmp_path,
        "12:memory:/docker/box\n4:cpu,cpuacct:/docker/box\n",
        **{f"{folder}cpu.cfs_quota_us": f"{quota}\n", f"{folder}cpu.cfs_period_us": "100000\n"},
    )
    assert available_cpus(root) == expected


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity") or os.cpu_count() == 1, reason="one processor, or no affinity here")
def test_a_process_that_is_held_to_one_processor_starts_one_worker_and_hears_nothing_of_affinity() -> None:
    code = (
        "import os; os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])\n"
        "import threading; from acne_edge import AcneGrader; from tests import drawing\n"
        "with AcneGrader.load() as grader:\n"
        "    results = grader.predict_many([drawing.face(width=64, height=64)] * 9)\n"
        "    next(results)\n"
        "    print(sum(t.name.startswith('acne-edge_') for t in threading.enumerate()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("1\n", "")
