"""System calls and constants that Python's standard library does not offer, through ctypes.

`CDLL` releases the GIL around each call. That matters: `mmap.madvise()` holds it, and an advice that faults pages in
then stops every thread of the process, the one that would answer the fault included.

Numbers are those of x86-64 and aarch64, which agree in everything here but the number of userfaultfd(2).

Sources: include/uapi/linux/{userfaultfd,falloc,mman}.h of Linux 6.6; the manual pages of the calls.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform

OS_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

MAP_FIXED = 0x10
MAP_NORESERVE = 0x4000
MAP_FIXED_NOREPLACE = 0x100000  # Linux 4.17; before, a hint

MADV_DONTFORK = 10
MADV_POPULATE_READ = 22  # Linux 5.14

EHWPOISON = 133  # what MADV_POPULATE_READ says of a poisoned page; Python's errno module gained it late

PROTECTION_NONE = 0  # PROT_NONE, which the mmap module lacks

_FALLOC_FL_KEEP_SIZE = 0x01
_FALLOC_FL_PUNCH_HOLE = 0x02

# --- userfaultfd -------------------------------------------------------------------------------------------------
USERFAULTFD_NUMBERS = {"x86_64": 323, "aarch64": 282}
USERFAULTFD_DEVICE = "/dev/userfaultfd"  # Linux 6.1
UFFD_USER_MODE_ONLY = 1
UFFD_API = 0xAA

FEATURE_PAGEFAULT_FLAG_WP = 1 << 0
FEATURE_MISSING_SHMEM = 1 << 5
FEATURE_MINOR_SHMEM = 1 << 10
FEATURE_WP_HUGETLBFS_SHMEM = 1 << 12
FEATURE_WP_UNPOPULATED = 1 << 13
FEATURE_POISON = 1 << 14

EVENT_PAGEFAULT = 0x12
PAGEFAULT_FLAG_WRITE = 1 << 0
PAGEFAULT_FLAG_WP = 1 << 1
PAGEFAULT_FLAG_MINOR = 1 << 2

REGISTER_MODE_MISSING = 1 << 0
REGISTER_MODE_WP = 1 << 1
REGISTER_MODE_MINOR = 1 << 2
CONTINUE_MODE_WP = 1 << 1
WRITEPROTECT_MODE_WP = 1 << 0
WRITEPROTECT_MODE_DONTWAKE = 1 << 1

_IOC_WRITE, _IOC_READ = 1, 2


def _request(direction: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | UFFD_API << 8 | number


USERFAULTFD_IOC_NEW = _request(0, 0x00, 0)
UFFDIO_API = _request(_IOC_READ | _IOC_WRITE, 0x3F, 24)
UFFDIO_REGISTER = _request(_IOC_READ | _IOC_WRITE, 0x00, 32)
UFFDIO_WAKE = _request(_IOC_READ, 0x02, 16)
UFFDIO_WRITEPROTECT = _request(_IOC_READ | _IOC_WRITE, 0x06, 24)
UFFDIO_CONTINUE = _request(_IOC_READ | _IOC_WRITE, 0x07, 32)
UFFDIO_POISON = _request(_IOC_READ | _IOC_WRITE, 0x08, 32)

# --- Calls -------------------------------------------------------------------------------------------------------
_libc = ctypes.CDLL(None, use_errno=True)
_MAP_FAILED = ctypes.c_void_p(-1).value

_fallocate = _libc.fallocate
_fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
_mmap = _libc.mmap
_mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64)
_mmap.restype = ctypes.c_void_p
_munmap = _libc.munmap
_munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_mprotect = _libc.mprotect
_mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_madvise = _libc.madvise
_madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_syscall = _libc.syscall
_syscall.argtypes = (ctypes.c_long, ctypes.c_long)
_syscall.restype = ctypes.c_long


def punch_hole(fd: int, offset: int, length: int) -> None:
    """Free these bytes of a memfd, and unmap them from every process that maps it."""
    _change(fd, _FALLOC_FL_PUNCH_HOLE | _FALLOC_FL_KEEP_SIZE, offset, length)


def allocate(fd: int, offset: int, length: int) -> None:
    """Make these bytes of a memfd present; what was a hole becomes zeros, what was not keeps its value."""
    _change(fd, 0, offset, length)


def mmap_fixed(address: int, size: int, protection: int, flags: int, fd: int) -> None:
    """Map at exactly this address: over what is there (MAP_FIXED), or only where nothing is (MAP_FIXED_NOREPLACE)."""
    placed = _mmap(address, size, protection, flags, fd, 0)
    if placed == _MAP_FAILED:
        raise _error("mmap")
    if placed != address:  # a kernel that takes MAP_FIXED_NOREPLACE for a hint
        _munmap(placed, size)
        raise OSError(errno.EEXIST, "mmap: the address range is taken")


def mprotect(address: int, length: int, protection: int) -> None:
    if _mprotect(address, length, protection):
        raise _error("mprotect")


def madvise(address: int, length: int, advice: int) -> None:
    if _madvise(address, length, advice):
        raise _error("madvise")


def userfaultfd(flags: int) -> int:
    """A new userfaultfd by the system call, which needs CAP_SYS_PTRACE or the flag UFFD_USER_MODE_ONLY."""
    number = USERFAULTFD_NUMBERS.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, f"its number on {platform.machine()} is not known here")
    fd: int = _syscall(number, flags)
    if fd < 0:
        raise _error("userfaultfd")
    return fd


def _change(fd: int, mode: int, offset: int, length: int) -> None:
    # A signal ends fallocate on shared memory with its work undone. Its handler has run when the loop comes round.
    while _fallocate(fd, mode, offset, length):
        if ctypes.get_errno() != errno.EINTR:
            raise _error("fallocate")


def _error(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")
