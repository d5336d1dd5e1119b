"""Numbers and errors of the system calls."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import platform

import pytest

from dsm.memory import syscalls
from dsm.memory.segment import Segment
from tests.memory.harness import PAGE


def test_the_ioctl_numbers_are_those_of_the_kernel_headers() -> None:
    assert syscalls.USERFAULTFD_IOC_NEW == 0xAA00
    assert syscalls.UFFDIO_API == 0xC018AA3F
    assert syscalls.UFFDIO_REGISTER == 0xC020AA00
    assert syscalls.UFFDIO_WAKE == 0x8010AA02
    assert syscalls.UFFDIO_WRITEPROTECT == 0xC018AA06
    assert syscalls.UFFDIO_CONTINUE == 0xC020AA07
    assert syscalls.UFFDIO_POISON == 0xC020AA08


def test_allocate_makes_holes_present_and_keeps_what_is_there(segment: Segment) -> None:
    segment.write(0, b"kept")
    syscalls.allocate(segment.fd, 0, 2 * PAGE)
    assert segment.resident_bytes() == 2 * PAGE
    assert segment.read(0, 5) == b"kept\0"


def test_punching_outside_of_a_memfd_names_the_call_and_the_reason() -> None:
    with pytest.raises(OSError, match="fallocate: Bad file descriptor") as caught:
        syscalls.punch_hole(-1, 0, PAGE)
    assert caught.value.errno == errno.EBADF


def test_mapping_where_nothing_may_be_replaced_refuses_a_taken_address() -> None:
    with mmap.mmap(-1, PAGE) as taken:
        address = ctypes.addressof(ctypes.c_char.from_buffer(taken))
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | syscalls.MAP_FIXED_NOREPLACE
        with pytest.raises(FileExistsError):
            syscalls.mmap_fixed(address, PAGE, mmap.PROT_READ, flags, -1)


def test_a_machine_whose_call_number_is_unknown_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "vax")
    with pytest.raises(OSError, match="vax") as caught:
        syscalls.userfaultfd(os.O_CLOEXEC)
    assert caught.value.errno == errno.ENOSYS
