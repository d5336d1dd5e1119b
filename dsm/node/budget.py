"""The node's memory limit, and what is evicted to keep it.

Counted are the pages that are here or on their way, and those retained for others. When a page is wanted and there is
no room, read copies go first; then sharers on other nodes are asked to take over pages that this node owns and others
read (`Put`), so that the copies here may go. Pages that only this node has stay. If nothing helps, whoever waits for
memory gets MemoryLimitExceeded; a plain load or store, which has no way to get an exception, gets SIGBUS.

Victims are taken in the order in which their records came about, oldest first, a batch at a time, so that a node at its
limit does not search all its pages at each fault.

Caveats:
* An owner that asks to write and is overtaken by another writer retains the page for that one, and has it on its way at
  the same time: it counts twice, and may pass the limit by these pages until home's Release comes.
* Nodes that are nearly full may wait for each other in a circle: for memory that is pinned by a scope, or retained for
  somebody, who waits for memory too. Deadlines end that.
* Without a hold time a page may be evicted before the process that waited for it has woken up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING

from dsm.core import cache
from dsm.core.events import EvictionChosen
from dsm.core.types import RegionId, RequestId, State
from dsm.errors import MemoryLimitExceeded
from dsm.limits import EVICTION_BATCH_PAGES

if TYPE_CHECKING:
    from dsm.node.region import Region


class Budget:
    """Bytes of pages on this node, in all regions."""

    def __init__(self, limit: int, regions: Mapping[RegionId, Region], next_request: Callable[[], RequestId]) -> None:
        self.limit = limit
        self.used = 0
        self._regions = regions
        self._next_request = next_request
        self._starving = False
        self._short = False
        """Somebody had to be turned away since the last look."""
        self._scheduled = False
        self._offered: set[tuple[RegionId, int]] = set()
        """Owned pages that were offered to sharers since memory ran short."""

    def add(self, change: int) -> None:
        self.used += change
        if change < 0:
            self.look_again()

    def has_room(self, size: int) -> bool:
        return self.used + size <= self.limit

    def make_room(self) -> None:
        """Somebody waits for a page that there is no room for."""
        self._short = True
        if not self._starving:
            self._starving = True
            self._offered.clear()
            self.look_again()

    def look_again(self) -> None:
        """Something changed that may help those who wait for memory."""
        if self._starving and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._relieve)

    def _relieve(self) -> None:
        self._scheduled = False
        evicted = self._evict(self._victims(State.S))
        self._short = False
        for region in list(self._regions.values()):
            region.look_at_all()
        if not self._short:
            self._starving = False
        elif evicted:
            self.look_again()
        elif not self._evict(self._victims(State.O)) and not self._hopeful():
            self._give_up()

    def _victims(self, state: State) -> Iterator[tuple[Region, int]]:
        for region in self._regions.values():
            for index in list(region.pages):
                page = region.settle(index)
                fresh = state is State.S or (region.info.id, index) not in self._offered
                if page.state is state and fresh and cache.evictable(page):
                    yield region, index

    def _evict(self, victims: Iterator[tuple[Region, int]]) -> int:
        chosen = list(islice(victims, EVICTION_BATCH_PAGES))
        for region, index in chosen:
            self._offered.add((region.info.id, index))
            region.stats.evictions += 1
            region.deliver(index, EvictionChosen(self._next_request()))
        return len(chosen)

    def _hopeful(self) -> bool:
        """Whether something is under way that may free memory: a hold that ends, a page that comes and may then be
        evicted, an offer, a retained copy."""
        pages = [page for region in self._regions.values() for page in region.pages.values()]
        if any(page.held and page.state in (State.S, State.O) for page in pages):
            hold = max(region.info.hold for region in self._regions.values())
            asyncio.get_running_loop().call_later(hold, self.look_again)
            return True
        return any(page.pending or page.putting is not None or page.retained is not None for page in pages)

    def _give_up(self) -> None:
        self._starving = False
        error = MemoryLimitExceeded(
            f"the node is at its memory limit of {self.limit:,} bytes, and none of its pages can be given away now"
        )
        for region in list(self._regions.values()):
            region.starve(error)
