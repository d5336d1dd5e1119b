"""Which machine and which descriptor gives transparent access, and how those are refused that do not."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os

import pytest

from dsm.errors import ProtocolError, TransparentAccessUnavailable
from dsm.limits import FAULT_RETRIES_MAX
from dsm.memory import faults, syscalls
from dsm.memory.faults import Fault, FaultKind, FaultSource, Uffd, probe
from dsm.memory.mapping import Mapping
from dsm.memory.segment import Segment
from tests.memory.conftest import StartClient
from tests.memory.harness import NOBODY, PAGE, ClientProcess, descriptors, put, wait_for_faults


def test_a_fault_inside_a_system_call_is_reported_in_full_mode(
    segment: Segment, client: ClientProcess, needs_root: None
) -> None:
    assert client.mode == "full"
    client.tell("send_from", 0, 4)
    assert client.fault() == Fault(0, FaultKind.READ_MISSING)
    put(segment, 0, b"sent")
    client.source.map(0, PAGE, writable=False)
    assert client.answer() == "sent"


def test_u17_in_user_mode_loads_work_unprivileged_but_a_system_call_needs_the_page_present(
    segment: Segment, start_client: StartClient, needs_root: None
) -> None:
    client = start_client(segment, user=NOBODY)
    assert client.mode == "user"
    assert client.call("send_from", 0, 4) == errno.EFAULT
    assert client.call("populate", 0, PAGE) == errno.EFAULT
    client.tell("load", 0, 4)
    assert client.fault() == Fault(0, FaultKind.READ_MISSING)
    put(segment, 0, b"sent")
    client.source.map(0, PAGE, writable=False)
    assert client.answer() == "sent"
    assert client.call("send_from", 0, 4) == "sent"
    client.tell("store", 0, "SENT")
    assert client.fault().kind is FaultKind.WRITE_PROTECTED
    client.source.unprotect(0, PAGE)
    client.answer()
    assert segment.read(0, 4) == b"SENT"


def test_u21_a_mapping_from_a_read_only_descriptor_cannot_be_registered(
    segment: Segment, needs_userfaultfd: None
) -> None:
    fd = os.open(f"/proc/self/fd/{segment.fd}", os.O_RDONLY)
    mapping = Mapping.map(fd, segment.size, mmap.PROT_READ)
    uffd = Uffd.open()
    with pytest.raises(TransparentAccessUnavailable, match="does not accept the mapping"):
        uffd.register(mapping.address, segment.size)
    uffd.close()
    os.close(fd)


def test_u31_a_probe_leaves_nothing_behind(needs_userfaultfd: None) -> None:
    before = descriptors()
    support = probe()
    assert descriptors() == before
    assert support.mode in ("full", "user")
    assert support.kernel == os.uname().release
    assert {"minor-shmem", "missing-shmem", "wp-shmem", "wp-unpopulated"} <= set(support.features)
    assert support.missing == ()
    assert support.reason == ""


def test_an_opened_userfaultfd_is_one_descriptor_that_no_program_inherits(needs_userfaultfd: None) -> None:
    before = descriptors()
    uffd = Uffd.open()
    assert not os.get_inheritable(uffd.fileno())
    assert not os.get_blocking(uffd.fileno())
    assert len(descriptors() - before) == 1
    uffd.close()
    uffd.close()
    assert descriptors() == before


def test_u26_a_kernel_before_6_4_is_told_by_its_features() -> None:
    every = sum(faults._FEATURES.values())
    assert faults._judge(every, "full").mode == "full"
    old = faults._judge(every & ~syscalls.FEATURE_WP_UNPOPULATED, "full")
    assert old.mode is None
    assert old.missing == ("wp-unpopulated",)
    assert "lacks wp-unpopulated" in old.reason
    assert "6.4" in old.remedy


def test_a_kernel_before_6_6_does_without_poison() -> None:
    support = faults._judge(sum(faults._REQUIRED.values()), "user")
    assert support.mode == "user"
    assert "poison" not in support.features


def test_u18_who_is_refused_is_told_by_whom_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_flags: int) -> int:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(syscalls, "USERFAULTFD_DEVICE", "/dev/no-such-device")
    monkeypatch.setattr(syscalls, "userfaultfd", refuse)
    with pytest.raises(TransparentAccessUnavailable) as caught:
        Uffd.open()
    assert "/dev/no-such-device: No such file or directory" in caught.value.message
    assert "userfaultfd(2) in user mode: Operation not permitted" in caught.value.message
    assert "Give this user" in caught.value.remedy
    support = probe()
    assert support.mode is None
    assert support.reason == caught.value.message


def test_a_descriptor_that_is_no_userfaultfd_is_refused() -> None:
    reader, writer = os.pipe()
    with pytest.raises(ProtocolError, match="no userfaultfd"):
        FaultSource(reader, 0, PAGE)
    os.close(reader)
    os.close(writer)


def test_a_userfaultfd_that_was_not_set_up_is_refused(needs_userfaultfd: None) -> None:
    fd, _ = faults._open()
    with pytest.raises(ProtocolError, match="not usable"):
        FaultSource(fd, 0, PAGE)
    os.close(fd)


def test_a_fault_outside_of_the_region_is_refused(client: ClientProcess) -> None:
    narrow = FaultSource(os.dup(client.source.fileno()), client.source.base, PAGE)
    client.tell("load", PAGE, 1)
    with pytest.raises(ProtocolError, match="0x12 at 0x10000"):
        wait_for_faults(narrow)
    narrow.close()
    narrow.close()


def test_an_ioctl_that_makes_no_progress_is_tried_again_up_to_a_bound(
    client: ClientProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    def busy(*_arguments: object) -> int:
        nonlocal tries
        tries += 1
        raise BlockingIOError(errno.EAGAIN, "the mapping is changing")

    monkeypatch.setattr(fcntl, "ioctl", busy)
    with pytest.raises(BlockingIOError):
        client.source.map(0, PAGE, writable=True)
    assert tries == FAULT_RETRIES_MAX + 1
    with pytest.raises(BlockingIOError):
        client.source.protect(0, PAGE)
    assert tries == 2 * (FAULT_RETRIES_MAX + 1)
