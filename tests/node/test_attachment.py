"""What is mapped in a process, as the daemon knows it."""

from __future__ import annotations

import errno

import pytest

from dsm.limits import READ_AHEAD_BYTES_MAX
from dsm.memory.faults import Detached, FaultKind
from dsm.node.attachment import ReadAhead
from tests.node.fakes import PAGE, FakeSource, attachment, fault


@pytest.fixture
def source() -> FakeSource:
    return FakeSource()


def test_only_what_is_not_mapped_yet_is_mapped_in_runs(source: FakeSource) -> None:
    process = attachment(source)
    process.ensure([(0, True), (1, True), (2, False), (5, False)])
    assert source.take() == [
        ("map", 0, 2 * PAGE, True),
        ("map", 2 * PAGE, PAGE, False),
        ("map", 5 * PAGE, PAGE, False),
    ]
    process.ensure([(0, True), (1, False), (2, True), (3, True), (5, False)])
    assert source.take() == [("unprotect", 2 * PAGE, PAGE), ("map", 3 * PAGE, PAGE, True)]
    process.ensure([(index, True) for index in (0, 1, 2, 3)])
    assert source.take() == []


def test_write_access_is_taken_away_once_and_only_where_it_was_given(source: FakeSource) -> None:
    process = attachment(source)
    process.ensure([(0, True), (1, False)])
    source.take()
    for index in (0, 0, 1, 2):
        process.protect(index)
    assert source.take() == [("protect", 0, PAGE)]
    process.ensure([(0, True)])
    assert source.take() == [("unprotect", 0, PAGE)]


def test_a_dropped_page_is_mapped_anew(source: FakeSource) -> None:
    process = attachment(source)
    process.ensure([(0, True)])
    process.dropped(0)
    process.ensure([(0, True)])
    assert source.take() == [("map", 0, PAGE, True)] * 2


def test_a_fault_is_answered_even_if_the_page_is_believed_to_be_mapped(source: FakeSource) -> None:
    process = attachment(source)
    process.ensure([(0, True)])
    source.take()
    process.resolve(fault(0, FaultKind.READ_MINOR), 0, True)
    process.resolve(fault(0, FaultKind.WRITE_PROTECTED), 0, True)
    assert source.take() == [("map", 0, PAGE, True)] * 2


def test_a_process_without_userfaultfd_is_left_alone() -> None:
    process = attachment(None)
    process.ensure([(0, True)])
    process.protect(0)
    process.poison(0)
    process.close()
    assert process.blind and process.fileno() is None and process.read_faults() == []


@pytest.mark.parametrize("error", [Detached(), OSError(errno.EINVAL, "no such mapping")])
def test_a_process_that_has_unmapped_is_left_alone_but_its_descriptor_stays_open(
    source: FakeSource, error: Exception
) -> None:
    """The event loop watches the descriptor until the node takes it out; its number must not be another's before."""
    process = attachment(source)
    process.ensure([(0, True)])
    source.error = error
    process.protect(0)
    source.error = None
    process.ensure([(1, True)])
    process.poison(2)
    assert source.take() == [("map", 0, PAGE, True)]
    assert not source.closed and process.fileno() == 99
    source.faults = [fault(0)]
    assert process.read_faults() == [] and source.faults == [], "read all the same, or the loop would spin"
    process.close()
    assert source.closed


def test_a_hole_that_somebody_punched_is_poisoned(source: FakeSource) -> None:
    process = attachment(source)

    def hole(offset: int, length: int, writable: bool) -> None:
        raise OSError(errno.EFAULT, "bad address")

    source.map = hole  # type: ignore[method-assign]
    process.resolve(fault(0), 0, True)
    assert source.take() == [("poison", 0, PAGE)]


def test_poison_that_the_kernel_does_not_know_is_no_error(source: FakeSource) -> None:
    source.error = OSError(errno.EINVAL, "before Linux 6.6")
    attachment(source).poison(0)


def test_the_read_ahead_window_doubles_up_to_its_bound_and_closes_at_random_faults() -> None:
    ahead = ReadAhead(PAGE)
    windows = [ahead.faulted(10)]
    index = 11
    for _ in range(12):
        windows.append(ahead.faulted(index))
        index += 1
    assert windows[:4] == [0, 2, 4, 8] and windows[-1] == READ_AHEAD_BYTES_MAX // PAGE
    assert ahead.faulted(5) == 0
    assert ReadAhead(2 * READ_AHEAD_BYTES_MAX).faulted(0) == 0
