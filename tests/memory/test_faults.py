"""Faults of real client processes, and what each answer to them does."""

from __future__ import annotations

import errno
import mmap
import os
import signal
from collections.abc import Callable

import pytest

from dsm.limits import REGION_BYTES_MAX
from dsm.memory import syscalls
from dsm.memory.faults import Detached, Fault, FaultKind, FaultSource, kind_of
from dsm.memory.segment import Segment
from tests.memory.conftest import StartClient
from tests.memory.harness import PAGE, ClientProcess, put, wait_for_faults

OS_PAGE = mmap.PAGESIZE


@pytest.mark.parametrize(
    ("flags", "kind"),
    [
        (0, FaultKind.READ_MISSING),
        (1, FaultKind.WRITE_MISSING),
        (4, FaultKind.READ_MINOR),
        (5, FaultKind.WRITE_MINOR),
        (3, FaultKind.WRITE_PROTECTED),
    ],
)
def test_u32_the_flags_of_a_fault_are_decoded(flags: int, kind: FaultKind) -> None:
    assert kind_of(flags) is kind


def test_a_load_and_a_store_of_a_page_that_is_nowhere_are_missing_faults(
    segment: Segment, client: ClientProcess
) -> None:
    client.tell("load", OS_PAGE + 8, 5)
    assert client.fault() == Fault(OS_PAGE, FaultKind.READ_MISSING)
    segment.write(OS_PAGE + 8, b"hello")
    client.source.map(OS_PAGE, OS_PAGE, writable=False)
    assert client.answer() == "hello"
    client.tell("store", PAGE, "world")
    assert client.fault() == Fault(PAGE, FaultKind.WRITE_MISSING)
    segment.zero(PAGE, PAGE)
    client.source.map(PAGE, PAGE, writable=True)
    client.answer()
    assert segment.read(PAGE, 6) == b"world\0"


def test_a_second_process_has_a_minor_fault_and_then_sees_each_store(
    segment: Segment, start_client: StartClient
) -> None:
    writer, reader = start_client(segment), start_client(segment)
    segment.zero(0, PAGE)
    writer.tell("store", 0, "one")
    assert writer.fault().kind is FaultKind.WRITE_MINOR
    writer.source.map(0, PAGE, writable=True)
    writer.answer()
    reader.tell("load", 0, 3)
    assert reader.fault() == Fault(0, FaultKind.READ_MINOR)
    reader.source.map(0, PAGE, writable=False)
    assert reader.answer() == "one"
    writer.call("store", 0, "two")
    assert reader.call("load", 0, 3) == "two"
    assert writer.source.read() == reader.source.read() == []


def test_a_page_mapped_for_reading_stops_at_a_store_until_it_is_unprotected(
    segment: Segment, client: ClientProcess
) -> None:
    put(segment, 0, b"old")
    client.source.map(0, PAGE, writable=False)
    assert client.call("load", 0, 3) == "old"
    client.tell("store", 0, "new")
    assert client.fault() == Fault(0, FaultKind.WRITE_PROTECTED)
    assert segment.read(0, 3) == b"old"
    client.source.unprotect(0, PAGE)
    client.answer()
    assert segment.read(0, 3) == b"new"


def test_a_downgraded_page_is_stable_and_its_next_store_faults(segment: Segment, client: ClientProcess) -> None:
    segment.zero(0, PAGE)
    client.source.map(0, PAGE, writable=True)
    client.call("store", 0, "first")
    client.source.protect(0, PAGE)
    client.tell("store", 0, "second")
    assert client.fault() == Fault(0, FaultKind.WRITE_PROTECTED)
    assert segment.read(0, 6) == b"first\0"
    client.source.map(0, PAGE, writable=True)  # mapped already: the protection comes off
    client.answer()
    assert segment.read(0, 6) == b"second"


def test_u11_dropping_a_page_takes_it_from_every_mapping(segment: Segment, start_client: StartClient) -> None:
    clients = [start_client(segment), start_client(segment)]
    put(segment, 0, b"old")
    for client in clients:
        client.source.map(0, PAGE, writable=True)
        assert client.call("load", 0, 3) == "old"
    segment.drop(0, PAGE)
    for client in clients:
        client.tell("load", 0, 3)
        assert client.fault() == Fault(0, FaultKind.READ_MISSING)
    put(segment, 0, b"new")
    for client in clients:
        client.source.map(0, PAGE, writable=False)
        assert client.answer() == "new"


