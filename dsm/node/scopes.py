"""Scoped accesses and prefetches of this host's processes: each takes its pages one by one in ascending order.

A scope is exclusive in two steps. On this host, a reader-writer lock for each page, first come first served, keeps
scopes of other processes out. Between hosts, the page's pin keeps the page here: pinned for writing it is the only
copy there is, pinned for reading it stays readable, and nobody else can be writing. Since all take pages in ascending
order, only a process that nests scopes the wrong way round can wait in a circle; its deadline ends that.

Pages are asked for ahead of the one that is being taken, in one message, so a long scope costs few round trips. What
is asked for ahead is not pinned and may be gone again when its turn comes; then it is asked for once more.

When the node's session ends, scopes that are open are broken: their pages are gone. A process without userfaultfd
does not notice before the end of its block, and what it stores meanwhile lands in the memfd. So no page of a broken
scope of such a process is brought here before that scope has ended (`Locks.unsafe`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from dsm.core import cache
from dsm.core.events import Pinned, Unpinned
from dsm.core.types import Pin
from dsm.errors import DsmError, RegionClosed, SessionLost
from dsm.limits import PREFETCH_BYTES_MAX
from dsm.node.attachment import Attachment

if TYPE_CHECKING:
    from dsm.node.region import Region


class Stuck(Exception):
    """The deadline passed while waiting for a page. `holder` is the local scope in the way, if it is a local one."""

    def __init__(self, page: int, holder: Scope | None) -> None:
        super().__init__(page, holder)
        self.page = page
        self.holder = holder


def _seen(ready: asyncio.Future[None]) -> None:
    """Whoever waited may have gone, and an error that nobody asks for would be reported as forgotten."""
    if not ready.cancelled():
        ready.exception()


class Sweep:
    """Brings the pages first..end-1 here, in ascending order: a prefetch. `ready` resolves when all have come."""

    def __init__(self, region: Region, attachment: Attachment, first: int, count: int, write: bool) -> None:
        self.region = region
        self.attachment = attachment
        self.first = first
        self.end = first + count
        self.write = write
        self.next = first
        self.since = region.now()
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked_up_to = first
        self._ahead = max(1, PREFETCH_BYTES_MAX // region.info.page_size)

    def start(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.call_later(seconds, self._expire)
        self.ready.add_done_callback(lambda _: deadline.cancel())
        self.ready.add_done_callback(_seen)
        self.region.sweeps[self] = None
        self._advance()

    def _advance(self) -> None:
        while self.next < self.end and not self.ready.done():
            self._ask_ahead()
            if not self._take(self.next):
                return
            self.next += 1
        if not self.ready.done():
            self._arrived()
            self.ready.set_result(None)

    def _ask_ahead(self) -> None:
        """Keep at least half a window of pages asked for."""
        if self._asked_up_to < min(self.end, self.next + (self._ahead + 1) // 2):
            until = min(self.end, self.next + self._ahead)
            self.region.ask_for(self._asked_up_to, until - self._asked_up_to, self.write)
            self._asked_up_to = until

    def _take(self, index: int) -> bool:
        """Take a page, or see to it that `page_came` or `lock_came` is called."""
        if self.region.page(index).state.allows(self.write):
            return True
        self.region.wait(index, self)
        return False

    def _arrived(self) -> None:
        pages = ((index, self.region.page(index).state) for index in range(self.first, self.end))
        self.attachment.ensure((index, state.allows(True)) for index, state in pages if state.readable)
        self.close()

    def page_came(self, index: int) -> bool:
        """The page allows what this waits for. True if this no longer waits for it."""
        if self.ready.done():
            return True
        self.next = index + 1
        # Not from within the page's own step: what it takes next may be the same page's neighbour in that step.
        asyncio.get_running_loop().call_soon(self._advance)
        return True

    def page_failed(self, index: int, error: DsmError) -> None:  # noqa: ARG002  # it waits for one page at a time
        self.fail(error)

    def fail(self, error: Exception) -> None:
        if not self.ready.done():
            self.ready.set_exception(error)
            self.region.stop_waiting(self.next, self)
            self.close()

    def _expire(self) -> None:
        self.fail(Stuck(self.next, None))

    def session_ended(self) -> None:
        """A prefetch waits on: the pages can be had again when the node has joined again."""

    def lose(self, error: DsmError) -> None:
        """The pages that this has or waits for are gone."""
        self.fail(error)

    def abandon(self) -> None:
        """The process that this is for has gone."""
        self.fail(RegionClosed(f"region {self.region.info.name!r} was closed meanwhile"))
        self.close()

    def close(self) -> None:
        self.region.sweeps.pop(self, None)


class Scope(Sweep):
    """A `with region.read()` or `region.write()` of one process."""

    def __init__(self, region: Region, attachment: Attachment, first: int, count: int, write: bool) -> None:
        super().__init__(region, attachment, first, count, write)
        self.broken = False
        """The session ended under it: its bytes may not be what the others see."""
        self._locked = first
        """The pages before this one are locked for this scope, on this host."""
        self._pinned = first
        """The pages before this one are here, and stay for this scope."""

    def has(self, index: int) -> bool:
        """Whether this scope, of those that have the page locked, has the page itself."""
        return self.first <= index < self._pinned

    def _take(self, index: int) -> bool:
        if self._locked == index and not self.region.locks.take(index, self):
            return False
        self._locked = index + 1
        if self._pin(index):
            return True
        self.region.wait(index, self)
        return False

    def _pin(self, index: int) -> bool:
        page = self.region.page(index)
        if not cache.can_pin(page, self.write):
            return False
        if page.pin is Pin.NONE:
            self.region.deliver(index, Pinned(self.write))
        self._pinned = index + 1
        return True

    def page_came(self, index: int) -> bool:
        # The pin must be taken in the step that brought the page, or the next Inv could be quicker.
        return self.ready.done() or (self._pin(index) and super().page_came(index))

    def lock_came(self, index: int) -> None:
        """The page's lock on this host is this scope's now."""
        self._locked = index + 1
        self._advance()

    def _arrived(self) -> None:
        self.region.stats.scopes += 1
        self.attachment.ensure((index, self.region.page(index).state.allows(True)) for index in self._pages())

    def _pages(self) -> range:
        return range(self.first, self.end)

    def _expire(self) -> None:
        holders = self.region.locks.holders(self.next, 1)
        self.fail(Stuck(self.next, next((scope for _, scope in holders), None)))

    def session_ended(self) -> None:
        self.lose(SessionLost(f"the node's session ended while a scope on region {self.region.info.name!r} waited"))

    def lose(self, error: DsmError) -> None:
        self.broken = True
        self._pinned = self.first
        super().lose(error)

    def close(self) -> None:
        """Give everything back, whether all of it was taken or not."""
        super().close()
        locks = self.region.locks
        locks.forget(self._locked, self)
        locked, pinned, self._locked, self._pinned = self._locked, self._pinned, self.first, self.first
        for index in range(self.first, locked):
            locks.release(index, self)
            # Readers share the lock, and one of them may still wait for the page that this one had.
            if index < pinned and not locks.holders(index, 1):
                self.region.deliver(index, Unpinned())
            if self.broken:
                self.region.scope_broke(index, self.attachment)
            locks.pass_on(index)


class PageLock:
    """One page's reader-writer lock among the scopes of this host, in order of arrival."""

    def __init__(self) -> None:
        self.holders: dict[Scope, None] = {}
        self.queue: deque[Scope] = deque()

    def admits(self, scope: Scope) -> bool:
        return not self.holders or not (scope.write or next(iter(self.holders)).write)


