"""A whole cluster in one process: the directory, the nodes, and the laws that hold at every moment."""

from __future__ import annotations

import asyncio
import random
import struct
from typing import Any, cast

from dsm.core import invariants
from dsm.core.cache import CachePage
from dsm.core.events import Event
from dsm.core.messages import ToHome
from dsm.core.types import NodeId, RegionId
from dsm.directory.sessions import Session
from dsm.directory.state import Directory
from dsm.directory.store import Store
from dsm.errors import ProtocolError
from dsm.node.node import Node
from dsm.node.region import Region
from dsm.trace.files import Recorder
from dsm.trace.records import DIRECTORY, NODE
from dsm.wire.runs import Run
from tests.sim.clock import loop
from tests.sim.history import WORD_BYTES, WORDS_PER_PAGE, History, Place
from tests.sim.machine import Broken, Segment
from tests.sim.network import Network
from tests.sim.options import OS_PAGE, PLENTY, Options
from tests.sim.store import MemoryStore
from tests.sim.story import Story
from tests.sim.traces import Traces

EVENTS_MAX = 50_000
WORD = struct.Struct("<q")


class World:
    def __init__(
        self, options: Options, rng: random.Random, tasks: asyncio.TaskGroup, traces: Traces | None = None
    ) -> None:
        self.options = options
        self.random = rng
        self.story = Story()
        self.history = History()
        self.network = Network(options, rng, tasks)
        self.nodes: list[Node] = []
        self.directory: Directory
        self.ended_sessions = 0
        self.operations = 0
        """How many operations of processes have begun."""
        self.progress: asyncio.Future[None] = loop().create_future()
        self.broken: asyncio.Future[str] = loop().create_future()
        self._latest: dict[tuple[RegionId, int], int] = {}
        self._tasks = tasks
        self._traces = traces

    def build(self) -> None:
        recorder = self._recorder(DIRECTORY, DIRECTORY)
        self.directory = watched_directory(self)(cast(Store, MemoryStore()), "simulated", recorder)
        self.network.serve(self.directory)
        for number in range(1, self.options.nodes + 1):
            name = f"n{number}"
            node = Node(name, f"{name} to the directory", self.limit, self._tasks, self._recorder(NODE, name))
            node.page_address, node.grpc_address = f"{name}:1", f"{name}:2"
            self.network.add(node)
            self.nodes.append(node)
            self._tasks.create_task(node.session.run())
            self._tasks.create_task(node.tick())

    def _recorder(self, kind: str, name: str) -> Recorder | None:
        return None if self._traces is None else self._traces.recorder(kind, name)

    @property
    def limit(self) -> int:
        """What a node may have in memory; never less than a page of the largest size in the run."""
        pages = self.options.limit
        return PLENTY * OS_PAGE if pages == PLENTY else pages * self.options.page_size

    def operation_begins(self) -> None:
        self.operations += 1
        if not self.progress.done():
            self.progress.set_result(None)

    def note(self, who: str, what: str, *subjects: Any) -> None:
        self.story.note(loop().time(), who, what, *subjects)

    def violated(self, law: str) -> None:
        """End the run.

        Raises:
            Broken: always.
        """
        if not self.broken.done():
            self.note("LAW", law)
            self.story.over = True
            self.broken.set_result(law)
        raise Broken(law)

    # --- who counts -----------------------------------------------------------------------------------------------

    def is_member(self, node: Node) -> bool:
        """Whether node and directory agree that the node's session is open."""
        return node.joined and self.directory._members.is_current(node.node_id, node.epoch)

    # --- laws -----------------------------------------------------------------------------------------------------

    def stepped(self, region: Region, index: int, before: CachePage, event: Event, after: CachePage) -> None:
        """A page's record at a node has changed."""
        node = cast(Node, region._host)
        self.note(node.name, f"page {region.info.id}/{index}:", event, "→", after)
        if len(self.story) > EVENTS_MAX:
            self.violated(f"more than {EVENTS_MAX:,} events: this goes on for ever")
        if node.budget.used > node.budget.limit and node.budget.used > node.budget.limit + overtaken(node):
            self.violated(f"node {node.name} has {node.budget.used} bytes, its limit is {node.budget.limit}")
        if self.options.limit != PLENTY and (held := bytes_held(node)) > node.budget.used:
            self.violated(f"node {node.name} has {held} bytes, and counts {node.budget.used}")
        if self.is_member(node) and after is not before:
            self._check_records(region.info.id, index)
        if after.state.readable and not before.state.readable:
            self.check_words(node, region, index)

    def _check_records(self, region: RegionId, index: int) -> None:
        caches = self.caches(region, index)
        key = (region, index)
        readable = [page.version for page in caches.values() if page.state.readable]
        self._latest[key] = max([self._latest.get(key, 0), *readable])
        wrong = invariants.always(caches, self._latest[key])
        if wrong:
            self.violated(f"page {region}/{index}: {'; '.join(wrong)}")

    def caches(self, region: RegionId, index: int) -> dict[NodeId, CachePage]:
        """What the nodes that count have of a page."""
        return {
            node.node_id: node.regions[region].page(index)
            for node in self.nodes
            if region in node.regions and self.is_member(node)
        }

    def check_words(self, node: Node, region: Region, index: int) -> None:
        """The words of a page that a node may read are what they should be."""
        segment = cast(Segment, region.segment)
        first = index * region.info.page_size
        for page in range(first // OS_PAGE, (first + region.info.page_size) // OS_PAGE):
            if page not in segment.present:
                self.violated(f"node {node.name} may read page {region.info.id}/{index}, and has a hole there")
        words = read_words(segment, index, region.info.page_size)
        wrong = self.history.wrong(region.info.id, index, words, self.is_member(node))
        if wrong:
            self.violated(f"page {region.info.id}/{index} on node {node.name}: {wrong}")

    def check_place(self, node: Node, place: Place, write: bool) -> None:
        """A process of the node has a page mapped: the node has to hold it."""
        region = node.regions.get(place.region)
        if region is None or not region.page(place.page).state.allows(write):
            kind = "write to" if write else "read"
            where = f"page {place.region}/{place.page}"
            self.violated(f"a process of node {node.name} may {kind} {where}; the node may not")


def bytes_held(node: Node) -> int:
    """Bytes of pages that a node can read, or keeps for others."""
    return sum(
        region.info.page_size * (len(region._kept) + sum(page.state.readable for page in region.pages.values()))
        for region in node.regions.values()
    )


def overtaken(node: Node) -> int:
    """Bytes of pages that a node asked to write while it owned them, and gave to another writer who had come first.

    They count twice, until home's Release comes for what the node retains of them.
    """
    return sum(
        region.info.page_size
        for region in node.regions.values()
        for page in region.pages.values()
        if page.retained is not None and (page.pending is not None or page.state.readable)
    )


def offset_of(word: int, index: int, page_size: int) -> int:
    """Where a word is. They are spread over the page, so that a part of it is not all of them."""
    return index * page_size + word * (page_size // WORDS_PER_PAGE) + WORD_BYTES


def read_words(segment: Segment, index: int, page_size: int) -> tuple[int, ...]:
    content, step = segment.content, page_size // WORDS_PER_PAGE
    first = index * page_size + WORD_BYTES
    return tuple(WORD.unpack_from(content, at)[0] for at in range(first, first + page_size, step))


def watched_region(world: World) -> type[Region]:
    class WatchedRegion(Region):
        def _step(self, index: int, before: CachePage, event: Event) -> CachePage:
            try:
                after = super()._step(index, before, event)
            except ProtocolError as error:
                world.violated(error.message)
                raise
            world.stepped(self, index, before, event, after)
            return after

    return WatchedRegion


def watched_directory(world: World) -> type[Directory]:
    class WatchedDirectory(Directory):
        def receive(self, session: Session, run: Run[ToHome]) -> None:
            world.note("home", f"hears {session.member.name} on {run.region}/{run.first}+{run.count}:", run.message)
            try:
                super().receive(session, run)
            except ProtocolError as error:
                world.violated(f"home: {error.message}")
                raise

        def _end(self, session: Session, handing_over: bool = False) -> None:
            world.note("home", f"ends the session of {session.member.name}, epoch {session.member.epoch}")
            super()._end(session, handing_over)

    return WatchedDirectory
