"""Who waits for a page: a thread of a process that is stopped at a fault. Scopes and prefetches are in `scopes`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dsm.core.cache import CachePage
from dsm.errors import DsmError
from dsm.memory.faults import Fault
from dsm.node.attachment import Attachment
from dsm.node.stats import FaultCost

if TYPE_CHECKING:
    from dsm.node.region import Region


class Waiter(Protocol):
    """Somebody who waits for a page."""

    write: bool

    def page_came(self, index: int) -> bool:
        """The page allows what is wanted. Return whether this no longer waits for it."""

    def page_failed(self, index: int, error: DsmError) -> None: ...


@dataclass(slots=True, eq=False)
class WaitingFault:
    """A thread of a process that is stopped at a page."""

    region: Region
    attachment: Attachment
    fault: Fault
    write: bool
    cost: FaultCost
    since: float

    def page_came(self, index: int) -> bool:
        self.attachment.resolve(self.fault, index, self.region.page(index).state.allows(True))
        self.region.stats.latency[self.cost].add(self.region.now() - self.since)
        return True

    def page_failed(self, index: int, error: DsmError) -> None:  # noqa: ARG002  # a load or store cannot be told why
        self.attachment.poison(index)


def cost_of(page: CachePage, write: bool) -> FaultCost:
    """Return what it takes to answer a fault."""
    if page.state.allows(write):
        return FaultCost.MINOR
    if not write:
        return FaultCost.READ
    return FaultCost.UPGRADE if page.state.readable else FaultCost.WRITE