def test_u12_dropping_a_page_takes_the_write_protection_with_it(segment: Segment, client: ClientProcess) -> None:
    put(segment, 0, b"old")
    client.source.map(0, PAGE, writable=False)
    segment.drop(0, PAGE)
    client.tell("store", 0, "new")
    assert client.fault() == Fault(0, FaultKind.WRITE_MISSING)  # and not WRITE_PROTECTED
    segment.zero(0, PAGE)
    client.source.map(0, PAGE, writable=True)
    client.answer()
    assert segment.read(0, 3) == b"new"


def test_u27_pages_that_are_not_there_can_be_protected(segment: Segment, client: ClientProcess) -> None:
    client.source.protect(0, segment.size)
    assert segment.resident_bytes() == 0
    client.tell("load", PAGE, 4)
    assert client.fault() == Fault(PAGE, FaultKind.READ_MISSING)
    put(segment, PAGE, b"here")
    client.source.map(PAGE, PAGE, writable=False)
    assert client.answer() == "here"
    client.tell("store", PAGE, "HERE")
    assert client.fault() == Fault(PAGE, FaultKind.WRITE_PROTECTED)


@pytest.mark.parametrize("mapped_before", [[0], [15], [3, 7], list(range(16))], ids=str)
@pytest.mark.parametrize("writable", [False, True])
def test_a_range_of_which_parts_are_mapped_is_mapped_to_its_end(
    segment: Segment, client: ClientProcess, mapped_before: list[int], writable: bool
) -> None:
    text = "".join(chr(ord("a") + index) * OS_PAGE for index in range(16))
    segment.write(0, text.encode())
    for index in mapped_before:
        client.source.map(index * OS_PAGE, OS_PAGE, writable=False)
    client.source.map(0, PAGE, writable)
    assert client.call("load", 0, PAGE // 2) + client.call("load", PAGE // 2, PAGE // 2) == text
    for index in range(16):
        client.tell("store", index * OS_PAGE, "S")
        if not writable:
            assert client.fault() == Fault(index * OS_PAGE, FaultKind.WRITE_PROTECTED)
            client.source.unprotect(index * OS_PAGE, OS_PAGE)
        client.answer()
    assert client.source.read() == []


def test_u14_what_is_mapped_already_still_wakes_its_readers(segment: Segment, client: ClientProcess) -> None:
    segment.zero(0, PAGE)
    client.tell("load", OS_PAGE, 1)
    assert client.fault() == Fault(OS_PAGE, FaultKind.READ_MINOR)
    client.source.map(0, OS_PAGE, writable=False)
    client.source.map(0, PAGE, writable=False)
    assert client.answer() == "\0"


def test_mapping_a_page_that_is_not_in_the_memfd_is_an_error(client: ClientProcess) -> None:
    with pytest.raises(OSError, match="Bad address") as caught:
        client.source.map(0, PAGE, writable=False)
    assert caught.value.errno == errno.EFAULT


def test_a_woken_reader_without_its_page_faults_again(segment: Segment, client: ClientProcess) -> None:
    client.tell("load", 0, 1)
    first = client.fault()
    client.source.wake(0, PAGE)
    assert client.fault() == first
    segment.zero(0, PAGE)
    client.source.map(0, PAGE, writable=False)
    assert client.answer() == "\0"


def test_faults_of_several_threads_are_read_together(segment: Segment, client: ClientProcess) -> None:
    for page in range(8):
        client.call("load_in_thread", page * PAGE)
    waiting: set[int] = set()
    while len(waiting) < 8:
        waiting |= {fault.offset for fault in wait_for_faults(client.source)}
    assert waiting == {page * PAGE for page in range(8)}
    segment.zero(0, 8 * PAGE)
    client.source.map(0, 8 * PAGE, writable=False)
    assert client.call("join") == [0] * 8


def test_a_client_of_a_tebibyte_loads_and_stores_at_both_ends(start_client: StartClient) -> None:
    segment = Segment.create("huge", REGION_BYTES_MAX)
    client = start_client(segment)
    for offset in (0, REGION_BYTES_MAX - PAGE):
        client.tell("store", offset + PAGE - 3, "end")
        assert client.fault() == Fault(offset + PAGE - OS_PAGE, FaultKind.WRITE_MISSING)
        segment.zero(offset, PAGE)
        client.source.map(offset, PAGE, writable=True)
        client.answer()
        assert segment.read(offset + PAGE - 3, 3) == b"end"
    segment.close()


# --- Ends --------------------------------------------------------------------------------------------------------
def test_u1_with_a_duplicate_kept_a_reader_stays_stopped_rather_than_reading_zeros(
    segment: Segment, client: ClientProcess
) -> None:
    duplicate = FaultSource(os.dup(client.source.fileno()), client.source.base, segment.size)
    client.call("close_userfaultfd")
    client.tell("load", 0, 4)
    fault = client.fault()
    client.source.close()
    duplicate.wake(0, PAGE)
    assert wait_for_faults(duplicate) == [fault]  # it faulted again: a zero page would have ended the load
    assert client.is_stopped()
    put(segment, 0, b"real")
    duplicate.map(0, PAGE, writable=False)
    assert client.answer() == "real"
    duplicate.close()


def test_u1_without_a_duplicate_a_reader_gets_zeros(segment: Segment, client: ClientProcess) -> None:
    client.call("close_userfaultfd")
    client.tell("load", 0, 4)
    client.fault()
    client.source.close()
    assert client.answer() == "\0\0\0\0"


def test_u6_a_process_that_is_stopped_at_a_page_can_be_killed(client: ClientProcess) -> None:
    client.tell("load", 0, 1)
    client.fault()
    client.process.send_signal(signal.SIGTERM)
    assert client.exit_code() == -signal.SIGTERM


_ANSWERS: dict[str, Callable[[FaultSource], None]] = {
    "map": lambda source: source.map(0, PAGE, writable=True),
    "protect": lambda source: source.protect(0, PAGE),
    "unprotect": lambda source: source.unprotect(0, PAGE),
    "poison": lambda source: source.poison(0, PAGE),
}


@pytest.mark.parametrize("answer", _ANSWERS)
def test_u15_u16_unmapping_waits_for_nobody_and_is_a_detach(
    segment: Segment, client: ClientProcess, answer: str
) -> None:
    segment.zero(0, PAGE)
    client.call("unmap")
    with pytest.raises(Detached):
        _ANSWERS[answer](client.source)


@pytest.mark.parametrize("answer", _ANSWERS)
def test_u16_the_end_of_the_process_is_a_detach(segment: Segment, client: ClientProcess, answer: str) -> None:
    segment.zero(0, PAGE)
    client.process.kill()
    client.exit_code()
    with pytest.raises(Detached):
        _ANSWERS[answer](client.source)
    client.source.wake(0, PAGE)
    assert client.source.read() == []


def test_u23_a_poisoned_page_is_a_bus_error(client: ClientProcess) -> None:
    client.tell("load", 0, 1)
    client.fault()
    client.source.poison(0, PAGE)
    assert client.exit_code() == -signal.SIGBUS


def test_u23_populate_read_tells_of_poison_without_a_signal(client: ClientProcess) -> None:
    client.source.poison(0, PAGE)
    assert client.call("populate", 0, PAGE) == syscalls.EHWPOISON == 133
    client.source.poison(0, PAGE)  # once more changes nothing
    assert client.call("populate", PAGE - OS_PAGE, OS_PAGE) == 133


@pytest.mark.parametrize("writable_before", [False, True])
def test_u2_a_dropped_page_is_poisoned_whatever_marker_it_left(
    segment: Segment, client: ClientProcess, writable_before: bool
) -> None:
    put(segment, 0, b"old")
    client.source.map(0, PAGE, writable_before)
    segment.drop(0, PAGE)
    client.tell("load", 0, 1)
    client.fault()
    client.source.poison(0, PAGE)
    assert client.exit_code() == -signal.SIGBUS
    assert client.source.read() == []


def test_poison_outlives_a_drop_and_is_lifted_by_mapping(segment: Segment, client: ClientProcess) -> None:
    client.source.poison(0, PAGE)
    put(segment, 0, b"new")
    segment.drop(0, PAGE)
    assert client.call("populate", 0, PAGE) == 133
    put(segment, 0, b"new")
    client.source.map(0, PAGE, writable=False)
    assert client.call("load", 0, 3) == "new"
