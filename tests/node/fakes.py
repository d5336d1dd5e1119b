"""Stand-ins for what the parts of a node daemon talk to: a node, a process's userfaultfd, and a whole small cluster."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from dsm.core import home
from dsm.core.events import SessionEnded
from dsm.core.home import HomePage
from dsm.core.messages import Data, FromHome, ToHome
from dsm.core.types import NodeId, RegionId, RequestId
from dsm.limits import FAULT_SECONDS
from dsm.memory.faults import Fault, FaultKind, FaultSource
from dsm.node.attachment import Attachment
from dsm.node.budget import Budget
from dsm.node.region import Region
from dsm.wire.directory import Lifetime, RegionInfo

PAGE = 4096
PLENTY = 1 << 40
SOON = 5.0


async def until(true: Callable[[], object]) -> None:
    """Wait until something is true; TimeoutError at a deadline."""
    async with asyncio.timeout(SOON):
        while not true():  # noqa: ASYNC110  # a test looks from outside, nobody sets an event for it
            await asyncio.sleep(0.001)


def info(pages: int = 4, page_size: int = PAGE, hold: float = 0.0, number: int = 1) -> RegionInfo:
    return RegionInfo(
        RegionId(number), f"r{number}", pages * page_size, page_size, Lifetime.UNLINK, hold, None, None, "n", 0.0
    )


class FakeSource:
    """A process's userfaultfd as far as the daemon sees it. `error` is raised by the next changes."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.faults: list[Fault] = []
        self.error: Exception | None = None
        self.closed = False

    def fileno(self) -> int:
        return -1 if self.closed else 99

    def read(self) -> list[Fault]:
        faults, self.faults = self.faults, []
        return faults

    def map(self, offset: int, length: int, writable: bool) -> None:
        self._note("map", offset, length, writable)

    def protect(self, offset: int, length: int) -> None:
        self._note("protect", offset, length)

    def unprotect(self, offset: int, length: int) -> None:
        self._note("unprotect", offset, length)

    def poison(self, offset: int, length: int) -> None:
        self._note("poison", offset, length)

    def close(self) -> None:
        self.closed = True

    def take(self) -> list[tuple[Any, ...]]:
        calls, self.calls = self.calls, []
        return calls

    def _note(self, *call: Any) -> None:
        if self.error is not None:
            raise self.error
        self.calls.append(call)


def attachment(source: FakeSource | None = None, page_size: int = PAGE, pid: int = 1) -> Attachment:
    return Attachment(page_size, pid, cast(FaultSource | None, source))


def fault(page: int, kind: FaultKind = FaultKind.READ_MISSING) -> Fault:
    return Fault(page * PAGE, kind)


class FakeHost:
    """A node, for its regions: keeps what they send. `time` is what they take for now."""

    def __init__(self, limit: int = PLENTY) -> None:
        self.joined = True
        self.regions: dict[RegionId, Region] = {}
        self.budget = Budget(limit, self.regions, self.next_request)
        self.sent: list[tuple[int, ToHome]] = []
        self.supplied: list[tuple[NodeId, int, Data, bytes | None]] = []
        self.time: float | None = None
        self._requests = itertools.count(1)

    def next_request(self) -> RequestId:
        return RequestId(next(self._requests))

    def send(self, region: RegionId, index: int, message: ToHome) -> None:
        self.sent.append((index, message))

    def supply(self, to: NodeId, region: Region, index: int, data: Data, kept: bytes | None) -> None:
        self.supplied.append((to, index, data, kept))

    def add(self, what: RegionInfo) -> Region:
        region = self.regions[what.id] = Region(self, what)
        if self.time is not None:
            region.now = lambda: cast(float, self.time)
        return region

    def take(self) -> list[tuple[int, ToHome]]:
        sent, self.sent = self.sent, []
        return sent

    def late(self) -> None:
        """Let so much time pass that a fault is overdue."""
        assert self.time is not None
        self.time += FAULT_SECONDS + 1


@dataclass
class Sent:
    """Bytes of a page under way; read where they are when they go out, as `sendfile` does."""

    to: NodeId
    index: int
    data: Data
    source: Region
    kept: bytes | None

    def content(self) -> bytes:
        size = self.source.info.page_size
        return self.kept if self.kept is not None else self.source.segment.read(self.index * size, size)


class ClusterHost(FakeHost):
    def __init__(self, cluster: SmallCluster, node: NodeId, limit: int) -> None:
        super().__init__(limit)
        self._requests = itertools.count(node << 32)
        self._cluster = cluster
        self._node = node

    def send(self, region: RegionId, index: int, message: ToHome) -> None:
        self._cluster.to_home[self._node].append((index, message))

    def supply(self, to: NodeId, region: Region, index: int, data: Data, kept: bytes | None) -> None:
        self._cluster.bytes.append(Sent(to, index, data, region, kept))


class SmallCluster:
    """One region on several nodes, its real records and the real home, and every message by hand."""

    def __init__(self, nodes: int, pages: int, limit: int = PLENTY, hold: float = 0.0) -> None:
        self.nodes = [NodeId(number) for number in range(1, nodes + 1)]
        self.home = [HomePage() for _ in range(pages)]
        self.to_home: dict[NodeId, deque[tuple[int, ToHome]]] = {node: deque() for node in self.nodes}
        self.to_node: dict[NodeId, deque[tuple[int, FromHome]]] = {node: deque() for node in self.nodes}
        self.bytes: deque[Sent] = deque()
        self.hosts = {node: ClusterHost(self, node, limit) for node in self.nodes}
        self.regions = {node: host.add(info(pages, hold=hold)) for node, host in self.hosts.items()}

    def choices(self) -> list[tuple[str, int]]:
        """What can be delivered now."""
        found = [("home", node) for node in self.nodes if self.to_home[node]]
        found += [("node", node) for node in self.nodes if self.to_node[node]]
        return [*found, *(("bytes", position) for position in range(len(self.bytes)))]

    def deliver(self, kind: str, which: int) -> None:
        if kind == "home":
            index, message = self.to_home[NodeId(which)].popleft()
            self.home[index], effects = home.step(self.home[index], NodeId(which), message)
            for effect in effects:
                self.to_node[effect.node].append((index, effect.message))
        elif kind == "node":
            index, told = self.to_node[NodeId(which)].popleft()
            self.regions[NodeId(which)].received(index, told)
        else:
            sent = self.bytes[which]
            del self.bytes[which]
            arrival = self.regions[sent.to].land(sent.index, 1, sent.data, lambda: None)
            arrival.place[:] = sent.content()
            arrival.complete()

    def end_session(self, node: NodeId) -> None:
        """A node's session with home ends; `hosts[node].joined = True` begins the next."""
        self.hosts[node].joined = False
        self.to_home[node].clear()
        self.to_node[node].clear()
        for index, page in enumerate(self.home):
            self.home[index], effects = home.step(page, node, SessionEnded())
            for effect in effects:
                self.to_node[effect.node].append((index, effect.message))
        self.regions[node].session_ended()

    async def settle(self) -> None:
        """Deliver all there is, oldest first."""
        for _ in range(10_000):
            await asyncio.sleep(0)
            if not (choices := self.choices()):
                await asyncio.sleep(0)
                if not self.choices():
                    return
                continue
            self.deliver(*choices[0])
        raise AssertionError("the cluster does not come to rest")
