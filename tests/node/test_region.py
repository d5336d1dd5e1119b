"""The loop around the core: waiters, hold, arrivals, deadlines, and the end of a region."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from dsm.core.messages import Ack, Data, Done, Fetch, GetM, GetS, Grant, Inv, Lost
from dsm.core.types import NodeId, RequestId, Source, State
from dsm.errors import DsmError, PageLost, ProtocolError
from dsm.limits import RESEND_SECONDS
from dsm.memory.faults import FaultKind
from dsm.node.region import Region
from dsm.node.scopes import Scope
from tests.node.fakes import PAGE, FakeHost, FakeSource, attachment, fault, info, until

PEER = NodeId(2)


@dataclass(eq=False)
class Waiter:
    write: bool
    taken: bool = True
    came: list[int] = field(default_factory=list)
    failed: list[DsmError] = field(default_factory=list)

    def page_came(self, index: int) -> bool:
        self.came.append(index)
        return self.taken

    def page_failed(self, index: int, error: DsmError) -> None:
        self.failed.append(error)


def request_of(host: FakeHost) -> RequestId:
    ((_, message),) = host.take()
    assert isinstance(message, GetS | GetM)
    return message.request


def give(region: Region, host: FakeHost, index: int = 0, write: bool = False) -> None:
    """Let a page come as zeros."""
    waiter = Waiter(write)
    region.wait(index, waiter)
    region.received(index, Grant(request_of(host), int(write), write, Source.ZERO))
    assert waiter.came == [index]
    assert host.take() == [(index, Done(region._story[-1][1].message.request, True))]  # type: ignore[union-attr]


def aborted() -> None:
    raise AssertionError("the stream is cut without need")


def send(region: Region, data: Data, content: bytes = b"x" * PAGE, first: int = 0, count: int = 1) -> bool:
    """Receive bytes; return whether they went straight into place."""
    arrival = region.land(first, count, data, aborted)
    arrival.place[:] = content * count
    arrival.complete()
    return arrival.direct


async def test_a_page_that_many_wait_for_is_asked_for_once(region: Region, host: FakeHost) -> None:
    waiters = [Waiter(False) for _ in range(3)]
    for waiter in waiters:
        region.wait(0, waiter)
    region.received(0, Grant(request_of(host), 0, False, Source.ZERO))
    assert [waiter.came for waiter in waiters] == [[0]] * 3


async def test_a_writer_among_readers_is_served_by_a_second_request(region: Region, host: FakeHost) -> None:
    reader, writer = Waiter(False), Waiter(True)
    region.wait(0, reader)
    region.wait(0, writer)
    region.received(0, Grant(request_of(host), 0, False, Source.ZERO))
    assert reader.came == [0] and not writer.came
    (_, done), (_, upgrade) = host.take()
    assert isinstance(done, Done) and isinstance(upgrade, GetM) and upgrade.held == 0
    region.received(0, Grant(upgrade.request, 1, True, Source.HELD))
    assert writer.came == [0]


async def test_a_waiter_that_does_not_take_the_page_stays(region: Region, host: FakeHost) -> None:
    choosy = Waiter(False, taken=False)
    region.wait(0, choosy)
    region.received(0, Grant(request_of(host), 0, False, Source.ZERO))
    region.look_again(0)
    assert choosy.came == [0, 0]
    choosy.taken = True
    region.look_again(0)
    region.look_again(0)
    assert choosy.came == [0, 0, 0]


async def test_a_lost_page_fails_its_waiters(region: Region, host: FakeHost) -> None:
    waiter = Waiter(False)
    region.wait(0, waiter)
    region.received(0, Lost(request_of(host)))
    assert isinstance(waiter.failed[0], PageLost) and "page 0" in str(waiter.failed[0])


async def test_an_impossible_message_is_refused_with_the_pages_story(region: Region, host: FakeHost) -> None:
    region.wait(0, Waiter(False))
    with pytest.raises(ProtocolError, match=r"page 0.*story.*Wanted"):
        region.received(0, Fetch(RequestId(9), PEER))


# --- Hold -----------------------------------------------------------------------------------------------------------


async def test_an_inv_waits_for_the_end_of_the_hold() -> None:
    host = FakeHost()
    region = host.add(info(hold=0.02))
    give(region, host)
    region.received(0, Inv(RequestId(50), None, False))
    assert host.take() == [] and region.page(0).state is State.S
    await until(lambda: host.sent)
    assert host.take() == [(0, Ack(RequestId(50)))] and region.page(0).state is State.I


async def test_a_hold_that_is_over_does_not_delay_an_inv(host: FakeHost) -> None:
    region = host.add(info(hold=1.0))
    give(region, host)
    assert host.time is not None
    host.time += 1.5
    region.received(0, Inv(RequestId(50), None, False))
    assert host.take() == [(0, Ack(RequestId(50)))]


async def test_who_waits_while_a_hold_ends_unnoticed_is_looked_at(host: FakeHost) -> None:
    """A scope cannot pin a page with a deferred Inv. The end of the hold lets the Inv through: it must ask anew."""
    region = host.add(info(hold=1.0))
    give(region, host)
    region.received(0, Inv(RequestId(50), None, False))
    scope = Scope(region, attachment(), 0, 1, False)
    scope.start(30)
    assert host.take() == []
    assert host.time is not None
    host.time += 1.5
    region.settle(0)
    ack, asked = host.take()
    assert ack == (0, Ack(RequestId(50))) and isinstance(asked[1], GetS)


# --- Bytes ------------------------------------------------------------------------------------------------------------


async def test_bytes_that_are_expected_go_straight_into_place(region: Region, host: FakeHost) -> None:
    waiter = Waiter(False)
    region.wait(1, waiter)
    assert send(region, Data(request_of(host), 3, False, True), first=1)
    assert waiter.came == [1] and region.segment.read(PAGE, PAGE) == b"x" * PAGE and region.page(1).version == 3


async def test_bytes_that_nobody_asked_for_touch_nothing(region: Region, host: FakeHost) -> None:
    give(region, host, write=True)
    region.segment.write(0, b"mine")
    assert not send(region, Data(RequestId(99), 9, True, True))
    assert region.segment.read(0, 4) == b"mine" and region.page(0).version == 1


async def test_a_second_copy_of_the_same_bytes_changes_nothing(region: Region, host: FakeHost) -> None:
    region.wait(0, Waiter(True))
    data = Data(request_of(host), 1, True, True)
    send(region, data)
    region.segment.write(0, b"newer")
    assert not send(region, data)
    assert region.segment.read(0, 5) == b"newer"


async def test_a_second_copy_on_another_stream_lands_beside_the_first(region: Region, host: FakeHost) -> None:
    waiter = Waiter(False)
    region.wait(0, waiter)
    data = Data(request_of(host), 1, False, True)
    first, second = region.land(0, 1, data, aborted), region.land(0, 1, data, aborted)
    assert first.direct and not second.direct
    second.place[:] = b"2" * PAGE
    second.complete()
    assert not waiter.came, "the first one's bytes may come over these"
    first.place[:] = b"1" * PAGE
    first.complete()
    assert waiter.came == [0] and region.segment.read(0, PAGE) == b"1" * PAGE


async def test_the_second_copy_serves_if_the_first_one_breaks(region: Region, host: FakeHost) -> None:
    waiter = Waiter(False)
    region.wait(0, waiter)
    data = Data(request_of(host), 1, False, True)
    first, second = region.land(0, 1, data, aborted), region.land(0, 1, data, aborted)
    first.place[:9] = b"1" * 9
    first.broken()
    second.place[:] = b"2" * PAGE
    second.complete()
    assert waiter.came == [0] and region.segment.read(0, PAGE) == b"2" * PAGE


async def test_a_transfer_that_breaks_is_asked_for_again(region: Region, host: FakeHost) -> None:
    region.wait(0, Waiter(False))
    request = request_of(host)
    region.land(0, 1, Data(request, 1, False, True), aborted).broken()
    assert host.take() == [(0, GetS(request))] and region.stats.transfers_repeated == 1


async def test_a_stream_is_cut_when_its_place_is_needed_for_something_else(region: Region, host: FakeHost) -> None:
    region.wait(0, Waiter(False))
    cut: list[bool] = []

    def cut_off() -> None:
        cut.append(True)
        arrival.broken()

    arrival = region.land(0, 1, Data(request_of(host), 1, False, True), cut_off)
    region.session_ended()
    assert cut == [True]
    assert not region.land(0, 1, arrival.data, aborted).direct


async def test_a_run_of_which_some_pages_are_here_lands_in_scratch_and_serves_the_others(
    region: Region, host: FakeHost
) -> None:
    give(region, host, 1, write=True)
    region.segment.write(PAGE, b"mine")
    waiter = Waiter(False)
    region.wait(0, waiter)
    assert not send(region, Data(request_of(host), 1, False, True), count=2)
    assert waiter.came == [0] and region.segment.read(PAGE, 4) == b"mine"


async def test_a_request_that_is_overdue_is_repeated_unless_its_bytes_are_coming(
    region: Region, host: FakeHost
) -> None:
    region.wait(0, Waiter(False))
    region.wait(1, Waiter(False))
    (_, first), (_, second) = host.take()
    assert isinstance(first, GetS) and isinstance(second, GetS)
    arrival = region.land(0, 1, Data(first.request, 1, False, True), aborted)
    assert host.time is not None
    host.time += RESEND_SECONDS + 0.1
    region.tick()
    assert host.take() == [(1, second)]
    region.tick()
    assert host.take() == []
    arrival.complete()


# --- Faults -----------------------------------------------------------------------------------------------------------


async def test_a_fault_is_answered_with_what_the_page_allows(region: Region, host: FakeHost) -> None:
    source = FakeSource()
    process = attachment(source)
    region.attachments.add(process)
    region.faulted(process, fault(0))
    region.received(0, Grant(request_of(host), 0, False, Source.ZERO))
    assert source.take() == [("map", 0, PAGE, False)]
    host.take()
    region.faulted(process, fault(0, FaultKind.WRITE_PROTECTED))
    region.received(0, Grant(request_of(host), 1, True, Source.HELD))
    assert source.take() == [("unprotect", 0, PAGE)]
    assert region.stats.as_map()["faults"] == {"minor": 0, "read": 1, "upgrade": 1, "write": 0}


async def test_sequential_faults_ask_ahead_and_a_random_one_does_not(host: FakeHost) -> None:
    region = host.add(info(64))
    process = attachment(FakeSource())
    region.attachments.add(process)
    asked = []
    for index in (0, 40, 41, 7):
        region.faulted(process, fault(index))
        asked.append([page for page, _ in host.take()])
    assert asked == [[0], [40], [41, 42, 43], [7]]


async def test_a_fault_that_nobody_answers_is_poisoned_after_its_deadline(region: Region, host: FakeHost) -> None:
    source = FakeSource()
    process = attachment(source)
    region.attachments.add(process)
    region.faulted(process, fault(2))
    region.tick()
    assert source.take() == []
    host.late()
    region.tick()
    assert source.take() == [("poison", 2 * PAGE, PAGE)]


async def test_a_late_write_to_a_page_that_is_here_to_read_is_not_poisoned(region: Region, host: FakeHost) -> None:
    """Poison cannot replace a page that is mapped; taking its write-protection off would let the store through."""
    source = FakeSource()
    process = attachment(source)
    region.attachments.add(process)
    give(region, host)
    region.faulted(process, fault(0, FaultKind.WRITE_PROTECTED))
    upgrade = request_of(host)
    host.late()
    region.tick()
    assert source.take() == []
    region.received(0, Grant(upgrade, 1, True, Source.HELD))
    assert source.take() == [("map", 0, PAGE, True)]


async def test_a_process_that_detaches_while_it_waits_is_forgotten(region: Region, host: FakeHost) -> None:
    source = FakeSource()
    process = attachment(source)
    region.attachments.add(process)
    region.faulted(process, fault(0))
    region.detach(process)
    region.received(0, Grant(request_of(host), 0, False, Source.ZERO))
    assert source.take() == [] and source.closed


async def test_an_invalidated_page_is_protected_read_and_dropped_before_its_bytes_leave(
    region: Region, host: FakeHost
) -> None:
    source = FakeSource()
    process = attachment(source)
    region.attachments.add(process)
    region.faulted(process, fault(0, FaultKind.WRITE_MISSING))
    region.received(0, Grant(request_of(host), 1, True, Source.ZERO))
    region.segment.write(0, b"last")
    host.take()
    region.received(0, Inv(RequestId(70), PEER, True))
    ((to, index, data, kept),) = host.supplied
    assert (to, index, data.version) == (PEER, 0, 2) and kept is not None and kept[:4] == b"last"
    assert source.take() == [("map", 0, PAGE, True), ("protect", 0, PAGE)]
    assert region.segment.resident_bytes() == 0
