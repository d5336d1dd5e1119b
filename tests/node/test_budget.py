"""The memory limit: read copies go first, then what a sharer can take over, then whoever waits gets an error."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from dsm.core.messages import Data, GetS, Put, PutAck
from dsm.core.types import NodeId, State
from dsm.errors import MemoryLimitExceeded
from dsm.memory.faults import FaultKind
from dsm.node.scopes import Scope, Stuck
from tests.node.fakes import PAGE, FakeHost, FakeSource, SmallCluster, attachment, fault, info

FIRST, SECOND = NodeId(1), NodeId(2)


def cluster(pages: int, room: int, hold: float = 0.0) -> SmallCluster:
    """Two nodes; the second has room for so many pages."""
    made = SmallCluster(2, pages, hold=hold)
    made.hosts[SECOND].budget.limit = room * PAGE
    return made


async def take(made: SmallCluster, node: NodeId, first: int, count: int = 1, write: bool = False) -> Scope:
    scope = Scope(made.regions[node], attachment(FakeSource()), first, count, write)
    scope.start(30)
    await made.settle()
    return scope


async def test_read_copies_go_for_new_pages_and_the_limit_is_kept() -> None:
    made = cluster(10, 3)
    (await take(made, FIRST, 0, 10, write=True)).close()
    for index in [*range(10)] * 2:
        scope = await take(made, SECOND, index)
        await scope.ready
        scope.close()
        assert made.hosts[SECOND].budget.used <= 3 * PAGE
    assert made.regions[SECOND].stats.evictions > 0


async def test_pages_that_nobody_else_has_stay_and_the_one_who_waits_gets_an_error() -> None:
    made = cluster(4, 2)
    (await take(made, SECOND, 0, 2, write=True)).close()
    scope = await take(made, SECOND, 2)
    with pytest.raises(MemoryLimitExceeded):
        await scope.ready
    assert [made.regions[SECOND].page(index).state for index in range(3)] == [State.M, State.M, State.I]


async def test_an_owned_page_is_given_to_a_sharer_and_then_dropped() -> None:
    made = cluster(4, 2)
    (await take(made, SECOND, 0, 2, write=True)).close()
    (await take(made, FIRST, 0)).close()
    scope = await take(made, SECOND, 2)
    await scope.ready
    assert made.home[0].owner == FIRST and made.regions[SECOND].page(0).state is State.I


async def test_an_offer_that_nobody_takes_ends_in_an_error() -> None:
    host = FakeHost(limit=PAGE)
    region = host.add(info())
    made = cluster(4, 1)
    (await take(made, SECOND, 0, write=True)).close()
    (await take(made, FIRST, 0)).close()
    made.regions[FIRST].session_ended()  # the sharer has dropped its copy in silence, as it may
    scope = await take(made, SECOND, 1)
    with pytest.raises(MemoryLimitExceeded):
        await scope.ready
    assert made.regions[SECOND].page(0).state is State.O and region.page_count == 4


async def test_pages_that_are_pinned_do_not_go() -> None:
    made = cluster(4, 1)
    pinned = await take(made, SECOND, 0)
    scope = await take(made, SECOND, 1)
    with pytest.raises(MemoryLimitExceeded):
        await scope.ready
    pinned.close()
    await (await take(made, SECOND, 1)).ready


async def test_memory_that_is_on_its_way_is_waited_for_and_not_taken_for_full() -> None:
    """A scan with read-ahead: all memory is promised to pages that come in a moment and may go again after that."""
    host = FakeHost(limit=2 * PAGE)
    region = host.add(info())
    source = FakeSource()
    process = attachment(source)
    region.attachments.add(process)
    region.ask_for(0, 2, False)
    asked = [message for _, message in host.take()]
    region.faulted(process, fault(2))
    for _ in range(5):
        await asyncio.sleep(0)
    assert source.take() == [], "no SIGBUS"
    for index, message in enumerate(asked):
        assert isinstance(message, GetS)
        arrival = region.land(index, 1, Data(message.request, 1, False, True), lambda: None)
        arrival.complete()
    for _ in range(5):
        await asyncio.sleep(0)
    assert any(isinstance(message, GetS) and index == 2 for index, message in host.take())


async def test_who_waits_gets_the_memory_of_a_page_that_was_retained_for_another_node_when_that_has_come() -> None:
    made = cluster(4, 1)
    (await take(made, SECOND, 0, write=True)).close()
    writer = Scope(made.regions[FIRST], attachment(FakeSource()), 0, 1, True)
    writer.start(30)
    while not made.bytes:
        made.deliver(*made.choices()[0])
    scope = Scope(made.regions[SECOND], attachment(FakeSource()), 1, 1, False)
    scope.start(30)
    await asyncio.sleep(0)
    assert made.regions[SECOND].page(0).retained is not None and not scope.ready.done()
    await made.settle()
    assert scope.ready.done() and made.regions[SECOND].page(1).state is State.S


async def test_a_fault_that_no_memory_is_left_for_is_poisoned() -> None:
    made = cluster(4, 1)
    (await take(made, SECOND, 0, write=True)).close()
    source = FakeSource()
    process = attachment(source)
    region = made.regions[SECOND]
    region.attachments.add(process)
    region.faulted(process, fault(1, FaultKind.WRITE_MISSING))
    await made.settle()
    assert source.take() == [("poison", PAGE, PAGE)]


async def test_who_waits_while_pages_are_held_gets_one_when_the_hold_ends() -> None:
    made = cluster(4, 1, hold=0.01)
    (await take(made, FIRST, 0, 4, write=True)).close()
    await asyncio.sleep(0.02)
    first = await take(made, SECOND, 0)
    async with asyncio.timeout(5):
        while not first.ready.done():
            await made.settle()
    first.close()
    scope = await take(made, SECOND, 1)
    async with asyncio.timeout(5):
        while not scope.ready.done():
            await made.settle()
    await scope.ready


async def test_a_node_that_is_full_does_not_spin() -> None:
    made = cluster(4, 2, hold=0.0)
    (await take(made, SECOND, 0, 2, write=True)).close()
    budget = made.hosts[SECOND].budget
    with suppress(MemoryLimitExceeded, Stuck):
        await (await take(made, SECOND, 2)).ready
    assert not budget._starving and not budget._scheduled


async def test_offers_are_put_once_each_time_memory_runs_short() -> None:
    host = FakeHost(limit=PAGE)
    region = host.add(info())
    scope = Scope(region, attachment(FakeSource()), 0, 1, False)
    scope.start(30)
    ((_, asked),) = host.take()
    assert isinstance(asked, GetS)
    region.land(0, 1, Data(asked.request, 1, False, True), lambda: None).complete()
    scope.close()
    host.take()
    region.pages[0] = region.page(0).__class__(State.O, 1)
    late = Scope(region, attachment(FakeSource()), 1, 1, False)
    late.start(30)
    for _ in range(5):
        await asyncio.sleep(0)
    ((_, put),) = host.take()
    assert isinstance(put, Put) and not late.ready.done()
    region.received(0, PutAck(put.request, taken=False))
    for _ in range(5):
        await asyncio.sleep(0)
    assert isinstance(late.ready.exception(), MemoryLimitExceeded) and host.take() == []