class Locks:
    """The page locks of one region. A page that no scope wants has none."""

    def __init__(self) -> None:
        self._locks: dict[int, PageLock] = {}

    def take(self, index: int, scope: Scope) -> bool:
        """Lock a page, or queue for it; then `scope.lock_came` is called when its turn comes."""
        lock = self._locks.setdefault(index, PageLock())
        if not lock.queue and lock.admits(scope):
            lock.holders[scope] = None
            return True
        lock.queue.append(scope)
        return False

    def release(self, index: int, scope: Scope) -> None:
        """Unlock a page; `pass_on` is to be called then."""
        self._locks[index].holders.pop(scope, None)

    def pass_on(self, index: int) -> None:
        """Give a page to the first in its queue, and to the readers directly behind a reader."""
        lock = self._locks[index]
        came: list[Callable[[int], None]] = []
        while lock.queue and lock.admits(lock.queue[0]):
            scope = lock.queue.popleft()
            lock.holders[scope] = None
            came.append(scope.lock_came)
        if not lock.holders:
            del self._locks[index]
        for call in came:
            call(index)

    def forget(self, index: int, scope: Scope) -> None:
        """A scope that may be queued for a page gives up."""
        lock = self._locks.get(index)
        if lock is not None and scope in lock.queue:
            lock.queue.remove(scope)
            self.pass_on(index)

    def holders(self, first: int, count: int) -> list[tuple[int, Scope]]:
        """Return who has which page of a run: not those who only have its lock and wait for the page."""
        held = [(index, self._locks[index]) for index in range(first, first + count) if index in self._locks]
        return [(index, scope) for index, lock in held for scope in lock.holders if scope.has(index)]

    def unsafe(self, index: int) -> bool:
        """Whether somebody may touch the page in the memfd although it is not here."""
        lock = self._locks.get(index)
        return lock is not None and any(scope.broken and scope.attachment.blind for scope in lock.holders)
