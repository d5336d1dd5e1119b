"""Page faults of clients, reported to and answered by the node daemon, through userfaultfd.

    client                                          node daemon
    Uffd.open() ── register(address, length)
        └─ descriptor, address ──Unix socket──▶     FaultSource(fd, address, length)
    a load or store stops in the kernel ───────▶    read() -> [Fault(offset, kind), ...]
    it goes on                         ◀────────    map(), unprotect(), or poison()

Two modes. "full": faults taken inside the kernel are reported too, as in `os.write(fd, array)`. "user": all that an
unprivileged process gets by default; such a system call on a page that is not there fails with EFAULT.

The floor is Linux 6.4, where UFFDIO_CONTINUE learnt to map write-protected. It has no feature bit of its own, so
WP_UNPOPULATED, which came with the same release, stands for it. Poison is Linux 6.6, and used if there.

Caveats:
* When the last copy of a userfaultfd is closed, faults in its range are no longer reported and readers get zeros. So
  nothing here closes a descriptor from a finalizer, and somebody must keep a copy until the mapping is gone.
* A userfaultfd does not report that its process has ended. The answer to the next ioctl does (`Detached`).
* A client can make its userfaultfd blocking again after handing it over, since the flag is shared; `read()` is
  therefore only called when the descriptor polls as readable.
* `FaultSource` is for one thread: its ioctl argument is one preallocated buffer.

Sources: userfaultfd(2), ioctl_userfaultfd(2), fs/userfaultfd.c and mm/userfaultfd.c of Linux.
"""

from __future__ import annotations

import enum
import errno
import fcntl
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from dsm.errors import ProtocolError, TransparentAccessUnavailable
from dsm.limits import FAULT_READ_MESSAGES_MAX, FAULT_RETRIES_MAX
from dsm.memory import syscalls

Mode = Literal["full", "user"]

_REQUIRED = {
    "pagefault-flag-wp": syscalls.FEATURE_PAGEFAULT_FLAG_WP,
    "missing-shmem": syscalls.FEATURE_MISSING_SHMEM,
    "minor-shmem": syscalls.FEATURE_MINOR_SHMEM,
    "wp-shmem": syscalls.FEATURE_WP_HUGETLBFS_SHMEM,
    "wp-unpopulated": syscalls.FEATURE_WP_UNPOPULATED,
}
_OPTIONAL = {"poison": syscalls.FEATURE_POISON}
_FEATURES = _REQUIRED | _OPTIONAL

_REGISTER_MODES = syscalls.REGISTER_MODE_MISSING | syscalls.REGISTER_MODE_MINOR | syscalls.REGISTER_MODE_WP
_OPEN_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK

_API = struct.Struct("=QQQ")  # struct uffdio_api: api, features, ioctls
_REGISTER = struct.Struct("=QQQQ")  # struct uffdio_register: start, length, mode, ioctls
_RANGE = struct.Struct("=QQ")  # struct uffdio_range: start, length
_WRITEPROTECT = struct.Struct("=QQQ")  # struct uffdio_writeprotect: start, length, mode
_FILL = struct.Struct("=QQQq")  # struct uffdio_continue, struct uffdio_poison: start, length, mode, bytes done
_FILL_DONE = struct.Struct("=q")
_FILL_DONE_OFFSET = 24
_MESSAGE = struct.Struct("=B7xQQ8x")  # struct uffd_msg: event, flags, address

_ACCESS_REMEDY = (
    "Give this user read and write access to /dev/userfaultfd (to a container, the device), "
    "or use region.read() and region.write()"
)
_KERNEL_REMEDY = "Use Linux 6.4 or newer, or region.read() and region.write()"


class FaultKind(enum.Enum):
    """Why a load or store stopped: what is missing, and for which access."""

    READ_MISSING = "read of a page that is not in the memfd"
    WRITE_MISSING = "write to a page that is not in the memfd"
    READ_MINOR = "read of a page that is in the memfd and not mapped here"
    WRITE_MINOR = "write to a page that is in the memfd and not mapped here"
    WRITE_PROTECTED = "write to a page that is mapped here write-protected"


