"""Memory of a machine, and of control groups of both versions, read from a planted tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsm.limits import GIB, MIB
from dsm.memory.machine import Memory, memory


@pytest.fixture
def root(tmp_path: Path) -> Path:
    plant(
        tmp_path / "proc/meminfo", f"MemTotal: {16 * GIB // 1024} kB\nMemAvailable: {8 * GIB // 1024} kB\nHugePages: 0"
    )
    return tmp_path


def plant(path: Path, text: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


def test_a_machine_without_control_groups(root: Path) -> None:
    assert memory(root) == Memory(total=16 * GIB, available=8 * GIB, limit=None)
    assert memory(root).allowed == 16 * GIB


def test_a_container_with_a_limit(root: Path) -> None:
    plant(root / "proc/self/cgroup", "0::/")
    plant(root / "sys/fs/cgroup/memory.max", 2 * GIB)
    plant(root / "sys/fs/cgroup/memory.current", GIB)
    assert memory(root) == Memory(total=16 * GIB, available=GIB, limit=2 * GIB)
    assert memory(root).allowed == 2 * GIB


def test_the_tightest_group_above_counts(root: Path) -> None:
    plant(root / "proc/self/cgroup", "0::/user.slice/mine")
    plant(root / "sys/fs/cgroup/user.slice/mine/memory.max", "max")
    plant(root / "sys/fs/cgroup/user.slice/mine/memory.current", MIB)
    plant(root / "sys/fs/cgroup/user.slice/memory.max", GIB)
    plant(root / "sys/fs/cgroup/user.slice/memory.current", 600 * MIB)
    assert memory(root) == Memory(total=16 * GIB, available=GIB - 600 * MIB, limit=GIB)


def test_cached_files_do_not_count_as_used(root: Path) -> None:
    plant(root / "proc/self/cgroup", "0::/")
    plant(root / "sys/fs/cgroup/memory.max", 2 * GIB)
    plant(root / "sys/fs/cgroup/memory.current", 2 * GIB)
    plant(root / "sys/fs/cgroup/memory.stat", f"anon 5\ninactive_file {GIB}")
    assert memory(root).available == GIB


def test_version_one_of_control_groups(root: Path) -> None:
    plant(root / "proc/self/cgroup", "9:cpu,cpuacct:/x\n4:memory:/docker/1\n0::/")
    plant(root / "sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", GIB)
    plant(root / "sys/fs/cgroup/memory/docker/1/memory.usage_in_bytes", 3 * GIB)
    plant(root / "sys/fs/cgroup/memory/docker/1/memory.stat", f"total_inactive_file {GIB}")
    assert memory(root) == Memory(total=16 * GIB, available=0, limit=GIB)


def test_a_limit_above_the_machine_is_none(root: Path) -> None:
    plant(root / "proc/self/cgroup", "4:memory:/")
    plant(root / "sys/fs/cgroup/memory/memory.limit_in_bytes", 9223372036854771712)
    plant(root / "sys/fs/cgroup/memory/memory.usage_in_bytes", GIB)
    assert memory(root).limit is None


def test_this_machine_has_memory() -> None:
    here = memory()
    assert 0 < here.available <= here.total
    assert here.allowed <= here.total
