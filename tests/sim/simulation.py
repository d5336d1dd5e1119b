"""One run of one seed: a time in which things fail, then all heals, and everything must come to rest and be right."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from dsm.core import invariants
from dsm.node.node import Node
from tests.sim import seams
from tests.sim.clock import VirtualLoop, loop
from tests.sim.machine import Broken, Mapping, SigBus
from tests.sim.options import PLENTY, Options, draw
from tests.sim.process import FAR_TOO_LONG_SECONDS, Process
from tests.sim.story import Story
from tests.sim.traces import Traces
from tests.sim.workload import PERMANENT, Workload
from tests.sim.world import World, watched_region

REST_SECONDS = 60.0
"""A healed cluster comes to rest within this time."""
A_MOMENT_SECONDS = 0.05


@dataclass(frozen=True)
class Outcome:
    seed: int
    options: Options
    story: Story
    seconds: float
    """By the simulated clock."""
    loads: int
    stores: int
    broken: str | None
    """The law that was broken; None: none was."""

    def __str__(self) -> str:
        verdict = "good" if self.broken is None else f"BROKEN: {self.broken}"
        return "\n".join([f"seed {self.seed}: {self.options}", self.story.last(), f"seed {self.seed}: {verdict}"])


def run(
    seed: int, change: Callable[[Options], Options] = lambda options: options, traces: Traces | None = None
) -> Outcome:
    """Run a seed. `change` may change the options that were drawn. The daemons record their steps in `traces`."""
    options, rng = draw(seed)
    options = change(options)
    logging.disable(logging.CRITICAL)
    virtual = VirtualLoop()
    simulation = Simulation(seed, options, rng, traces)
    try:
        with asyncio.Runner(loop_factory=lambda: virtual) as runner:
            return runner.run(simulation.run())
    finally:
        logging.disable(logging.NOTSET)


class Simulation:
    def __init__(self, seed: int, options: Options, rng: object, traces: Traces | None) -> None:
        self._seed = seed
        self._options = options
        self._rng = rng
        self._traces = traces
        self._world: World

    async def run(self) -> Outcome:
        broken: str | None = None
        loop().set_exception_handler(self._unexpected)
        try:
            async with asyncio.TaskGroup() as daemons:
                world = self._world = World(self._options, self._rng, daemons, self._traces)  # type: ignore[arg-type]
                with seams.placed(world.network, watched_region(world)):
                    world.build()
                    await self._until_broken(self._phases())
                    world.story.over = True
                    raise _Over
        except* _Over:
            pass
        except* BaseException as errors:  # noqa: BLE001  (whatever it is, the run is told with it)
            broken = _first(errors)
        world = self._world
        if world.broken.done():
            broken = world.broken.result()
        history = world.history
        return Outcome(self._seed, self._options, world.story, loop().time(), history.loads, history.stores, broken)

    def _unexpected(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        if not self._world.broken.done():
            told = _told(error) if isinstance(error, BaseException) else str(context["message"])
            self._world.story.over = True
            self._world.broken.set_result(told)

    async def _until_broken(self, phases: Coroutine[Any, Any, None]) -> None:
        going: asyncio.Task[None] = loop().create_task(phases)
        await asyncio.wait((going, self._world.broken), return_when=asyncio.FIRST_COMPLETED)
        if not going.done():
            going.cancel()
            await asyncio.wait([going])
            raise Broken(self._world.broken.result())
        going.result()

    # --- the phases -----------------------------------------------------------------------------------------------

    async def _phases(self) -> None:
        await self._rests()
        async with asyncio.TaskGroup() as tasks:
            works = [tasks.create_task(workload.run()) for workload in self._workloads()]
            saboteur = tasks.create_task(self._sabotage())
            await self._all_end(works)
            saboteur.cancel()
        self._world.network.failing = False
        self._world.note("all", "heals")
        await self._rests()
        self._check_at_rest()
        await self._visit_all()
        await self._rests()
        self._check_at_rest()
        await self._unlink_all()
        await self._rests()
        self._check_that_nothing_is_left()

    def _workloads(self) -> list[Workload]:
        world = self._world
        nodes = [node for node in world.nodes for _ in range(world.options.processes)]
        return [Workload(world, node, number) for number, node in enumerate(nodes, 1)]

    async def _all_end(self, works: list[asyncio.Task[None]]) -> None:
        longest = FAR_TOO_LONG_SECONDS * (self._world.options.operations + 2)
        _, left = await asyncio.wait(works, timeout=longest)
        if left:
            self._world.violated(f"{len(left)} processes have not ended after {longest} s")

    async def _sabotage(self) -> None:
        """Let things fail, each a moment after some operation began."""
        world, rng, options = self._world, self._world.random, self._options
        kinds = [self._break] * options.breaks + [self._stall] * options.stalls + [self._end] * options.ends
        operations = options.operations * options.processes * options.nodes
        for moment, kind in sorted((rng.randrange(operations), at) for at in range(len(kinds))):
            while world.operations <= moment:
                world.progress = loop().create_future()
                await world.progress
            await asyncio.sleep(4 * world.network.delay())
            kinds[kind]()

    def _break(self) -> None:
        self._world.note("fault", "a page stream breaks", self._world.network.break_connection())

    def _stall(self) -> None:
        self._world.note("fault", "a page stream stalls", self._world.network.stall_connection())

    def _end(self) -> None:
        self._world.ended_sessions += 1
        self._world.note("fault", "a session is cut:", self._world.network.end_session())

    # --- at rest --------------------------------------------------------------------------------------------------

    async def _rests(self) -> None:
        """Wait until every node has joined, nothing is on its way and nobody waits for anything."""
        deadline = loop().time() + REST_SECONDS
        await asyncio.sleep(A_MOMENT_SECONDS)
        while busy := self._busy():
            if loop().time() > deadline:
                self._world.violated(f"after {REST_SECONDS:.0f} s, {busy}")
            await asyncio.sleep(A_MOMENT_SECONDS)

    def _busy(self) -> str | None:
        world = self._world
        for node in world.nodes:
            if not world.is_member(node):
                return f"node {node.name} has not joined"
            for region in node.regions.values():
                for index, page in region.pages.items():
                    waits = page.pending or page.putting or page.deferred or page.retained
                    if waits:
                        return f"page {region.info.id}/{index} of node {node.name} waits: {page}"
        for table in world.directory._pages._tables.values():
            for index, record in table.records.items():
                if record.transaction or record.queue:
                    return f"home waits for page {table.region}/{index}: {record}"
        return None if world.network.quiet() else "something is on its way"

    def _check_at_rest(self) -> None:
        world = self._world
        for table in world.directory._pages._tables.values():
            for index in range(table.count):
                wrong = invariants.when_quiet(table.get(index), world.caches(table.region, index))
                if wrong:
                    world.violated(f"at rest, page {table.region}/{index}: {'; '.join(wrong)}")
        for node in world.nodes:
            self._check_node_at_rest(node)
        for number, region in world.directory._regions._by_id.items():
            attached = {node.node_id for node in world.nodes if node._users[number]}
            # The node does not hear that it has a region open, or that it has closed one, if the answer is lost.
            if not attached <= region.attached or (attached != region.attached and not self._options.lost_calls):
                world.violated(f"nodes {attached} have region {number} open, home thinks nodes {region.attached} do")

    def _check_node_at_rest(self, node: Node) -> None:
        world, copies = self._world, 0
        if unknown := node.regions.keys() - world.directory._regions._by_id.keys():
            world.violated(f"node {node.name} still has regions {sorted(unknown)}, which are gone")
        for region in node.regions.values():
            left = [region._waiters, region._arrivals, region._asked_at, region._kept, region.sweeps]
            if any(left) or region.locks._locks:
                world.violated(f"node {node.name} has something left for region {region.info.id}: {left}")
            size = region.info.page_size
            here = {index for index, page in region.pages.items() if page.state.readable}
            there = {page * 4096 // size for page in region.segment.present}  # type: ignore[attr-defined]
            if here != there:
                world.violated(f"node {node.name} has pages {there} of region {region.info.id}, and holds {here}")
            copies += len(here) * size
            for index in here:
                world.check_words(node, region, index)
        if node.budget.used != copies:
            world.violated(f"node {node.name} counts {node.budget.used} bytes, and has {copies}")

    # --- after all has healed -------------------------------------------------------------------------------------

    async def _visit_all(self) -> None:
        """Every page can be read and written from every node, or was reported lost, or does not fit."""
        for number, node in enumerate(self._world.nodes):
            process = Process(self._world, node, 9000 + number, blind=False)
            await process.connect()
            for name in PERMANENT[: self._options.regions]:
                await process.create(name, "unlink", self._options.pages)
                for index in range(self._options.pages):
                    process = await self._visit(process, name, index)
            process.die()

    async def _visit(self, process: Process, name: str, index: int) -> Process:
        began = loop().time()
        try:
            mapped = process.mapped[name]
            await process.load(mapped, index, index % 8)
            await process.store(mapped, index, (index + 1) % 8)
        except SigBus:
            page = self._world.directory._pages._tables[mapped.region].get(index)
            if not page.lost and self._options.limit == PLENTY:
                self._world.violated(f"page {mapped.region}/{index} is not lost, and {process.name} gets SIGBUS")
            process.die()
            process = Process(self._world, process.node, 9100, blind=False)
            await process.connect()
            for other in PERMANENT[: self._options.regions]:
                await process.create(other, "unlink", self._options.pages)
        if loop().time() - began > REST_SECONDS:
            self._world.violated(f"{process.name} needed {loop().time() - began:.1f} s for page {name}/{index}")
        return process

    async def _unlink_all(self) -> None:
        process = Process(self._world, self._world.nodes[0], 9999, blind=False)
        await process.connect()
        for info in self._world.directory.regions():
            await process.ask("unlink", name=info.name)
        process.die()

    def _check_that_nothing_is_left(self) -> None:
        world = self._world
        if len(world.directory._regions) and not self._options.lost_calls:
            world.violated(f"regions are left at the directory: {list(world.directory._regions._by_id)}")
        for node in world.nodes:
            if (node.regions or node.budget.used) and not self._options.lost_calls:
                world.violated(f"node {node.name} still has regions {list(node.regions)}, {node.budget.used} bytes")
        files = [file for file in loop().open_files if isinstance(file, Mapping)]
        if files or world.history.scopes:
            world.violated(f"{len(files)} descriptors and {len(world.history.scopes)} scopes are left")


class _Over(Exception):
    """The run has come to its end: the daemons may stop."""


def _first(errors: BaseException) -> str:
    while isinstance(errors, BaseExceptionGroup):
        errors = errors.exceptions[0]
    return _told(errors)


def _told(error: BaseException) -> str:
    if isinstance(error, Broken):
        return str(error)
    return "".join(traceback.format_exception(error)[-6:])
