"""The end of a session, and the end of a region, with all that is under way."""

from __future__ import annotations

from dsm.core.messages import Data, Grant
from dsm.core.types import Source
from dsm.errors import RegionNotFound
from dsm.node.region import Region
from dsm.node.scopes import Scope
from tests.node.fakes import PAGE, FakeHost, FakeSource, attachment, fault
from tests.node.test_region import Waiter, give, request_of


async def test_what_is_waited_for_is_asked_for_again_in_the_next_session(region: Region, host: FakeHost) -> None:
    waiter = Waiter(False)
    region.wait(0, waiter)
    host.take()
    host.joined = False
    region.session_ended()
    assert host.take() == []
    host.joined = True
    region.look_at_all()
    region.received(0, Grant(request_of(host), 0, False, Source.ZERO))
    assert waiter.came == [0]


async def test_nothing_is_counted_or_resident_after_the_session(region: Region, host: FakeHost) -> None:
    give(region, host, write=True)
    region.wait(1, Waiter(False))
    assert host.budget.used == 2 * PAGE
    host.joined = False
    region.session_ended()
    assert host.budget.used == 0 and region.segment.resident_bytes() == 0 and not region.pages


async def test_a_region_that_is_gone_fails_its_waiters_and_poisons_what_is_touched_later(
    region: Region, host: FakeHost
) -> None:
    source = FakeSource()
    process, waiter = attachment(source), Waiter(False)
    region.attachments.add(process)
    region.wait(0, waiter)
    region.faulted(process, fault(1))
    scope = Scope(region, process, 2, 1, True)
    scope.start(30)
    gone = RegionNotFound("gone")
    region.close(gone)
    assert waiter.failed == [gone] and scope.ready.exception() is gone
    assert source.take() == [("poison", PAGE, PAGE)] and not source.closed
    region.faulted(process, fault(3))
    assert source.take() == [("poison", 3 * PAGE, PAGE)]
    assert host.budget.used == 0
    region.detach(process)
    assert source.closed


async def test_a_region_that_goes_under_an_open_scope_breaks_it(region: Region, host: FakeHost) -> None:
    scope = Scope(region, attachment(FakeSource()), 0, 1, True)
    scope.start(30)
    region.received(0, Grant(request_of(host), 1, True, Source.ZERO))
    await scope.ready
    region.close(RegionNotFound("gone"))
    assert scope.broken
    scope.close()


async def test_a_region_can_go_in_the_middle_of_a_transfer(region: Region, host: FakeHost) -> None:
    region.wait(0, Waiter(False))

    def cut_off() -> None:
        arrival.broken()

    arrival = region.land(0, 1, Data(request_of(host), 1, False, True), cut_off)
    region.close(RegionNotFound("gone"))
    assert region.segment.fd == -1
