"""A process that uses shared memory: its calls to the node daemon, its loads and stores.

What the client library does is done here in a few lines; the daemon's side of each call is the shipped one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, cast

from dsm.core.types import RegionId
from dsm.errors import DsmError
from dsm.node.local import Answer, Call, Peer, Reply
from dsm.node.node import Node
from dsm.node.requests import Client
from dsm.node.scopes import Scope
from dsm.wire.local import PROTOCOL_VERSION
from tests.sim.clock import loop
from tests.sim.history import Held, Place
from tests.sim.machine import Broken, Mapping, Segment
from tests.sim.options import OS_PAGE
from tests.sim.world import WORD, World, offset_of

FIRST_PID = 1_000_000_000  # beyond what Linux gives out: nobody's name is found
LOCAL_SECONDS = 0.00005  # a message over the Unix socket, or a thread that wakes up
FAR_TOO_LONG_SECONDS = 90.0  # no operation takes so long, whatever fails


class GaveUp(Exception):
    """The process did not wait for the answer."""


@dataclass(eq=False)
class Mapped:
    """A region as a process has it."""

    name: str
    region: RegionId
    pages: int
    page_size: int
    number: int
    """Of the attachment."""
    segment: Segment
    mapping: Mapping | None
    """None: the process has no userfaultfd."""


class Process:
    def __init__(self, world: World, node: Node, number: int, blind: bool) -> None:
        self.world = world
        self.node = node
        self.name = f"p{number}"
        self.blind = blind
        self.mapped: dict[str, Mapped] = {}
        self.dead = False
        self.doing = ""
        """What it is about, for who wants to know why it does not end."""
        self._client = Client(node, Peer(FIRST_PID + number, 0, 0))
        self._calls = 0

    def note(self, what: str, *subjects: Any) -> None:
        self.world.note(f"{self.name}@{self.node.name}", what, *subjects)

    # --- calls ----------------------------------------------------------------------------------------------------

    async def ask(self, op: str, cancel: bool = False, descriptors: tuple[int, ...] = (), **arguments: Any) -> Any:
        """Call the node daemon. With `cancel`, do not wait for long.

        Raises:
            DsmError: what it answers.
            GaveUp: it did not answer soon.
        """
        self._calls += 1
        number = self._calls
        await self.pause(LOCAL_SECONDS)
        answer = self._client.handle(Call(op, {"id": number, "op": op, **arguments}, list(descriptors)))
        try:
            async with asyncio.timeout(2 * self.world.network.delay() if cancel else None):
                reply = await self._answered(op, answer)
                await self.pause(LOCAL_SECONDS)
        except DsmError:  # of which DeadlineExceeded is a TimeoutError too
            raise
        except TimeoutError:
            self.note("no longer waits for call", number)
            await self.ask("cancel", call=number)
            raise GaveUp from None
        return reply

    async def _answered(self, op: str, answer: Answer) -> Reply:
        if isinstance(answer, Reply):
            return answer
        replied: asyncio.Future[Reply] = loop().create_future()
        self.node.spawn(_carried_through(answer, replied), op)
        return await replied

    async def pause(self, mean: float) -> None:
        await asyncio.sleep(self.world.random.expovariate(1.0) * mean)

    async def connect(self) -> None:
        await self.ask("hello", protocol=PROTOCOL_VERSION)

    async def create(self, name: str, lifetime: str, pages: int) -> None:
        options = self.world.options
        size = pages * options.page_size
        page_size, hold = options.page_size, options.hold
        made = await self.ask(
            "create", name=name, size=size, page_size=page_size, lifetime=lifetime, hold=hold, exist_ok=True
        )
        await self._attach(made)

    async def open(self, name: str) -> None:
        await self._attach(await self.ask("open", name=name))

    async def _attach(self, opened: Reply) -> None:
        info = cast(dict[str, Any], opened.value)
        segment = loop().file(opened.descriptors[0])
        if not isinstance(segment, Segment):
            raise Broken(f"the descriptor of region {info['name']} is none of its memory")
        mapping = None if self.blind else Mapping(segment, self._wake_up_seconds)
        descriptors = () if mapping is None else (mapping.fileno(),)
        base = None if mapping is None else 0
        try:
            reply = await self.ask("attach", descriptors=descriptors, region=info["id"], base=base)
        except BaseException:
            if mapping is not None:
                mapping.unmap()
                mapping.close()
            raise
        self.mapped[info["name"]] = Mapped(
            info["name"],
            info["id"],
            -(-info["size"] // info["page_size"]),
            info["page_size"],
            reply.value["attachment"],
            segment,
            mapping,
        )

    def _wake_up_seconds(self) -> float:
        return self.world.random.expovariate(1.0) * LOCAL_SECONDS

    async def detach(self, mapped: Mapped) -> None:
        del self.mapped[mapped.name]
        if mapped.mapping is not None:
            mapped.mapping.unmap()
        await self.ask("detach", attachment=mapped.number)

    def die(self) -> None:
        """The process is gone, and the node daemon hears of it."""
        if not self.dead:
            self.dead = True
            for mapped in self.mapped.values():
                if mapped.mapping is not None:
                    mapped.mapping.unmap()
            loop().call_later(self.world.random.expovariate(1.0) * LOCAL_SECONDS, self._client.closed)

    # --- loads and stores -----------------------------------------------------------------------------------------

    async def load(self, mapped: Mapped, index: int, word: int, held: Held | None = None) -> None:
        place = Place(mapped.region, index, word)
        await self._touch(mapped, place, False, held)
        if mapped.mapping is not None or not self._is_void(held):
            region = self.node.regions[mapped.region]
            self.world.check_words(self.node, region, index)
            self.world.history.loads += 1

    async def store(self, mapped: Mapped, index: int, word: int, held: Held | None = None) -> None:
        place = Place(mapped.region, index, word)
        await self._touch(mapped, place, True, held)
        if mapped.segment.fd < 0:
            return  # nobody else has this memory any more
        value = self.world.history.stamp()
        WORD.pack_into(mapped.segment.content, offset_of(word, index, mapped.page_size), value)
        if mapped.mapping is None:
            mapped.segment.view(offset_of(word, index, mapped.page_size), WORD.size).release()
        self.note(f"stores {value} to word {word} of page {mapped.region}/{index}")
        if mapped.mapping is not None or not self._is_void(held):
            self.world.history.stored(place, value, self.world.is_member(self.node))

    async def _touch(self, mapped: Mapped, place: Place, write: bool, held: Held | None) -> None:
        """Return when the access may be made, at once."""
        if mapped.mapping is None:
            if not self._is_void(held):
                self.world.check_place(self.node, place, write)
            return
        offset = offset_of(place.word, place.page, mapped.page_size)
        waits = await mapped.mapping.touch(offset // OS_PAGE, write)
        if waits and held is not None and not held.broken:
            self.world.violated(f"{self.name} faults on page {place.region}/{place.page} within a scope on it")
        self.world.check_place(self.node, place, write)

    def _is_void(self, held: Held | None) -> bool:
        """Whether the node has given the scope up: nobody may see what is stored into it any more."""
        return isinstance(held, LiveScope) and held.void

    # --- scopes ---------------------------------------------------------------------------------------------------

    async def begin(
        self, mapped: Mapped, pages: range, write: bool, seconds: float | None, cancel: bool
    ) -> tuple[int, Held]:
        size = mapped.page_size
        reply = await self.ask(
            "begin",
            cancel,
            attachment=mapped.number,
            offset=pages.start * size,
            length=len(pages) * size,
            write=write,
            timeout=seconds,
        )
        number = reply.value["scope"]
        held = LiveScope(self, mapped.region, pages, write, number)
        wrong = self.world.history.begun(held)
        if wrong:
            self.world.violated(wrong)
        return number, held

    async def end(self, number: int, held: Held) -> None:
        self.world.history.ended(held)
        await self.ask("end", scope=number)

    def scope_of(self, number: int) -> Scope | None:
        """The daemon's record; None if it has taken the scope back."""
        found = self._client._scopes.get(number)
        return None if found is None else found[1]


class LiveScope(Held):
    """A scope that knows when its node no longer stands behind it."""

    def __init__(self, process: Process, region: RegionId, pages: range, write: bool, number: int) -> None:
        self._owner = process
        self._number = number
        super().__init__(process.name, region, pages, write)

    @property
    def void(self) -> bool:
        scope = self._owner.scope_of(self._number)
        return scope is None or scope.broken or self._owner.dead

    @property
    def broken(self) -> bool:
        return self.void or not self._owner.world.is_member(self._owner.node)


async def _carried_through(answer: Any, replied: asyncio.Future[Reply]) -> None:
    """As the local socket does: a call is carried through, whether anybody still waits for its answer or not."""
    try:
        reply = await answer
    except DsmError as error:
        if not replied.done():
            replied.set_exception(error)
    else:
        if not replied.done():
            replied.set_result(reply)
