"""What `dsm doctor` knows about this machine, gathered once, so that findings are functions of a record.

Gathering changes nothing and never raises: what cannot be read is None, or an error's text.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import resource
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsm.errors import DsmError
from dsm.limits import PAGE_BYTES_DEFAULT

if TYPE_CHECKING:
    from dsm.memory.faults import Support
    from dsm.memory.machine import Memory

UNLIMITED = resource.RLIM_INFINITY

_CONTAINER_MARKS = ("/.dockerenv", "/run/.containerenv")


@dataclass(frozen=True, slots=True)
class File:
    """A file as `ls -l` shows it, and whether this process may read and write it."""

    path: str
    mode: int
    uid: int
    gid: int
    usable: bool

    @property
    def rights(self) -> str:
        return f"{stat.filemode(self.mode)} {_user(self.uid)} {_group(self.gid)}"


@dataclass(frozen=True, slots=True)
class Facts:
    """One machine, as this process sees it. Limits are (soft, hard); UNLIMITED is no limit."""

    version: str
    kernel: str
    distribution: str
    user: str
    uid: int
    in_container: bool
    support: Support
    device: File | None
    unprivileged_userfaultfd: int | None
    open_files: tuple[int, int]
    address_space: tuple[int, int]
    memory: Memory
    overcommit_memory: int | None
    memfd_error: str
    memfd_noexec: int | None
    socket: str
    socket_named: bool
    socket_file: File | None
    trusted_uids: frozenset[int]
    status: dict[str, Any] | None
    status_error: DsmError | None


def gather(socket: str | None) -> Facts:
    """Look at this machine; `socket` is the node daemon's, if the user named it."""
    import dsm
    from dsm.memory.faults import probe
    from dsm.memory.machine import memory
    from dsm.wire.local import default_socket

    path = socket or default_socket()
    status, status_error = _ask(path)
    return Facts(
        version=dsm.__version__,
        kernel=os.uname().release,
        distribution=_distribution(),
        user=_user(os.geteuid()),
        uid=os.geteuid(),
        in_container=any(map(os.path.exists, _CONTAINER_MARKS)) or "container" in os.environ,
        support=probe(),
        device=_file("/dev/userfaultfd"),
        unprivileged_userfaultfd=_sysctl("vm/unprivileged_userfaultfd"),
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE),
        address_space=resource.getrlimit(resource.RLIMIT_AS),
        memory=memory(),
        overcommit_memory=_sysctl("vm/overcommit_memory"),
        memfd_error=_try_memfd(),
        memfd_noexec=_sysctl("vm/memfd_noexec"),
        socket=path,
        socket_named=socket is not None,
        socket_file=_file(path),
        trusted_uids=_trusted_uids(),
        status=status,
        status_error=status_error,
    )


def _ask(socket: str) -> tuple[dict[str, Any] | None, DsmError | None]:
    from dsm.cli.options import connect

    try:
        with connect(socket) as client:
            return client.status(), None
    except DsmError as error:
        return None, error


def _file(path: str) -> File | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return File(path, found.st_mode, found.st_uid, found.st_gid, os.access(path, os.R_OK | os.W_OK))


def _sysctl(name: str) -> int | None:
    try:
        return int(Path("/proc/sys", name).read_text())
    except (OSError, ValueError):
        return None


def _try_memfd() -> str:
    from dsm.memory.segment import Segment

    try:
        Segment.create("doctor", PAGE_BYTES_DEFAULT).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _trusted_uids() -> frozenset[int]:
    named = os.environ.get("DSM_TRUST_UIDS", "").split(",")
    return frozenset({0, os.geteuid(), *(int(uid) for uid in named if uid.strip().isdigit())})


def _distribution() -> str:
    import platform

    with contextlib.suppress(OSError):
        return platform.freedesktop_os_release().get("ID", "")
    return ""


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
