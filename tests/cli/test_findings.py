"""Every finding of `dsm doctor`, from planted facts."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from dsm.cli.facts import UNLIMITED, Facts, File
from dsm.cli.findings import CHECKS, Finding, examine
from dsm.errors import NodeUnavailable
from dsm.limits import GIB, MIB
from dsm.memory.faults import Support
from dsm.memory.machine import Memory

SOCKET = "/run/dsm/node.sock"
FULL = Support("full", "6.12.0", ("poison",), (), "", "")
USER = replace(FULL, mode="user")
NONE = replace(FULL, mode=None, reason="no rights on /dev/userfaultfd")
DEVICE = File("/dev/userfaultfd", stat.S_IFCHR | 0o660, 0, 990, usable=True)
CLOSED_DEVICE = File("/dev/userfaultfd", stat.S_IFCHR | 0o600, 0, 0, usable=False)
STATUS: dict[str, Any] = {
    "node": "a",
    "version": "0.1.0",
    "directory": "10.0.0.1:4711",
    "joined": True,
    "memory": {"used": 0, "limit": GIB},
}
WELL = Facts(
    version="0.1.0",
    kernel="6.12.0-amd64",
    distribution="debian",
    user="mary",
    uid=1000,
    in_container=False,
    support=FULL,
    device=DEVICE,
    unprivileged_userfaultfd=0,
    open_files=(1 << 20, 1 << 20),
    address_space=(UNLIMITED, UNLIMITED),
    memory=Memory(total=16 * GIB, available=8 * GIB, limit=None),
    overcommit_memory=0,
    memfd_error="",
    memfd_noexec=0,
    socket=SOCKET,
    socket_named=False,
    socket_file=File(SOCKET, stat.S_IFSOCK | 0o600, 1000, 1000, usable=True),
    trusted_uids=frozenset({0, 1000}),
    status=STATUS,
    status_error=None,
)
REFUSED = NodeUnavailable("nobody listens there", remedy="Start it\nagain")
NO_DAEMON: dict[str, Any] = {"status": None, "status_error": REFUSED}
CONTAINER: dict[str, Any] = {"in_container": True}

#: What is changed, which check notices, the state, words of what was found or means, words of the remedy.
CASES: dict[str, tuple[dict[str, Any], str, str, str, str]] = {
    "an old kernel": ({"kernel": "6.1.0-18-amd64"}, "kernel", "bad", "need Linux 6.4", "-backports linux-image-amd64"),
    "a kernel without poison": ({"kernel": "6.5.0"}, "kernel", "warn", "waits for ever", "-backports"),
    "an old kernel on Ubuntu": (
        {"kernel": "5.15.0-1-generic", "distribution": "ubuntu"}, "kernel", "bad", "6.4", "linux-generic-hwe-"
    ),
    "an old kernel somewhere": ({"kernel": "5.15", "distribution": "x"}, "kernel", "bad", "6.4", "# install Linux"),
    "an old kernel below a container": ({"kernel": "5.15", **CONTAINER}, "kernel", "bad", "6.4", "# on the host"),
    "a kernel of its own kind": ({"kernel": "weird"}, "kernel", "bad", "weird", "-backports"),
    "user mode only": (
        {"support": USER, "device": CLOSED_DEVICE}, "userfaultfd", "warn", "EFAULT", "sudo groupadd --force userfaultfd"
    ),
    "no userfaultfd": (
        {"support": NONE, "device": CLOSED_DEVICE},
        "userfaultfd", "bad", "scoped access", "usermod -aG userfaultfd mary"
    ),
    "no userfaultfd in spite of the device": (
        {"support": NONE},
        "userfaultfd", "bad", "none: no rights", "linux-image"
    ),
    "a device for others": (
        {"support": USER, "device": CLOSED_DEVICE}, "device", "warn", "crw------- root root", 'KERNEL=="userfaultfd"'
    ),
    "a device for others in a container": (
        {"support": USER, "device": CLOSED_DEVICE, **CONTAINER}, "device", "warn", "no rights", "--group-add"
    ),
    "a device that is not needed": ({"device": CLOSED_DEVICE}, "device", "ok", "needs none", ""),
    "no device and none needed": ({"device": None}, "device", "ok", "missing", ""),
    "no device": ({"support": USER, "device": None}, "device", "warn", "missing", "vm.unprivileged_userfaultfd=1"),
    "no device in a container": (
        {"support": USER, "device": None, **CONTAINER}, "device", "warn", "missing", "--device /dev/userfaultfd"
    ),
    "a kernel before the device": (
        {"support": NONE, "device": None, "kernel": "5.15"}, "device", "warn", "missing", "linux-image"
    ),
    "userfaultfd for everybody": ({"unprivileged_userfaultfd": 1}, "vm.unprivileged_userfaultfd", "ok", "every", ""),
    "no memfd": ({"memfd_error": "Function not implemented"}, "memfd", "bad", "not implemented", "# allow"),
    "memfd forbidden by sysctl": (
        {"memfd_error": "Permission denied", "memfd_noexec": 2},
        "memfd", "bad", "cannot run", "sysctl -w vm.memfd_noexec=1"
    ),
    "strict overcommit": (
        {"overcommit_memory": 2}, "overcommit", "warn", "counts every byte", "sysctl -w vm.overcommit_memory=0"
    ),
    "strict overcommit below a container": (
        {"overcommit_memory": 2, **CONTAINER},
        "overcommit", "warn", "", "# on the host"
    ),
    "little address space": (
        {"address_space": (GIB, UNLIMITED)},
        "address space", "warn", "1 GiB", "ulimit -v unlimited"
    ),
    "little address space for good": (
        {"address_space": (GIB, GIB)}, "address space", "warn", "1 GiB", "'mary - as unlimited'"
    ),
    "few descriptors for now": (
        {"open_files": (1024, 1 << 20)}, "descriptors", "warn", "1,024 open files", "ulimit -n 65536"
    ),
    "few more descriptors": ({"open_files": (1024, 20000)}, "descriptors", "warn", "20,000", "ulimit -n 20000"),
    "no limit to ask for": ({"open_files": (1024, UNLIMITED)}, "descriptors", "warn", "any number", "ulimit -n 65536"),
    "few descriptors for good": (
        {"open_files": (1024, 4096)}, "descriptors", "warn", "4,096 if asked", "'mary - nofile 65536' | sudo install"
    ),
    "few descriptors in a container": (
        {"open_files": (1024, 4096), **CONTAINER}, "descriptors", "warn", "1,024", "--ulimit nofile=65536"
    ),
    "scarce memory": (
        {"memory": Memory(GIB, 100 * MIB, None)},
        "memory", "warn", "100 MiB available of 1 GiB", "ps -eo"
    ),
    "no memory": ({"memory": Memory(GIB, MIB, None)}, "memory", "bad", "Hardly a page", "ps -eo"),
    "a control group's limit": (
        {"memory": Memory(16 * GIB, 2 * GIB, 2 * GIB)},
        "memory", "ok", "limit of the control group; the machine has 16", ""
    ),
    "more memory promised than there is": (
        {"memory": Memory(4 * GIB, 900 * MIB, None)}, "memory", "warn", "may take 1 GiB more", "--memory-limit 450MiB"
    ),
    "no daemon": ({"socket_file": None, **NO_DAEMON}, "socket", "warn", "No node daemon runs", "dsm up"),
    "no daemon where one was named": (
        {"socket_file": None, "socket_named": True, **NO_DAEMON}, "socket", "bad", "is missing", "/proc/net/unix"
    ),
    "a file in place of a socket": (
        {"socket_file": File(SOCKET, stat.S_IFREG | 0o600, 1000, 1000, True), **NO_DAEMON},
        "socket", "bad", "no socket", "export DSM_NODE=PATH",
    ),
    "a stranger's socket": (
        {"socket_file": File(SOCKET, stat.S_IFSOCK | 0o666, 4242, 4242, True), **NO_DAEMON},
        "socket", "bad", "srw-rw-rw- 4242 4242", "DSM_TRUST_UIDS=4242",
    ),
    "a daemon that does not answer": (NO_DAEMON, "node", "bad", "nobody listens there", "# Start it"),
    "a daemon of another version": (
        {"status": STATUS | {"version": "0.2.0"}},
        "version", "warn", "0.1.0 here, 0.2.0 in", "pip install dsm-memory==0.2.0"
    ),
    "a daemon outside of the cluster": (
        {"status": STATUS | {"joined": False}}, "directory", "bad", "not joined", "dsm status --directory 10.0.0.1:4711"
    ),
}  # fmt: skip


def findings(changes: dict[str, Any]) -> dict[str, Finding]:
    return {finding.check: finding for finding in examine(replace(WELL, **changes))}


def test_all_is_well_where_all_is_well() -> None:
    found = findings({})
    assert len(found) == len(CHECKS)
    assert all(finding.state == "ok" and not finding.remedy for finding in found.values())
    assert all(finding.found and finding.meaning for finding in found.values())


@pytest.mark.parametrize(("changes", "check", "state", "words", "remedy"), CASES.values(), ids=CASES)
def test_a_finding(changes: dict[str, Any], check: str, state: str, words: str, remedy: str) -> None:
    finding = findings(changes)[check]
    assert finding.state == state
    assert words in f"{finding.found} {finding.meaning}"
    assert remedy in "\n".join(finding.remedy)
    assert bool(finding.remedy) == (state != "ok")


@pytest.mark.parametrize("changes", [case[0] for case in CASES.values()], ids=CASES)
def test_a_remedy_can_be_pasted(changes: dict[str, Any]) -> None:
    for line in _remedies(changes):
        parsed = subprocess.run(["bash", "-n"], input=f"{line}\n", capture_output=True, text=True, check=False)
        assert (parsed.returncode, parsed.stderr) == (0, ""), line


def test_a_place_holder_is_only_in_comments() -> None:
    lines = {line for changes, *_ in CASES.values() for line in _remedies(changes)}
    commands = [line.split("#")[0] for line in lines]
    assert not [line for line in commands if "PATH" in line or "HOST" in line or "..." in line]


def test_without_a_daemon_nothing_is_said_about_it() -> None:
    found = findings({"socket_file": None, **NO_DAEMON})
    assert {"node", "version", "directory"}.isdisjoint(found)


def test_nothing_is_said_of_a_setting_that_this_kernel_does_not_have() -> None:
    assert "vm.unprivileged_userfaultfd" not in findings({"unprivileged_userfaultfd": None})


def _remedies(changes: dict[str, Any]) -> Iterator[str]:
    return (line for finding in findings(changes).values() for line in finding.remedy)
