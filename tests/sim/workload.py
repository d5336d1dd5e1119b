"""What the processes of a run do, and which errors they may get for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from dsm import errors
from dsm.errors import DsmError
from dsm.limits import SCOPE_SECONDS_DEFAULT
from dsm.node.node import Node
from tests.sim.clock import loop
from tests.sim.history import WORDS_PER_PAGE, Held
from tests.sim.machine import SigBus
from tests.sim.options import PLENTY
from tests.sim.process import FAR_TOO_LONG_SECONDS, GaveUp, Mapped, Process
from tests.sim.world import World

PERMANENT, TEMPORARY = ("a", "b"), ("x", "y")
LIFETIMES = {"x": "last-detach", "y": "creator"}
SHORT_SECONDS = 0.01
LONG_SECONDS = 0.1


class Workload:
    """One process after the other, in one place, until their operations are done."""

    def __init__(self, world: World, node: Node, number: int) -> None:
        self.world = world
        self.node = node
        self.random = world.random
        self.process: Process
        self._number = number
        self._lives = 0
        self._acts = self._drawn_acts()

    def _drawn_acts(self) -> list[Callable[[], Awaitable[None]]]:
        options = self.world.options
        acts: list[tuple[bool, int, Callable[[], Awaitable[None]]]] = [
            (options.plain or not options.scopes, 6, self.touches),
            (options.scopes, 4, self.scopes),
            (options.scans, 1, self.scans),
            (options.prefetches, 1, self.prefetches),
            (options.reattaches, 1, self.reattaches),
            (options.temporary, 1, self.visits),
            (options.temporary, 1, self.unlinks),
        ]
        return [act for wanted, weight, act in acts if wanted for _ in range(weight)]

    # --- a life ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        left = self.world.options.operations
        while left > 0:
            self.process = self._new_process()
            try:
                left -= await self._live(left)
            finally:
                self.process.die()

    def _new_process(self) -> Process:
        self._lives += 1
        blind = self.world.options.blind and self.random.random() < 0.4
        return Process(self.world, self.node, 100 * self._number + self._lives, blind)

    async def _live(self, most: int) -> int:
        """Do so many operations, or fewer if the process dies. Return how many."""
        if not await self._survives(self.process.connect):
            return 1
        for done in range(1, most + 1):
            await self.process.pause(self.world.options.pause)
            act = self.random.choice(self._acts)
            self.world.operation_begins()
            if self.world.options.kills and self.random.random() < 0.05:
                await self._killed_within(act)
                return done
            if not await self._survives(act):
                return done
        return most

    async def _killed_within(self, act: Callable[[], Awaitable[None]]) -> None:
        """The process is killed a moment after it began with something."""
        try:
            async with asyncio.timeout(2 * self.world.network.delay()):
                await self._survives(act)
        except TimeoutError:
            self.process.note("is killed")

    async def _survives(self, act: Callable[[], Awaitable[None]]) -> bool:
        """Do something, with whatever error it ends. Return whether the process lives on."""
        began = loop().time()
        try:
            await act()
        except GaveUp:
            return True
        except DsmError as error:
            self._judge(error, began)
            return True
        except SigBus:
            self.process.note("gets SIGBUS")
            self._judge(errors.PageLost("SIGBUS"), began)
            return False
        else:
            self._check_time(began)
            return True

    def _judge(self, error: DsmError, began: float) -> None:
        """A process may get an error only if something happened that explains it."""
        options = self.world.options
        tiny = options.limit != PLENTY
        soon = options.deadlines and loop().time() - began < SCOPE_SECONDS_DEFAULT
        self.process.note(f"gets {type(error).__name__}:", error.message)
        explained = {
            errors.PageLost: self.world.ended_sessions or options.temporary or tiny,
            errors.SessionLost: self.world.ended_sessions,
            errors.DirectoryUnavailable: options.lost_calls,
            errors.MemoryLimitExceeded: tiny,
            # Nodes may wait in a circle: for memory that is pinned, or retained for somebody who waits for memory.
            errors.DeadlineExceeded: soon or tiny,
            errors.RegionNotFound: options.temporary,
            errors.RegionClosed: options.temporary,
        }
        if not explained.get(type(error), False):
            self.world.violated(f"{self.process.name} gets {error!r}, and nothing explains it: {self.process.doing}")
        self._check_time(began)

    def _check_time(self, began: float) -> None:
        took = loop().time() - began
        if took > FAR_TOO_LONG_SECONDS:
            self.world.violated(f"{self.process.name} waited {took:.1f} s: {self.process.doing}")

    def _about(self, what: str) -> None:
        self.process.doing = what
        self.process.note(what)

    # --- what it can do -------------------------------------------------------------------------------------------

    async def _region(self) -> Mapped:
        """A region that stays, attached now if it was not yet."""
        name = self.random.choice(PERMANENT[: self.world.options.regions])
        return await self._attached(name, "unlink")

    async def _attached(self, name: str, lifetime: str) -> Mapped:
        if name not in self.process.mapped:
            self._about(f"opens region {name}")
            await self.process.create(name, lifetime, self.world.options.pages)
        return self.process.mapped[name]

    def _page(self, mapped: Mapped) -> int:
        hot = self.world.options.hot and self.random.random() < 0.7
        return 0 if hot else self.random.randrange(mapped.pages)

    def _writes(self) -> bool:
        return self.random.random() < self.world.options.stores

    async def touches(self) -> None:
        await self._touches(await self._region())

    async def _touches(self, mapped: Mapped) -> None:
        index, word, write = self._page(mapped), self.random.randrange(WORDS_PER_PAGE), self._writes()
        self._about(f"{'stores to' if write else 'loads'} word {word} of page {mapped.region}/{index}")
        if mapped.mapping is None:
            await self._scope(mapped, range(index, index + 1), write)
        elif write:
            await self.process.store(mapped, index, word)
        else:
            await self.process.load(mapped, index, word)

    async def scans(self) -> None:
        mapped = await self._region()
        if mapped.mapping is None:
            return
        write = self.random.random() < 0.2
        self._about(f"{'fills' if write else 'scans'} region {mapped.region}")
        for index in range(self.random.randrange(mapped.pages), mapped.pages):
            await (self.process.store if write else self.process.load)(mapped, index, 0)

    def _pages(self, mapped: Mapped, first: int) -> range:
        start = max(first, self._page(mapped))
        most = mapped.pages - start
        limit = self.world.options.limit
        if limit != PLENTY:
            most = min(most, max(1, limit // 2))
        return range(start, start + self.random.randint(1, min(most, 6)))

    async def scopes(self) -> None:
        mapped = await self._region()
        await self._scope(mapped, self._pages(mapped, 0), self._writes())

    async def _scope(self, mapped: Mapped, pages: range, write: bool) -> None:
        options = self.world.options
        short = options.deadlines and self.random.random() < 0.3
        cancel = options.cancels and self.random.random() < 0.3
        seconds = SHORT_SECONDS * self.random.random() if short else None
        self._about(f"begins to {'write' if write else 'read'} {pages} of region {mapped.region}")
        number, held = await self.process.begin(mapped, pages, write, seconds, cancel)
        self._about(f"is in scope {number}")
        try:
            await self._within(mapped, held)
        except BaseException:
            self.world.history.ended(held)
            raise
        self._about(f"ends scope {number}")
        await self.process.end(number, held)

    async def _within(self, mapped: Mapped, held: Held) -> None:
        for _ in range(self.random.randint(1, 4)):
            index, word = self.random.choice(held.pages), self.random.randrange(WORDS_PER_PAGE)
            write = held.write and self.random.random() < 0.7
            await (self.process.store if write else self.process.load)(mapped, index, word, held)
            if self.random.random() < 0.5:
                await self.process.pause(self._stay_seconds())
        if self.world.options.nested and held.pages.stop < mapped.pages and self.random.random() < 0.5:
            await self._survives_within(mapped, held)

    def _stay_seconds(self) -> float:
        long = self.world.options.dawdles and self.random.random() < 0.3
        return LONG_SECONDS if long else 4 * self.world.options.delay

    async def _survives_within(self, mapped: Mapped, held: Held) -> None:
        """A scope within a scope, in ascending order; its error does not end the outer one."""
        began = loop().time()
        try:
            await self._scope(mapped, self._pages(mapped, held.pages.stop), self._writes())
        except GaveUp:
            return
        except DsmError as error:
            self._judge(error, began)

    async def prefetches(self) -> None:
        mapped = await self._region()
        pages, write = self._pages(mapped, 0), self._writes()
        self._about(f"prefetches {pages} of region {mapped.region}{' to write' if write else ''}")
        size = mapped.page_size
        cancel = self.world.options.cancels and self.random.random() < 0.3
        await self.process.ask(
            "prefetch",
            cancel,
            attachment=mapped.number,
            offset=pages.start * size,
            length=len(pages) * size,
            write=write,
            timeout=None,
        )

    async def reattaches(self) -> None:
        mapped = await self._region()
        self._about(f"detaches region {mapped.region}")
        await self.process.detach(mapped)

    async def visits(self) -> None:
        """Use a region that somebody may make an end of."""
        name = self.random.choice(TEMPORARY)
        mapped = await self._attached(name, LIFETIMES[name])
        await self._touches(mapped)
        if name in self.process.mapped and self.random.random() < 0.5:
            self._about(f"detaches region {mapped.region}")
            await self.process.detach(mapped)

    async def unlinks(self) -> None:
        name = self.random.choice(TEMPORARY)
        self._about(f"unlinks region {name}")
        await self.process.ask("unlink", name=name)
