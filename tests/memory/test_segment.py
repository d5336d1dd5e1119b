"""Segments: bytes of a memfd, holes in it, and who may open it."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import stat
import subprocess

import pytest

from dsm.errors import MemoryLimitExceeded
from dsm.limits import REGION_BYTES_MAX
from dsm.memory import segment as segment_module
from dsm.memory.mapping import Mapping
from dsm.memory.segment import Segment
from tests.memory.harness import NOBODY, PAGE


def test_a_new_segment_is_all_hole_and_costs_nothing(segment: Segment) -> None:
    assert segment.resident_bytes() == 0
    assert segment.read(0, PAGE) == bytes(PAGE)
    assert segment.resident_bytes() == 0


def test_what_is_written_is_read_back_and_seen_in_a_view(segment: Segment) -> None:
    segment.write(PAGE - 2, b"across")
    assert segment.read(PAGE - 2, 6) == b"across"
    with segment.view(PAGE - 2, 6) as view:
        assert bytes(view) == b"across"
        view[:1] = b"A"
    assert segment.read(PAGE - 2, 6) == b"Across"
    assert segment.resident_bytes() == 2 * mmap.PAGESIZE


def test_drop_frees_the_memory_and_zero_makes_it_present(segment: Segment) -> None:
    segment.write(0, b"x" * 2 * PAGE)
    segment.drop(0, PAGE)
    assert segment.resident_bytes() == PAGE
    segment.zero(0, 2 * PAGE)
    assert segment.resident_bytes() == 2 * PAGE
    assert segment.read(0, 2 * PAGE) == bytes(2 * PAGE)


def test_a_range_outside_of_the_segment_or_of_whole_pages_is_a_mistake_of_the_caller(segment: Segment) -> None:
    for call in (segment.view, segment.read, segment.drop, segment.zero):
        with pytest.raises(AssertionError, match="inside"):
            call(segment.size, PAGE)
    with pytest.raises(AssertionError, match="whole pages"):
        segment.drop(0, 100)


def test_u20_the_memfd_is_sealed_private_and_not_inherited(segment: Segment) -> None:
    assert fcntl.fcntl(segment.fd, fcntl.F_GET_SEALS) == fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    assert stat.S_IMODE(os.fstat(segment.fd).st_mode) == 0o600
    assert not os.get_inheritable(segment.fd)
    for size in (0, segment.size * 2):
        with pytest.raises(PermissionError):
            os.ftruncate(segment.fd, size)


def test_u20_another_user_who_was_given_the_descriptor_cannot_open_it_anew(segment: Segment, needs_root: None) -> None:
    def reopen(fd: int) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["sh", "-c", f": <> /proc/self/fd/{fd}"],
            pass_fds=[fd],
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            capture_output=True,
            check=False,
        )

    refused = reopen(segment.fd)
    assert refused.returncode != 0
    assert b"Permission denied" in refused.stderr
    os.fchmod(segment.fd, 0o777)  # as memfd_create leaves it
    assert reopen(segment.fd).returncode == 0


def test_u22_the_seals_allow_writing_and_hole_punching_while_a_writable_mapping_exists(segment: Segment) -> None:
    with segment.view(0, PAGE) as view:
        view[:4] = b"here"
        segment.write(0, b"HERE")
        segment.drop(0, PAGE)
        assert bytes(view[:4]) == bytes(4)


def test_a_segment_of_a_tebibyte_is_read_written_and_viewed_at_both_ends() -> None:
    segment = Segment.create("huge", REGION_BYTES_MAX)
    last = REGION_BYTES_MAX - PAGE
    for offset in (0, last):
        segment.write(offset, b"end")
        with segment.view(offset, PAGE) as view:
            assert bytes(view[:3]) == b"end"
            view[3:6] = b"END"
        assert segment.read(offset, 6) == b"endEND"
    assert segment.resident_bytes() == 2 * mmap.PAGESIZE
    segment.zero(last, PAGE)
    assert segment.read(last, PAGE) == bytes(PAGE)
    segment.close()


def test_a_name_longer_than_the_kernel_allows_is_cut() -> None:
    Segment.create("é" * 255, PAGE).close()


def test_close_refuses_while_a_view_is_alive_and_then_closes_nothing(segment: Segment) -> None:
    view = segment.view(0, PAGE)
    with pytest.raises(BufferError):
        segment.close()
    view[:4] = b"work"
    assert segment.read(0, 4) == b"work"
    view.release()
    segment.close()
    segment.close()
    assert segment.fd == -1


def test_a_view_says_when_the_address_space_has_no_room(segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoRoom(Mapping):
        @classmethod
        def map(cls, fd: int, size: int, protection: int) -> Mapping:
            raise OSError(errno.ENOMEM, "mmap: no room")

    monkeypatch.setattr(segment_module, "Mapping", NoRoom)
    with pytest.raises(MemoryLimitExceeded, match="address space"):
        segment.view(0, PAGE)
    segment.write(0, b"goes on")
    assert segment.read(0, 7) == b"goes on"
