"""Asks a live cluster whether its records obey the laws of the protocol (`dsm.core.invariants`).

Home's record of a page is in the directory, the others on the nodes, and nobody can read them all at one moment. So:

1. Home is asked, then every node, then home again. If home said the same both times, and nothing is under way there or
   on a node, what the nodes said belongs together: a page whose version has not changed was not granted for writing in
   between, and that is the only way to it that takes copies away.
2. A page that was not quiet, or that breaks a law, is looked at again. A law counts as broken if two looks in a row
   found the very same records: a message that was on its way has arrived by then.
3. A page that is still not quiet at the deadline is reported as busy; or as stuck, if for longer than it takes to
   repeat a request that was lost no look has found anything new, and no scope has the page.

Nothing of this is on the way of a page, and no lock is taken.

A cluster of which no page could be judged is not called good: it has no regions, or they were all busy.

Caveat: regions without a name are not looked at; the directory does not list them.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from dsm.core.cache import CachePage
from dsm.core.home_page import HomePage
from dsm.core.invariants import when_quiet
from dsm.core.messages import Data
from dsm.core.types import NodeId, Pin, RegionId
from dsm.errors import RegionNotFound
from dsm.limits import CHECK_PAGES_MAX, CHECK_POLL_SECONDS, CHECK_STUCK_SECONDS
from dsm.wire.calls import DirectoryCalls, NodeCalls
from dsm.wire.directory import PageMapRun, RegionInfo
from dsm.wire.node import Record, RecordRun
from dsm.wire.rpc import channel

UNTOUCHED = PageMapRun(0, 1, None, (), 0, lost=False)
NOTHING = Record()

R = TypeVar("R", PageMapRun, RecordRun)


@dataclass(frozen=True)
class Look:
    """What was said about a page, or about each of adjacent pages. Two looks can be compared."""

    home: PageMapRun
    nodes: Mapping[NodeId, Record]
    same: bool = True
    """Home said the same before and after."""

    @property
    def quiet(self) -> bool:
        waiting = any(record.waiting or record.putting is not None for record in self.nodes.values())
        return self.same and not self.home.busy and not waiting

    @property
    def pinned(self) -> bool:
        return any(record.pin is not Pin.NONE for record in self.nodes.values())

    def broken(self) -> list[str]:
        """The laws that this breaks, if it is quiet."""
        home = self.home
        known = {node: _cache_page(record) for node, record in self.nodes.items()}
        if home.owner is not None:
            known.setdefault(home.owner, CachePage())  # an owner that is no member has nothing
        record = HomePage(home.version, home.owner, frozenset(home.sharers), home.lost)
        return when_quiet(record, known)


@dataclass
class Findings:
    """What came of it. Pages are told as region and number."""

    regions: int = 0
    pages: int = 0
    """Pages that anybody has ever touched."""
    judged: int = 0
    """Of these, the pages that were seen quiet, so that the laws could be asked of them."""
    nodes: int = 0
    violations: list[tuple[str, int, str]] = field(default_factory=list)
    busy: int = 0
    """Pages that were never seen quiet, or were too many to be looked at again."""
    stuck: list[tuple[str, int, str]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.verdict == "ok"

    @property
    def verdict(self) -> str:
        """In a word or three. Where no page was judged, nothing is known to be good."""
        if self.violations or self.stuck:
            return "broken"
        return "ok" if self.judged else "nothing was judged"


async def examine(directory: str, names: Sequence[str], seconds: float) -> Findings:
    """Look at all regions of a cluster, or those of these names, for so long as pages are not quiet.

    Raises:
        DirectoryUnavailable, Unavailable: the directory, or a node that is a member, does not answer.
        RegionNotFound: there is no region of one of the names.
    """
    async with AsyncExitStack() as stack:
        home = DirectoryCalls(await stack.enter_async_context(channel(directory)))
        nodes = {}
        for member in (await home.status()).members:
            nodes[member.node] = NodeCalls(await stack.enter_async_context(channel(member.grpc_address)))
        regions = {info.name: info for info in await home.regions()}
        if unknown := set(names) - regions.keys():
            raise RegionNotFound(f"there is no region {min(unknown)!r}")
        findings = Findings(nodes=len(nodes))
        deadline = time.monotonic() + seconds
        for name in names or sorted(regions):
            await Examination(home, nodes, regions[name], findings).run(deadline)
        return findings


class Examination:
    """Of one region."""

    def __init__(
        self, home: DirectoryCalls, nodes: Mapping[NodeId, NodeCalls], info: RegionInfo, findings: Findings
    ) -> None:
        self._home = home
        self._nodes = nodes
        self._info = info
        self._findings = findings
        self._began = time.monotonic()
        self._last: dict[int, Look] = {}
        self._moved: set[int] = set()
        """Pages of which some look found something new."""

    async def run(self, deadline: float) -> None:
        try:
            await self._run(deadline)
        except RegionNotFound:
            return  # it has gone meanwhile, and its pages with it

    async def _run(self, deadline: float) -> None:
        self._findings.regions += 1
        for pages, look in await self._looks(0, self._info.pages):
            self._findings.pages += len(pages)
            if look.quiet and not look.broken():
                self._findings.judged += len(pages)
                continue
            again = pages[: CHECK_PAGES_MAX - len(self._last)]
            self._findings.busy += len(pages) - len(again)
            self._last |= dict.fromkeys(again, look)
        while self._last and time.monotonic() < deadline:
            await asyncio.sleep(CHECK_POLL_SECONDS)
            for run in _runs(sorted(self._last)):
                found = {page: look for pages, look in await self._looks(run.start, len(run)) for page in pages}
                for page in run:
                    self._look_again(page, found.get(page, Look(UNTOUCHED, {})))
        self._conclude()

    def _look_again(self, page: int, look: Look) -> None:
        before, self._last[page] = self._last[page], look
        if look != before:
            self._moved.add(page)
        if not look.quiet:
            return
        broken = look.broken()
        if not broken or look == before:
            self._findings.judged += 1
            self._findings.violations += [(self._info.name, page, law) for law in broken]
            del self._last[page]

    def _conclude(self) -> None:
        long = time.monotonic() - self._began > CHECK_STUCK_SECONDS
        for page, look in sorted(self._last.items()):
            if long and page not in self._moved and not look.pinned:
                self._findings.stuck.append((self._info.name, page, f"nothing has changed: {look}"))
            else:
                self._findings.busy += 1

    async def _looks(self, first: int, count: int) -> list[tuple[range, Look]]:
        """Ask everybody about a run of pages. Pages that nobody knows anything of are left out."""
        before = await self._ask_home(first, count)
        said = await asyncio.gather(*(self._ask_node(calls, first, count) for calls in self._nodes.values()))
        after = await self._ask_home(first, count)
        return list(_joined(before, after, dict(zip(self._nodes, said, strict=True))))

    async def _ask_home(self, first: int, count: int) -> list[PageMapRun]:
        return await _everything(self._home.page_map, self._info.id, first, count)

    async def _ask_node(self, calls: NodeCalls, first: int, count: int) -> list[RecordRun]:
        return await _everything(calls.records, self._info.id, first, count)


async def _everything(
    ask: Callable[[RegionId, int, int], Awaitable[tuple[list[R], int]]], region: RegionId, first: int, count: int
) -> list[R]:
    """Ask on until an answer has come for all of these pages."""
    runs: list[R] = []
    at, end = first, first + count
    while at < end:
        some, at = await ask(region, at, end - at)
        runs += some
    return runs


def _joined(
    before: list[PageMapRun], after: list[PageMapRun], nodes: Mapping[NodeId, list[RecordRun]]
) -> Iterator[tuple[range, Look]]:
    """Cut all that was said at the same places, so that each piece is one look."""
    layers: list[Sequence[Any]] = [before, after, *nodes.values()]
    cuts = sorted({cut for layer in layers for run in layer for cut in (run.first, run.first + run.count)})
    cursors = [_Cursor(layer) for layer in layers]
    for start, end in itertools.pairwise(cuts):
        home, again, *records = [cursor.at(start) for cursor in cursors]
        if home is None and again is None and not any(records):
            continue
        yield range(start, end), _look(home, again, dict(zip(nodes, records, strict=True)))


class _Cursor:
    """Goes up through runs that lie in ascending order."""

    def __init__(self, runs: Iterable[Any]) -> None:
        self._runs = iter(runs)
        self._run = next(self._runs, None)

    def at(self, page: int) -> Any:
        """Return the run that has the page, or None."""
        while self._run is not None and self._run.first + self._run.count <= page:
            self._run = next(self._runs, None)
        return self._run if self._run is not None and self._run.first <= page else None


def _look(home: PageMapRun | None, again: PageMapRun | None, nodes: Mapping[NodeId, RecordRun | None]) -> Look:
    one, other = (replace(run or UNTOUCHED, first=0, count=1) for run in (home, again))
    records = {node: NOTHING if run is None else run.record for node, run in nodes.items()}
    return Look(one, records, one == other)


def _cache_page(record: Record) -> CachePage:
    retained = record.retained and Data(*record.retained, write=True, grants=True)
    return CachePage(record.state, record.version, pin=record.pin, putting=record.putting, retained=retained or None)


def _runs(pages: list[int]) -> Iterator[range]:
    """Yield adjacent pages, which are ascending, as ranges."""
    start = previous = None
    for page in pages:
        if previous is not None and start is not None and page != previous + 1:
            yield range(start, previous + 1)
            start = page
        start = page if start is None else start
        previous = page
    if start is not None and previous is not None:
        yield range(start, previous + 1)