class Fault(NamedTuple):
    """One stopped access. `offset` is that of the OS page, from the start of the region."""

    offset: int
    kind: FaultKind


class Detached(Exception):
    """The client has unmapped the range or ended: not an error, there is nobody left to answer."""


@dataclass(frozen=True, slots=True)
class Support:
    """What this process and kernel offer. `mode` is None if transparent access is not possible, for `reason`."""

    mode: Mode | None
    kernel: str
    features: tuple[str, ...]
    missing: tuple[str, ...]
    reason: str
    remedy: str


def probe() -> Support:
    """Find out what there is. Leaves nothing behind: asking for features enables them, so a throw-away is asked."""
    try:
        fd, mode = _open()
    except TransparentAccessUnavailable as refused:
        return Support(None, os.uname().release, (), tuple(_REQUIRED), refused.message, refused.remedy)
    try:
        return _judge(_handshake(fd, 0), mode)
    except OSError as error:
        reason = f"userfaultfd refuses the handshake: {error.strerror}"
        return Support(None, os.uname().release, (), tuple(_REQUIRED), reason, _KERNEL_REMEDY)
    finally:
        os.close(fd)


class Uffd:
    """A client's userfaultfd. Closed only by `close()`: see the caveats of the module."""

    def __init__(self, fd: int, mode: Mode) -> None:
        self._fd = fd
        self.mode = mode

    @classmethod
    def open(cls) -> Uffd:
        """A new userfaultfd with the features that the protocol needs.

        Raises:
            TransparentAccessUnavailable: with the exact reason, and what to do about it.
        """
        support = probe()
        if support.mode is None:
            raise TransparentAccessUnavailable(support.reason, remedy=support.remedy)
        fd, mode = _open()
        # WP_UNPOPULATED is only the sign of Linux 6.4; it concerns anonymous memory and is not enabled.
        wanted = sum(_FEATURES[name] for name in support.features) & ~syscalls.FEATURE_WP_UNPOPULATED
        _handshake(fd, wanted)
        return cls(fd, mode)

    def fileno(self) -> int:
        return self._fd

    def register(self, address: int, length: int) -> None:
        """Report faults of this mapping from now on. It must be made already, from a writable descriptor.

        Raises:
            TransparentAccessUnavailable: the kernel does not watch such a mapping.
        """
        argument = bytearray(_REGISTER.pack(address, length, _REGISTER_MODES, 0))
        try:
            fcntl.ioctl(self._fd, syscalls.UFFDIO_REGISTER, argument, True)
        except OSError as error:
            message = f"userfaultfd does not accept the mapping: {error.strerror}"
            raise TransparentAccessUnavailable(message) from error

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class FaultSource:
    """The daemon's end of one client's userfaultfd, for the mapping at `base`. Owns the descriptor.

    All offsets and lengths are whole OS pages of the region.

    Raises:
        ProtocolError: the descriptor is no userfaultfd, or one that was not set up. Still owned by the caller then.
    """

    def __init__(self, fd: int, base: int, length: int) -> None:
        if os.readlink(f"/proc/self/fd/{fd}") != "anon_inode:[userfaultfd]":
            raise ProtocolError("a client attached with a descriptor that is no userfaultfd")
        self._fd = fd
        self.base = base
        self.length = length
        self._fill_argument = bytearray(_FILL.size)
        self._wake_argument = bytearray(_RANGE.size)
        self._protect_argument = bytearray(_WRITEPROTECT.size)
        os.set_blocking(fd, False)
        try:
            self.wake(0, length)  # wakes nobody; EINVAL if UFFDIO_API was not done, or for an impossible range
        except OSError as error:
            raise ProtocolError(f"a client attached with a userfaultfd that is not usable: {error.strerror}") from error

    def fileno(self) -> int:
        return self._fd

    def read(self) -> list[Fault]:
        """Up to FAULT_READ_MESSAGES_MAX faults that wait for an answer; none if there are none. Never waits.

        Raises:
            ProtocolError: the client registered other memory, or enabled events that it should not.
        """
        try:
            data = os.read(self._fd, FAULT_READ_MESSAGES_MAX * _MESSAGE.size)
        except BlockingIOError:
            return []
        return [self._fault(event, flags, address) for event, flags, address in _MESSAGE.iter_unpack(data)]

    def map(self, offset: int, length: int, writable: bool) -> None:
        """Let the client load from these pages, and store to them if `writable`; wakes who waits for them.

        The bytes must be in the memfd. A page that is mapped already is left as it is, but for the write-protection
        that `writable` takes off. To take the right to write away, `protect()`.

        Raises:
            Detached: the client is gone.
            OSError: EFAULT if a page is not in the memfd.
        """
        if self._fill(syscalls.UFFDIO_CONTINUE, offset, length, 0 if writable else syscalls.CONTINUE_MODE_WP):
            return
        # UFFDIO_CONTINUE neither changes nor wakes what it found mapped.
        if writable:
            self.unprotect(offset, length)
        else:
            self.wake(offset, length)

    def protect(self, offset: int, length: int) -> None:
        """Stop the client's stores to these pages. When this returns, none is under way and their bytes are stable.

        Pages that are not there are marked, at the cost of page tables: not for a whole sparse region.
        """
        self._writeprotect(offset, length, syscalls.WRITEPROTECT_MODE_WP)

    def unprotect(self, offset: int, length: int) -> None:
        """Let the client store to those of these pages that are mapped; wakes who waits for them."""
        self._writeprotect(offset, length, 0)

    def poison(self, offset: int, length: int) -> None:
        """Turn every access to these pages into SIGBUS, those that wait now included. Linux 6.6.

        Drop them from the memfd first: one that is mapped here would stay, and become writable. Poison outlives a later
        drop; `map()` lifts it.
        """
        if self._fill(syscalls.UFFDIO_POISON, offset, length, 0):
            return
        # A page that was write-protected leaves a marker in the page table when it is dropped, which poison takes for
        # a page and does not replace. Without waking, or the readers would fault again just before the poison comes.
        self._writeprotect(offset, length, syscalls.WRITEPROTECT_MODE_DONTWAKE)
        self._fill(syscalls.UFFDIO_POISON, offset, length, 0)
        self.wake(offset, length)

    def wake(self, offset: int, length: int) -> None:
        """Let those who wait for these pages try again: they fault once more, or go on if the page has come."""
        _RANGE.pack_into(self._wake_argument, 0, self.base + offset, length)
        fcntl.ioctl(self._fd, syscalls.UFFDIO_WAKE, self._wake_argument, True)

    def close(self) -> None:
        """Close this copy. If it is the last one, the client's faults read zeros from now on."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _fault(self, event: int, flags: int, address: int) -> Fault:
        offset = address - self.base
        if event != syscalls.EVENT_PAGEFAULT or not 0 <= offset < self.length:
            raise ProtocolError(f"a client's userfaultfd reports event {event:#x} at {offset:#x} of its region")
        return Fault(offset, kind_of(flags))

    def _fill(self, request: int, offset: int, length: int, mode: int) -> bool:
        """Carry on to the end of a range of which parts are mapped. False if any part was."""
        start, end, whole, retries = self.base + offset, self.base + offset + length, True, 0
        while start < end:
            done, error = self._fill_once(request, start, end - start, mode)
            if done > 0:
                start += done
            elif error is not None and error.errno == errno.EEXIST:
                start, whole = start + syscalls.OS_PAGE_BYTES, False
            elif error is not None and (error.errno != errno.EAGAIN or retries == FAULT_RETRIES_MAX):
                raise error
            else:
                retries += 1
        return whole

    def _fill_once(self, request: int, start: int, length: int, mode: int) -> tuple[int, OSError | None]:
        """The bytes done before the kernel stopped, and why it stopped. Some done and an EAGAIN go together."""
        _FILL.pack_into(self._fill_argument, 0, start, length, mode, 0)
        try:
            fcntl.ioctl(self._fd, request, self._fill_argument, True)
        except OSError as error:
            _raise_if_detached(error)
            done: int = _FILL_DONE.unpack_from(self._fill_argument, _FILL_DONE_OFFSET)[0]
            return done, error
        return length, None

    def _writeprotect(self, offset: int, length: int, mode: int) -> None:
        _WRITEPROTECT.pack_into(self._protect_argument, 0, self.base + offset, length, mode)
        for retries in range(FAULT_RETRIES_MAX + 1):
            try:
                fcntl.ioctl(self._fd, syscalls.UFFDIO_WRITEPROTECT, self._protect_argument, True)
            except OSError as error:
                _raise_if_detached(error)
                if error.errno != errno.EAGAIN or retries == FAULT_RETRIES_MAX:
                    raise
            else:
                return


def kind_of(flags: int) -> FaultKind:
    """Decode the flags of a page fault message."""
    if flags & syscalls.PAGEFAULT_FLAG_WP:
        return FaultKind.WRITE_PROTECTED
    writes = flags & syscalls.PAGEFAULT_FLAG_WRITE
    if flags & syscalls.PAGEFAULT_FLAG_MINOR:
        return FaultKind.WRITE_MINOR if writes else FaultKind.READ_MINOR
    return FaultKind.WRITE_MISSING if writes else FaultKind.READ_MISSING


def _open() -> tuple[int, Mode]:
    """The first way that works, in the order of what it gives."""
    ways: tuple[tuple[str, Mode, Callable[[], int]], ...] = (
        (syscalls.USERFAULTFD_DEVICE, "full", _open_device),
        ("userfaultfd(2)", "full", _open_full),
        ("userfaultfd(2) in user mode", "user", _open_user),
    )
    refusals = []
    for name, mode, way in ways:
        try:
            return way(), mode
        except OSError as error:
            refusals.append(f"{name}: {error.strerror}")
    message = f"userfaultfd is refused to this process ({'; '.join(refusals)})"
    raise TransparentAccessUnavailable(message, remedy=_ACCESS_REMEDY)


def _open_device() -> int:
    device = os.open(syscalls.USERFAULTFD_DEVICE, os.O_RDWR | os.O_CLOEXEC)
    try:
        return fcntl.ioctl(device, syscalls.USERFAULTFD_IOC_NEW, _OPEN_FLAGS)
    finally:
        os.close(device)


def _open_full() -> int:
    return syscalls.userfaultfd(_OPEN_FLAGS)


def _open_user() -> int:
    return syscalls.userfaultfd(_OPEN_FLAGS | syscalls.UFFD_USER_MODE_ONLY)


def _handshake(fd: int, features: int) -> int:
    """UFFDIO_API: enable these features, once for each descriptor. Returns all that the kernel has."""
    argument = bytearray(_API.pack(syscalls.UFFD_API, features, 0))
    fcntl.ioctl(fd, syscalls.UFFDIO_API, argument, True)
    offered: int = _API.unpack(argument)[1]
    return offered


def _judge(offered: int, mode: Mode) -> Support:
    kernel = os.uname().release
    features = tuple(name for name, bit in _FEATURES.items() if offered & bit)
    missing = tuple(name for name in _REQUIRED if name not in features)
    if missing:
        reason = f"userfaultfd of Linux {kernel} lacks {', '.join(missing)}"
        return Support(None, kernel, features, missing, reason, _KERNEL_REMEDY)
    return Support(mode, kernel, features, (), "", "")


def _raise_if_detached(error: OSError) -> None:
    if error.errno in (errno.ENOENT, errno.ESRCH):
        raise Detached(f"the client has unmapped its range or ended: {error.strerror}") from error
