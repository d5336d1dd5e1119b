"""What the facts of a machine mean for dsm, and what to do about it. Pure functions over `Facts`.

A check gives one finding, or None where there is nothing to ask (no daemon, no question about its version).

    ok    as it should be
    warn  works, with a limit that is named
    bad   something that dsm is for does not work

A remedy is lines for a shell: pasted as they are they mend it, or do no harm. What cannot be a command is a comment.
"""

from __future__ import annotations

import re
import shlex
import stat
from dataclasses import dataclass
from typing import Literal

from dsm.cli.facts import UNLIMITED, Facts
from dsm.limits import MIB, REGION_BYTES_MAX, REGIONS_PER_NODE_MAX
from dsm.units import format_size

State = Literal["ok", "warn", "bad"]

_KERNEL_TRANSPARENT = (6, 4)
_KERNEL_POISON = (6, 6)
_KERNEL_DEVICE = (6, 1)
_OPEN_FILES_WANTED = 2 * REGIONS_PER_NODE_MAX  # the daemon: a memfd for each region, a userfaultfd for each attachment
_OPEN_FILES_REMEDY = 65536
_MEMORY_SCARCE = 256 * MIB
_MEMORY_NONE = 32 * MIB
_SYSCTL_DIRECTORY = "/etc/sysctl.d"
_LIMITS_DIRECTORY = "/etc/security/limits.d"
_UDEV_FILE = "/etc/udev/rules.d/60-userfaultfd.rules"
_SCOPED = "Until then use scoped access: region.read() and region.write()"


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check."""

    check: str
    state: State
    found: str
    meaning: str
    remedy: tuple[str, ...] = ()


def examine(facts: Facts) -> list[Finding]:
    """Every finding there is, in the order in which to mend them."""
    return [finding for check in CHECKS if (finding := check(facts)) is not None]


def kernel(facts: Facts) -> Finding:
    found = f"Linux {facts.kernel}"
    release = _release(facts.kernel)
    if release < _KERNEL_TRANSPARENT:
        meaning = f"Plain loads and stores on regions need Linux 6.4. {_SCOPED}"
        return Finding("kernel", "bad", found, meaning, _newer_kernel(facts))
    if release < _KERNEL_POISON:
        meaning = "Before Linux 6.6 a load of a page that cannot be had waits for ever in place of failing"
        return Finding("kernel", "warn", found, meaning, _newer_kernel(facts))
    return Finding("kernel", "ok", found, "New enough for everything")


def userfaultfd(facts: Facts) -> Finding:
    support = facts.support
    if support.mode == "full":
        return Finding("userfaultfd", "ok", "full", "Plain loads and stores on regions work, in system calls too")
    if support.mode == "user":
        meaning = "Plain loads and stores work, but a system call on a page that is not here fails with EFAULT"
        return Finding("userfaultfd", "warn", "user mode only", meaning, _grant_userfaultfd(facts))
    meaning = f"Plain loads and stores on regions do not work. {_SCOPED}"
    return Finding("userfaultfd", "bad", f"none: {support.reason}", meaning, _grant_userfaultfd(facts))


def device(facts: Facts) -> Finding:
    name = "/dev/userfaultfd"
    if facts.device is None:
        state: State = "ok" if facts.support.mode == "full" else "warn"
        meaning = "The device that lets an ordinary process use userfaultfd in full is not here"
        return Finding(
            "device", state, f"{name} is missing", meaning, () if state == "ok" else _grant_userfaultfd(facts)
        )
    found = f"{name} {facts.device.rights}"
    if facts.device.usable:
        return Finding("device", "ok", found, f"{facts.user} may use userfaultfd in full")
    if facts.support.mode == "full":
        return Finding("device", "ok", found, f"{facts.user} has no rights on it, and needs none here")
    return Finding("device", "warn", found, f"{facts.user} has no rights on it", _grant_userfaultfd(facts))


def unprivileged_userfaultfd(facts: Facts) -> Finding | None:
    value = facts.unprivileged_userfaultfd
    if value is None:
        return None
    meaning = {
        0: "The system call gives ordinary processes user mode only; the device is the way to more",
        1: "The system call gives every process userfaultfd in full",
    }.get(value, "An unknown setting")
    return Finding("vm.unprivileged_userfaultfd", "ok", str(value), meaning)


def memfd(facts: Facts) -> Finding:
    if not facts.memfd_error:
        return Finding("memfd", "ok", "works", "A node can keep regions in memory")
    meaning = "A node daemon cannot run here: it keeps each region in a memfd"
    remedy: tuple[str, ...] = ("# allow the system call memfd_create here (seccomp, SELinux or AppArmor forbid it)",)
    if facts.memfd_noexec == 2:
        remedy = _set_sysctl(facts, "vm.memfd_noexec", 1)
    return Finding("memfd", "bad", facts.memfd_error, meaning, remedy)


def overcommit(facts: Facts) -> Finding:
    found = f"vm.overcommit_memory = {facts.overcommit_memory}"
    if facts.overcommit_memory != 2:
        return Finding("overcommit", "ok", found, "Large sparse regions can be mapped")
    meaning = "The kernel counts every byte that is mapped, so regions larger than the free memory cannot be"
    return Finding("overcommit", "warn", found, meaning, _set_sysctl(facts, "vm.overcommit_memory", 0))


def address_space(facts: Facts) -> Finding:
    soft, hard = facts.address_space
    if soft == UNLIMITED:
        return Finding("address space", "ok", "no limit", "Regions of any size can be mapped")
    state: State = "warn" if soft < 2 * REGION_BYTES_MAX else "ok"
    meaning = "All regions that a process maps must fit in this"
    remedy = _raise_limit(facts, "as", "v", hard == UNLIMITED, "unlimited") if state == "warn" else ()
    return Finding("address space", state, format_size(soft), meaning, remedy)


def descriptors(facts: Facts) -> Finding:
    soft, hard = facts.open_files
    found = f"{_count(soft)} open files, {_count(hard)} if asked for"
    if soft == UNLIMITED or soft >= _OPEN_FILES_WANTED:
        return Finding("descriptors", "ok", found, f"Enough for {REGIONS_PER_NODE_MAX:,} regions")
    meaning = "A client needs one for each region, and a node one more for each client of it"
    enough = hard == UNLIMITED or hard >= _OPEN_FILES_WANTED
    wanted = _OPEN_FILES_REMEDY if hard == UNLIMITED or not enough else min(hard, _OPEN_FILES_REMEDY)
    return Finding("descriptors", "warn", found, meaning, _raise_limit(facts, "nofile", "n", enough, str(wanted)))


def memory(facts: Facts) -> Finding:
    available = facts.memory.available
    found = f"{format_size(available)} available of {format_size(facts.memory.allowed)}"
    if facts.memory.limit is not None:
        found += f" (limit of the control group; the machine has {format_size(facts.memory.total)})"
    if available < _MEMORY_SCARCE:
        state: State = "bad" if available < _MEMORY_NONE else "warn"
        return Finding(
            "memory", state, found, "Hardly a page can be held here", ("ps -eo rss,pid,comm --sort=-rss | head",)
        )
    promised = _promised(facts)
    if promised > available:
        meaning = f"The node may take {format_size(promised)} more, and then the kernel ends some process"
        fits = format_size(max(_MEMORY_SCARCE, available // 2) // MIB * MIB).replace(" ", "")
        return Finding("memory", "warn", found, meaning, (f"# start the node daemon with --memory-limit {fits}",))
    return Finding("memory", "ok", found, "Enough to hold pages")


def socket(facts: Facts) -> Finding:
    file = facts.socket_file
    if file is None:
        return _no_socket(facts)
    found = f"{facts.socket} {file.rights}"
    if not stat.S_ISSOCK(file.mode):
        return Finding("socket", "bad", found, "This is no socket", _other_sockets())
    if file.uid not in facts.trusted_uids:
        meaning = f"It belongs to someone else, who would decide what the memory of {facts.user} reads as"
        remedy = (f"# if you trust them: export DSM_TRUST_UIDS={file.uid}", *_other_sockets())
        return Finding("socket", "bad", found, meaning, remedy)
    return Finding("socket", "ok", found, "The way to the node daemon of this host")


def daemon(facts: Facts) -> Finding | None:
    if facts.socket_file is None:
        return None
    if facts.status is None:
        assert facts.status_error is not None, "a daemon answers or an error says why not"
        meaning = "Nothing on this host can use regions through it"
        return Finding("node", "bad", facts.status_error.message, meaning, _comment(facts.status_error.remedy))
    found = f"{facts.status.get('node')}, version {facts.status.get('version')}"
    return Finding("node", "ok", found, "The node daemon answers")


def version(facts: Facts) -> Finding | None:
    if facts.status is None:
        return None
    theirs = str(facts.status.get("version"))
    if theirs == facts.version:
        return Finding("version", "ok", facts.version, "Client and node daemon are of one version")
    found = f"{facts.version} here, {theirs} in the node daemon"
    meaning = "They understand each other, but one of them lacks what the other can do"
    remedy = (
        "# start the node daemon again from this installation, or install what it runs:",
        f"python3 -m pip install {shlex.quote(f'dsm-memory=={theirs}')}",
    )
    return Finding("version", "warn", found, meaning, remedy)


def directory(facts: Facts) -> Finding | None:
    if facts.status is None:
        return None
    address = str(facts.status.get("directory"))
    if facts.status.get("joined"):
        return Finding("directory", "ok", address, "The node is part of the cluster")
    meaning = "The node has no session with the directory: pages of other nodes cannot be had"
    remedy = (
        f"dsm status --directory {shlex.quote(address)}",
        "# if it does not answer, start it where this address leads: dsm directory --listen HOST:PORT",
    )
    return Finding("directory", "bad", f"{address} is not joined", meaning, remedy)


CHECKS = (
    kernel,
    userfaultfd,
    device,
    unprivileged_userfaultfd,
    memfd,
    overcommit,
    address_space,
    descriptors,
    memory,
    socket,
    daemon,
    version,
    directory,
)


# --- Remedies --------------------------------------------------------------------------------------------------------


def _newer_kernel(facts: Facts) -> tuple[str, ...]:
    known = {
        "ubuntu": "sudo apt-get install --yes linux-generic-hwe-$(. /etc/os-release; echo $VERSION_ID)",
        "debian": "sudo apt-get install -yt $(. /etc/os-release; echo $VERSION_CODENAME)-backports linux-image-amd64",
        "fedora": "sudo dnf upgrade --refresh --assumeyes kernel",
        "arch": "sudo pacman -Syu --noconfirm linux",
    }
    command = known.get(facts.distribution, "# install Linux 6.6 or newer")
    return _on_host(facts, command, "# then start the machine again")


def _grant_userfaultfd(facts: Facts) -> tuple[str, ...]:
    if facts.device is None and facts.in_container:
        return (
            "# give the container the device: docker run --device /dev/userfaultfd ...",
            '# in docker-compose.yml: devices: ["/dev/userfaultfd"]',
        )
    if facts.device is None and _release(facts.kernel) < _KERNEL_DEVICE:
        return _newer_kernel(facts)
    if facts.device is None:
        return _set_sysctl(facts, "vm.unprivileged_userfaultfd", 1)
    if facts.device.usable:
        return _newer_kernel(facts)
    rule = 'KERNEL=="userfaultfd", GROUP="userfaultfd", MODE="0660"'
    lines = (
        "sudo groupadd --force userfaultfd",
        _write(rule, _UDEV_FILE),
        "sudo chgrp userfaultfd /dev/userfaultfd && sudo chmod 0660 /dev/userfaultfd",
    )
    if facts.in_container:
        join = '# and give the container the group: --group-add "$(getent group userfaultfd | cut -d: -f3)"'
        return _on_host(facts, *lines, join)
    return (*lines, f"sudo usermod -aG userfaultfd {shlex.quote(facts.user)}", "newgrp userfaultfd")


def _set_sysctl(facts: Facts, name: str, value: int) -> tuple[str, ...]:
    return _on_host(
        facts, f"sudo sysctl -w {name}={value}", _write(f"{name} = {value}", f"{_SYSCTL_DIRECTORY}/60-{name}.conf")
    )


def _raise_limit(facts: Facts, name: str, letter: str, allowed: bool, value: str) -> tuple[str, ...]:
    """For this shell if that is `allowed`, and for later ones."""
    if facts.in_container and not allowed:
        return (f"# start the container with: docker run --ulimit {name}={value.replace('unlimited', '-1')} ...",)
    now = (f"ulimit -{letter} {value}",) if allowed else ()
    later = (_write(f"{facts.user} - {name} {value}", f"{_LIMITS_DIRECTORY}/60-dsm-{name}.conf"), "# then log in again")
    return now or later


def _write(line: str, path: str) -> str:
    """A file of its own for each line, so that pasting twice writes it once."""
    return f"echo {shlex.quote(line)} | sudo install -D -m 0644 /dev/stdin {path}"


def _on_host(facts: Facts, *lines: str) -> tuple[str, ...]:
    return ("# on the host, not in the container:", *lines) if facts.in_container else lines


def _no_socket(facts: Facts) -> Finding:
    found = f"{facts.socket} is missing"
    if facts.socket_named:
        meaning = "No node daemon has this socket"
        return Finding("socket", "bad", found, meaning, _other_sockets())
    meaning = "No node daemon runs on this host, or its socket is elsewhere"
    remedy = ("dsm up  # a cluster on this machine; or dsm node --directory HOST:PORT", *_other_sockets())
    return Finding("socket", "warn", found, meaning, remedy)


def _other_sockets() -> tuple[str, ...]:
    return ("grep 'node.*[.]sock' /proc/net/unix  # the sockets there are; choose one: export DSM_NODE=PATH",)


def _comment(text: str) -> tuple[str, ...]:
    return tuple(f"# {line}" for line in text.splitlines())


# --- Numbers ---------------------------------------------------------------------------------------------------------


def _release(kernel: str) -> tuple[int, ...]:
    match = re.match(r"(\d+)\.(\d+)", kernel)
    return tuple(map(int, match.groups())) if match else (0, 0)


def _promised(facts: Facts) -> int:
    """What the node daemon may still take."""
    match facts.status:
        case {"memory": {"limit": int(limit), "used": int(used)}}:
            return max(0, limit - used)
    return 0


def _count(limit: int) -> str:
    return "any number of" if limit == UNLIMITED else f"{limit:,}"
