"""What a node knows of one region, and the loop around the protocol's core: step, store, carry out.

`deliver` is the only place where a page's record changes. It never awaits, so a record and its effects are published
together. Whoever waits for a page (a fault, a scope, a prefetch) is looked at again after each step on that page; what
still waits is asked for, if it is not already.

Bytes are received straight into the page's place in the memfd, where no process can reach them: the page is not mapped
anywhere, and a touch faults to this daemon, which answers when the core says so (`Arrival`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from dsm.core import cache
from dsm.core.cache import CachePage
from dsm.core.effects import CacheEffect, Drop, Fail, Forget, Hold, Protect, Retain, Send, Supply, Zero
from dsm.core.events import Event, HoldEnded, Received, SessionEnded, TransferBroken, Wanted
from dsm.core.messages import Data, FromHome, Inv, ToHome
from dsm.core.types import NodeId, RegionId, RequestId, State
from dsm.errors import DsmError, PageLost, ProtocolError
from dsm.limits import FAULT_SECONDS, RESEND_SECONDS, STORY_EVENTS
from dsm.memory.faults import Fault, FaultKind
from dsm.memory.segment import Segment
from dsm.node.arrival import Arrival
from dsm.node.attachment import Attachment
from dsm.node.budget import Budget
from dsm.node.scopes import Locks, Sweep
from dsm.node.stats import Stats
from dsm.node.waiting import Waiter, WaitingFault, cost_of
from dsm.wire.directory import RegionInfo

UNTOUCHED = CachePage()
Step = Callable[[int, CachePage, Event], cache.Outcome]
"""`cache.step` for the page of some number."""

WRITES = frozenset({FaultKind.WRITE_MISSING, FaultKind.WRITE_MINOR, FaultKind.WRITE_PROTECTED})


def cache_step(_index: int, page: CachePage, event: Event) -> cache.Outcome:
    return cache.step(page, event)


class Host(Protocol):
    """What a region needs of its node."""

    joined: bool
    budget: Budget

    def next_request(self) -> RequestId: ...
    def send(self, region: RegionId, index: int, message: ToHome) -> None: ...
    def supply(self, to: NodeId, region: Region, index: int, data: Data, kept: bytes | None) -> None: ...


class Region:
    """One region on this node. `pages` holds the records of the pages that the node has to do with."""

    def __init__(self, host: Host, info: RegionInfo, step: Step = cache_step) -> None:
        self.info = info
        self.page_count = -(-info.size // info.page_size)
        self.segment = Segment.create(info.name, self.page_count * info.page_size)
        self.pages: dict[int, CachePage] = {}
        self.attachments: set[Attachment] = set()
        self.sweeps: dict[Sweep, None] = {}
        """An ordered set: what ends together ends in the same order in every run."""
        self.locks = Locks()
        self.stats = Stats()
        self.now: Callable[[], float] = asyncio.get_running_loop().time
        self.gone: DsmError | None = None
        """Why the region is no more, for processes that still have it attached."""
        self._host = host
        self._core = step
        self._waiters: dict[int, list[Waiter]] = {}
        self._kept: dict[int, bytes] = {}
        self._hold_until: dict[int, float] = {}
        self._asked_at: dict[int, float] = {}
        self._arrived_at = 0.0
        """When bytes last came; requests behind them in the queue are not overdue."""
        self._arrivals: dict[int, Arrival] = {}
        self._story: deque[tuple[int, Event]] = deque(maxlen=STORY_EVENTS)

    def page(self, index: int) -> CachePage:
        return self.pages.get(index, UNTOUCHED)

    # --- the loop around the core ---------------------------------------------------------------------------------

    def deliver(self, index: int, event: Event) -> None:
        """Step a page's record and carry out the effects.

        Raises:
            ProtocolError: the event has no row; with the page's recent story.
        """
        page = self._step(index, self._settled(index), event)
        arrival = self._arrivals.get(index)
        if arrival is not None and not cache.expects(page, arrival.data):
            arrival.abort()
        if index in self._waiters:
            self._look(index)

    def _step(self, index: int, before: CachePage, event: Event) -> CachePage:
        self._story.append((index, event))
        try:
            after, effects = self._core(index, before, event)
        except ProtocolError as error:
            story = "; ".join(repr(past) for page, past in self._story if page == index)
            raise ProtocolError(f"region {self.info.name!r}, page {index}: {error}; story: {story}") from error
        if after == UNTOUCHED:
            self.pages.pop(index, None)
        else:
            self.pages[index] = after
        self._account(index, before, after)
        for effect in effects:
            self._carry_out(index, effect)
        return after

    def _account(self, index: int, before: CachePage, after: CachePage) -> None:
        if (before.pending is None) != (after.pending is None):
            if after.pending is None:
                del self._asked_at[index]
            else:
                self._asked_at[index] = self.now()
        if change := _copies(after) - _copies(before):
            self._host.budget.add(change * self.info.page_size)
        if (before.pending and not after.pending) or (before.putting is not None and after.putting is None):
            self._host.budget.look_again()
        if before.deferred is None and after.deferred is not None and after.held:
            asyncio.get_running_loop().call_at(self._hold_until[index], self._hold_ended, index)

    def _carry_out(self, index: int, effect: CacheEffect) -> None:
        size = self.info.page_size
        match effect:
            case Send(message):
                self._host.send(self.info.id, index, message)
            case Hold():
                self._hold_until[index] = self.now() + self.info.hold
            case Supply(to, data):
                self.stats.pages_out += 1
                self.stats.bytes_out += size
                self._host.supply(to, self, index, data, self._kept.get(index))
            case Protect():
                self.stats.downgrades += 1
                for attachment in self.attachments:
                    attachment.protect(index)
            case Retain():
                self._kept[index] = self.segment.read(index * size, size)
            case Drop():
                self._drop(index)
            case Forget():
                self._kept.pop(index, None)
            case Zero():
                self.segment.zero(index * size, size)
            case Fail():
                self._drop(index)
                self.fail(index, PageLost(f"page {index} of region {self.info.name!r} is lost with its last holder"))

    def _drop(self, index: int) -> None:
        self.segment.drop(index * self.info.page_size, self.info.page_size)
        for attachment in self.attachments:
            attachment.dropped(index)

    def settle(self, index: int) -> CachePage:
        """Return the page's record, after the end of its hold if that has passed unnoticed."""
        page = self._settled(index)
        if index in self._waiters and not page.held:
            self._look(index)
        return self.page(index)

    def _settled(self, index: int) -> CachePage:
        # Nobody sets a timer for the end of a hold that nothing waits for.
        page = self.page(index)
        if page.held and self.now() >= self._hold_until[index]:
            del self._hold_until[index]
            page = self._step(index, page, HoldEnded())
        return page

    def _hold_ended(self, index: int) -> None:
        if self.page(index).deferred is not None and index in self._hold_until:
            self.deliver(index, HoldEnded())

    # --- those who wait -------------------------------------------------------------------------------------------

    def wait(self, index: int, waiter: Waiter) -> None:
        """Call the waiter when the page allows what it wants; ask for the page if need be."""
        self._waiters.setdefault(index, []).append(waiter)
        self._look(index)

    def _look(self, index: int) -> None:
        for waiter in self._waiters.pop(index, ()):
            if not (self.page(index).state.allows(waiter.write) and waiter.page_came(index)):
                self._waiters.setdefault(index, []).append(waiter)
        if waiters := self._waiters.get(index):
            self._ask(index, any(waiter.write for waiter in waiters), None)

    def stop_waiting(self, index: int, waiter: Waiter) -> None:
        """The waiter has given up. What was asked for on its behalf may still come."""
        waiters = self._waiters.get(index, [])
        if waiter in waiters:
            waiters.remove(waiter)
            if not waiters:
                del self._waiters[index]

    def look_again(self, index: int) -> None:
        """Something changed that the page's record does not show."""
        if index in self._waiters:
            self._look(index)

    def scope_broke(self, index: int, attachment: Attachment) -> None:
        """A broken scope of this process has ended. What it stored after the page was gone is nobody's: free it."""
        if attachment.blind and self.gone is None and self.page(index) == UNTOUCHED and not self.locks.unsafe(index):
            self._drop(index)
        self.look_again(index)

    def look_at_all(self) -> None:
        """The node has joined again, or has room again: ask for all that is waited for."""
        for index in list(self._waiters):
            self._look(index)

    def _ask(self, index: int, write: bool, request: RequestId | None) -> None:
        page = self.page(index)
        if page.pending is not None or page.state.allows(write) or not self._host.joined:
            return
        if page.state is State.I and self.locks.unsafe(index):
            return
        if page.state is State.I and not self._host.budget.has_room(self.info.page_size):
            self._host.budget.make_room()
            return
        self.deliver(index, Wanted(write, self._host.next_request() if request is None else request))

    def ask_for(self, first: int, count: int, write: bool) -> None:
        """Ask for a run of pages ahead of need. One request number, so that adjacent pages travel as one message."""
        request = self._host.next_request()
        for index in range(first, min(first + count, self.page_count)):
            page = self.page(index)
            if page.state is not State.I or self._host.budget.has_room(self.info.page_size):
                self._ask(index, write, request)

    def fail(self, index: int, error: DsmError) -> None:
        for waiter in self._waiters.pop(index, ()):
            waiter.page_failed(index, error)

    # --- faults ---------------------------------------------------------------------------------------------------

    def faulted(self, attachment: Attachment, fault: Fault) -> None:
        """A process touched a page in a way that its mapping does not allow."""
        index, write = fault.offset // self.info.page_size, fault.kind in WRITES
        if self.gone is not None:
            attachment.poison(index)
            return
        cost = cost_of(self.page(index), write)
        self.wait(index, WaitingFault(self, attachment, fault, write, cost, self.now()))
        window = attachment.ahead.faulted(index)
        if window:
            self._run_ahead(attachment, index + 1, window, write)

    def _run_ahead(self, attachment: Attachment, first: int, window: int, write: bool) -> None:
        """Map what is here of the next pages, and ask for a window beyond."""
        end = first
        while end < min(first + window, self.page_count) and self.page(end).state.allows(write):
            end += 1
        attachment.ensure((index, self.page(index).state.allows(True)) for index in range(first, end))
        attachment.ahead.mapped_up_to(end)
        self.ask_for(end, window, write)

    def detach(self, attachment: Attachment) -> None:
        self.attachments.discard(attachment)
        for index, waiters in self._waiters.items():
            self._waiters[index] = [
                w for w in waiters if not (isinstance(w, WaitingFault) and w.attachment is attachment)
            ]
        for sweep in [sweep for sweep in self.sweeps if sweep.attachment is attachment]:
            sweep.abandon()
        attachment.close()

    # --- bytes from other nodes -----------------------------------------------------------------------------------

    def land(self, first: int, count: int, data: Data, abort: Callable[[], None]) -> Arrival:
        """Say where the bytes of a run of pages go. `abort` cuts their stream."""
        run, size = range(first, first + count), self.info.page_size
        direct = all(cache.expects(self.page(index), data) and index not in self._arrivals for index in run)
        place = self.segment.view(first * size, count * size) if direct else memoryview(bytearray(count * size))
        arrival = Arrival(self, run, data, place, direct, abort)
        if direct:
            self._arrivals.update(dict.fromkeys(run, arrival))
        return arrival

    def landed(self, arrival: Arrival) -> None:
        """All bytes of a run are here."""
        self._arrived_at = self.now()
        self._forget_arrival(arrival)
        size = self.info.page_size
        for position, index in enumerate(arrival.run):
            expected = cache.expects(self.page(index), arrival.data)
            if index in self._arrivals or not expected:
                continue  # a second copy, or nobody waits any more
            if not arrival.direct:
                self.segment.write(index * size, arrival.place[position * size : (position + 1) * size])
            self.stats.pages_in += 1
            self.stats.bytes_in += size
            self.deliver(index, Received(arrival.data))

    def landing_failed(self, arrival: Arrival) -> None:
        """The stream broke in the middle."""
        self._forget_arrival(arrival)
        for index in arrival.run:
            self._ask_again(index)

    def _forget_arrival(self, arrival: Arrival) -> None:
        if arrival.direct:
            for index in arrival.run:
                del self._arrivals[index]

    def ask_again(self) -> None:
        """A page stream to this node broke; what was under way on it for this region nobody can tell."""
        for index in list(self._asked_at):
            self._ask_again(index)

    def _ask_again(self, index: int) -> None:
        if index in self._asked_at and index not in self._arrivals and self._host.joined:
            self._asked_at[index] = self.now()
            self.stats.transfers_repeated += 1
            self.deliver(index, TransferBroken())

    # --- time, session, end ---------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Called now and then: repeat what is overdue, end faults that nobody can answer."""
        now = self.now()
        overdue = now - RESEND_SECONDS
        if self._arrived_at < overdue:
            for index in [index for index, since in self._asked_at.items() if since < overdue]:
                self._ask_again(index)
        for index, waiters in self._waiters.items():
            if self.page(index).state.readable:
                continue  # a write that others' scopes hold up; poison cannot replace a page that is here
            late = [w for w in waiters if isinstance(w, WaitingFault) and now - w.since > FAULT_SECONDS]
            for fault in late:
                waiters.remove(fault)
                fault.attachment.poison(index)

    def session_ended(self) -> None:
        """Whatever this node holds is void."""
        for index in list(self.pages):
            self.deliver(index, SessionEnded())
        for sweep in list(self.sweeps):
            sweep.session_ended()

    def received(self, index: int, message: FromHome) -> None:
        """Home said something about a page."""
        self.stats.invalidations += isinstance(message, Inv)
        self.deliver(index, Received(message))

    def starve(self, error: DsmError) -> None:
        """There is no memory for the pages that are waited for and that nobody has asked for yet."""
        for index in list(self._waiters):
            page = self.page(index)
            if page.state is State.I and page.pending is None:
                self.fail(index, error)

    def close(self, error: DsmError) -> None:
        """The region is gone: free its memory on this node. A process that still has it attached gets errors."""
        self.gone = error
        self._asked_at.clear()
        for arrival in dict.fromkeys(self._arrivals.values()):
            arrival.abort()
        self._host.budget.add(-self.info.page_size * sum(map(_copies, self.pages.values())))
        self.pages.clear()
        self.segment.drop(0, self.segment.size)
        for sweep in list(self.sweeps):
            sweep.lose(error)
        for index in list(self._waiters):
            self.fail(index, error)
        self.segment.close()


def _copies(page: CachePage) -> int:
    """How many times the page's bytes are in this node's memory, or will be when what was asked for comes."""
    return (page.state is not State.I or page.pending is not None) + (page.retained is not None)
