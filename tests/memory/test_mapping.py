"""Mappings: one memory at many addresses, what they keep alive, and what a fork does to them."""

from __future__ import annotations

import mmap
import os
import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dsm.limits import REGION_BYTES_MAX
from dsm.memory.mapping import Mapping
from dsm.memory.segment import Segment
from tests.memory.harness import PAGE, ClientProcess, descriptors, put

_READ_WRITE = mmap.PROT_READ | mmap.PROT_WRITE


def test_two_mappings_of_a_memfd_are_the_same_memory(segment: Segment) -> None:
    first = Mapping.map(segment.fd, segment.size, _READ_WRITE)
    second = Mapping.map(segment.fd, segment.size, mmap.PROT_READ)
    first[:5] = b"hello"
    assert second[:5] == b"hello" == segment.read(0, 5)
    assert first.address != second.address
    assert len(first) == segment.size


def test_u13_a_mapping_keeps_no_descriptor(segment: Segment) -> None:
    before = descriptors()
    fd = os.dup(segment.fd)
    mapping = Mapping.map(fd, segment.size, _READ_WRITE)
    os.close(fd)
    assert descriptors() == before
    mapping[:4] = b"live"
    assert segment.read(0, 4) == b"live"
    mapping.close()
    assert descriptors() == before


_ARRAYS: dict[str, Callable[[Mapping], np.ndarray[Any, Any]]] = {
    "frombuffer": lambda mapping: np.frombuffer(mapping, dtype="u1"),
    "asarray": np.asarray,
    "memoryview": lambda mapping: np.asarray(memoryview(mapping)[:100]),
    "slice": lambda mapping: np.frombuffer(mapping, dtype="u1")[:100],
}


@pytest.mark.parametrize("kind", _ARRAYS)
def test_close_refuses_while_an_array_is_alive(segment: Segment, kind: str) -> None:
    mapping = Mapping.map(segment.fd, segment.size, _READ_WRITE)
    array = _ARRAYS[kind](mapping)
    with pytest.raises(BufferError):
        mapping.close()
    array.view("u1")[0] = 7
    assert segment.read(0, 1) == b"\7"
    del array
    mapping.close()
    assert mapping.closed


def test_an_array_keeps_its_mapping_alive(segment: Segment) -> None:
    array = np.frombuffer(Mapping.map(segment.fd, segment.size, _READ_WRITE), dtype="u1")
    segment.write(0, b"\5")
    assert array[0] == 5


def test_a_closed_mapping_is_no_range_to_protect_or_populate(segment: Segment) -> None:
    mapping = Mapping.map(segment.fd, segment.size, _READ_WRITE)
    mapping.close()
    with pytest.raises(ValueError, match="closed"):
        mapping.protect(0, PAGE, mmap.PROT_READ)
    with pytest.raises(ValueError, match="closed"):
        mapping.populate_read(0, PAGE)


def test_a_range_outside_of_the_mapping_is_a_mistake_of_the_caller(segment: Segment) -> None:
    mapping = Mapping.map(segment.fd, segment.size, _READ_WRITE)
    with pytest.raises(AssertionError, match="inside"):
        mapping.protect(segment.size, PAGE, mmap.PROT_READ)


def test_protect_takes_access_away_and_gives_it_back(segment: Segment) -> None:
    mapping = Mapping.map(segment.fd, segment.size, 0)
    assert _permissions(mapping.address) == "---s"
    mapping.protect(PAGE, PAGE, mmap.PROT_READ)
    assert _permissions(mapping.address + PAGE) == "r--s"
    mapping.protect(PAGE, PAGE, _READ_WRITE)
    assert _permissions(mapping.address + PAGE) == "rw-s"
    assert mapping.populate_read(PAGE, PAGE) == 0


def test_populating_a_range_without_access_gives_an_error_number_and_no_signal(segment: Segment) -> None:
    mapping = Mapping.map(segment.fd, segment.size, 0)
    assert mapping.populate_read(0, PAGE) != 0


def test_more_protection_than_the_descriptor_has_is_refused(segment: Segment) -> None:
    fd = os.open(f"/proc/self/fd/{segment.fd}", os.O_RDONLY)
    before = descriptors()
    mapping = Mapping.map(fd, segment.size, mmap.PROT_READ)
    with pytest.raises(PermissionError):
        mapping.protect(0, PAGE, _READ_WRITE)
    with pytest.raises(PermissionError):
        Mapping.map(fd, segment.size, _READ_WRITE)
    assert descriptors() == before
    os.close(fd)


def test_mapping_over_keeps_the_address_and_the_arrays(segment: Segment) -> None:
    other = Segment.create("other", segment.size)
    other.write(0, b"other")
    mapping = Mapping.map(segment.fd, segment.size, _READ_WRITE)
    address = mapping.address
    with memoryview(mapping) as view:
        mapping.map_over(other.fd, mmap.PROT_READ)
        assert bytes(view[:5]) == b"other"
    assert mapping.address == address
    other.close()


def test_a_tebibyte_is_mapped_and_touched_at_both_ends() -> None:
    segment = Segment.create("huge", REGION_BYTES_MAX)
    mapping = Mapping.map(segment.fd, segment.size, _READ_WRITE)
    mapping[0] = 1
    mapping[REGION_BYTES_MAX - 1] = 2
    assert segment.read(0, 1) + segment.read(REGION_BYTES_MAX - 1, 1) == b"\1\2"
    mapping.close()
    segment.close()


def test_u5_waiting_for_a_page_leaves_the_gil_to_other_threads(
    segment: Segment, client: ClientProcess, needs_root: None
) -> None:
    assert client.mode == "full"
    client.call("populate_in_thread", 0, PAGE)
    fault = client.fault()
    put(segment, PAGE, b"other")
    client.source.map(PAGE, PAGE, writable=False)
    assert client.call("load", PAGE, 5) == "other"  # another thread of the client, while the first one is stopped
    segment.zero(0, PAGE)
    client.source.map(fault.offset, PAGE, writable=False)
    assert client.call("join") == [0]


def test_u8_u9_a_forked_child_has_no_mapping_rather_than_zeros(segment: Segment, client: ClientProcess) -> None:
    assert client.call("fork_and_load", 0) == -signal.SIGSEGV
    assert segment.resident_bytes() == 0
    assert client.source.read() == []


def test_u9_a_forked_child_maps_afresh_at_the_same_address(segment: Segment, client: ClientProcess) -> None:
    segment.write(PAGE, b"for the child")
    assert client.call("fork_and_attach_afresh", PAGE, "for the child") == 0


def test_reserving_a_range_that_is_taken_is_refused(segment: Segment) -> None:
    mapping = Mapping.map(segment.fd, segment.size, _READ_WRITE)
    with pytest.raises(FileExistsError):
        mapping.reserve()
    mapping[:4] = b"live"
    assert segment.read(0, 4) == b"live"


def _permissions(address: int) -> str:
    with open("/proc/self/maps") as maps:
        for line in maps:
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            if start <= address < end:
                return line.split()[1]
    raise AssertionError("the address is mapped")
