"""How much memory this process may use: that of the machine, or less if its control group says so.

Both versions of control groups are read, from the process's own group up to the root, since any of them may set the
limit. In a container the own group usually is the root of what can be seen.

Source: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst of Linux.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_KIB = 1024
_ROOT = Path("/")


@dataclass(frozen=True, slots=True)
class Memory:
    """In bytes. `limit` is the smallest of the control groups', or None."""

    total: int
    available: int
    limit: int | None

    @property
    def allowed(self) -> int:
        """What may be used at most by everything together."""
        return self.total if self.limit is None else min(self.total, self.limit)


def memory(root: Path = _ROOT) -> Memory:
    """Read it; `root` is where /proc and /sys are."""
    lines = (root / "proc/meminfo").read_text().splitlines()
    known = {name: int(value.split()[0]) * _KIB for name, _, value in (line.partition(":") for line in lines)}
    total, available = known["MemTotal"], known["MemAvailable"]
    groups = [group for group in _groups(root) if group[0] < total]
    left = [limit - used for limit, used in groups]
    return Memory(total, max(0, min([available, *left])), min((limit for limit, _ in groups), default=None))


def _groups(root: Path) -> Iterator[tuple[int, int]]:
    """Limit and use of each control group that this process is in."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from _upwards(root / "sys/fs/cgroup", path, "memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            names = "memory.limit_in_bytes", "memory.usage_in_bytes"
            yield from _upwards(root / "sys/fs/cgroup/memory", path, *names)


def _upwards(mount: Path, path: str, limit_name: str, used_name: str) -> Iterator[tuple[int, int]]:
    own = PurePosixPath(path.lstrip("/"))
    for group in (own, *own.parents):
        limit, used = _text(mount / group / limit_name).strip(), _text(mount / group / used_name).strip()
        if limit.isdigit() and used.isdigit():  # "max" is none
            yield int(limit), int(used) - _reclaimable(mount / group)


def _reclaimable(group: Path) -> int:
    """Cached file pages: the kernel counts them as used, and drops them when somebody needs the room."""
    fields = dict(line.split(" ", 1) for line in _text(group / "memory.stat").splitlines())
    return int(fields.get("total_inactive_file", fields.get("inactive_file", 0)))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
