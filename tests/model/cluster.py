"""What can happen in a world, and the world after it: the shipped step functions, and a daemon reduced to its rules.

    sessions     first in, first out, in both directions; nothing is lost while they last
    page stream  any order, and transfers may be lost
    daemon       carries effects out in order; after each step looks at who waits, as `node.region` does

Bytes are a version: whoever may write has written it at once, so a copy that misses a write has another number.
Request numbers are the smallest that nobody remembers, which keeps the number of worlds finite and small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from dsm.core import cache, home
from dsm.core.cache import CachePage
from dsm.core.effects import CacheEffect, Drop, Fail, Forget, Hold, Protect, Retain, Send, SendTo, Supply, Zero
from dsm.core.events import (
    Event,
    EvictionChosen,
    HoldEnded,
    Pinned,
    Received,
    SessionEnded,
    TransferBroken,
    Unpinned,
    Wanted,
)
from dsm.core.home import HomePage
from dsm.core.messages import Data, ToHome
from dsm.core.types import NodeId, Pin, RequestId, State
from dsm.errors import ProtocolError
from tests.model.world import Named, Names, Node, Session, Transfer, Waiter, World

REQUESTS_PER_NODE = 16


class Broken(Exception):
    """The step that was to be made breaks a law."""


@dataclass(frozen=True)
class Setting:
    """How large a world to explore."""

    operations: tuple[int, ...]
    """For each node, how many its processes begin."""
    faults: bool = True
    scopes: bool = False
    evictions: bool = False
    hold: bool = False
    """Whether a page is held for a while, or the region's hold time is 0."""
    losses: int = 0
    repeats: int = 0
    endings: int = 0


class Move(NamedTuple):
    """Something that can happen."""

    kind: str
    place: int = 0
    subject: object = None


class After(NamedTuple):
    """What a step at a node leads to."""

    page: Named[CachePage]
    memory: int | None
    retained: int | None
    to_home: tuple[Named[ToHome], ...]
    supplied: tuple[Transfer, ...]
    failed: bool


class Cluster:
    """The next worlds of a world. Remembers the outcome of each step that was ever made."""

    def __init__(self, setting: Setting, traced: Callable[[Callable[[], object]], object] = lambda call: call()) -> None:
        self.setting = setting
        self._traced = traced
        self._names = Names()
        self._at_node: dict[tuple[object, ...], After] = {}
        self._at_home: dict[tuple[object, ...], tuple[Named[HomePage], tuple[tuple[int, Named[Event]], ...]]] = {}
        name: Callable[[Event], Named[Event]] = self._names.name
        self._hold_ended, self._unpinned = name(HoldEnded()), name(Unpinned())
        self._broken, self._session_ended = name(TransferBroken()), name(SessionEnded())

    def first(self) -> World:
        nobody, untouched = self._names.name(HomePage()), self._names.name(CachePage())
        nodes = tuple(Node(untouched, operations=count) for count in self.setting.operations)
        setting = self.setting
        return World(nobody, nodes, losses=setting.losses, repeats=setting.repeats, endings=setting.endings)

    # --- what can happen ------------------------------------------------------------------------------------------

    def moves(self, world: World) -> list[Move]:
        moves = [move for place in range(len(world.nodes)) for move in self._going_on(world, place)]
        for transfer in dict.fromkeys(world.transfers):
            moves.append(Move("arrives", transfer.to, transfer))
            if world.losses:
                moves.append(Move("is lost", transfer.to, transfer))
        moves += [move for place, node in enumerate(world.nodes) for move in self._repeats(world, place, not moves)]
        moves += [move for place in range(len(world.nodes)) for move in self._begins(world, place)]
        return moves

    def _going_on(self, world: World, place: int) -> Iterator[Move]:
        """What happens by itself sooner or later."""
        node = world.nodes[place]
        page = node.page.value
        if node.to_home and node.session is not Session.ENDED_AT_HOME:
            yield Move("home hears", place, node.to_home[0])
        if node.from_home and node.session is not Session.ENDED_AT_NODE:
            yield Move("hears", place, node.from_home[0])
        if page.held:
            yield Move("happens", place, self._hold_ended)
        if page.pin is not Pin.NONE:
            yield Move("happens", place, self._unpinned)
        if node.session is Session.ENDED_AT_HOME:
            yield Move("session ends at node", place)
        if node.session is Session.ENDED_AT_NODE:
            yield Move("session ends at home", place)

    def _repeats(self, world: World, place: int, overdue: bool) -> Iterator[Move]:
        if world.nodes[place].page.value.pending is not None and (world.repeats or overdue):
            yield Move("is overdue" if overdue else "grows impatient", place, self._broken)

    def _begins(self, world: World, place: int) -> Iterator[Move]:
        """What somebody may decide to do."""
        node = world.nodes[place]
        if world.endings and node.session is Session.UP:
            yield Move("session ends at node", place)
            yield Move("session ends at home", place)
        if not node.operations or node.session is Session.ENDED_AT_NODE:
            return
        page = node.page.value
        for write in (False, True):
            if self.setting.faults and not page.state.allows(write) and Waiter(write, False) not in node.waiters:
                yield Move("wants", place, Waiter(write, False))
            if self.setting.scopes and Waiter(write, True) not in node.waiters:
                yield Move("wants", place, Waiter(write, True))
        if self.setting.evictions and cache.evictable(page):
            yield Move("evicts", place)

    # --- what comes of it -----------------------------------------------------------------------------------------

    def after(self, world: World, move: Move) -> World:
        """Return the next world.

        Raises:
            Broken: the move breaks a law.
        """
        try:
            world = self._after(world, *move)
        except ProtocolError as error:
            raise Broken(str(error)) from error
        return world

    def _after(self, world: World, kind: str, place: int, subject: object) -> World:
        node = world.nodes[place]
        match kind, subject:
            case "home hears", Named() as message:
                world = _with(world, place, node._replace(to_home=node.to_home[1:]))
                return self._home_hears(world, place, message)
            case "hears", Named() as event:
                world = _with(world, place, node._replace(from_home=node.from_home[1:]))
                return self._happens(world, place, event)
            case "happens" | "is overdue", Named() as event:
                return self._happens(world, place, event)
            case "grows impatient", Named() as event:
                return self._happens(world._replace(repeats=world.repeats - 1), place, event)
            case "arrives", Transfer() as transfer:
                world = world._replace(transfers=_without(world.transfers, transfer))
                return self._happens(world, place, transfer.data, transfer.memory)
            case "is lost", Transfer() as transfer:
                return world._replace(transfers=_without(world.transfers, transfer), losses=world.losses - 1)
            case "wants", Waiter() as waiter:
                node = node._replace(waiters=tuple(sorted((*node.waiters, waiter))), operations=node.operations - 1)
                return self._look(_with(world, place, node), place)
            case "evicts", _:
                world = _with(world, place, node._replace(operations=node.operations - 1))
                return self._happens(world, place, self._names.name(EvictionChosen(_unused_request(world, place))))
            case "session ends at node", _:
                return self._ends_at_node(world, place)
            case _:
                return self._ends_at_home(world, place)

    def _happens(self, world: World, place: int, event: Named[Event], memory: int | None = None) -> World:
        node = world.nodes[place]
        key = (node.page, node.memory, node.retained, event, memory)
        after = self._at_node.get(key)
        if after is None:
            after = self._at_node[key] = self._step(node, event.value, memory)
        page = after.page.value
        unheard = node.session is Session.ENDED_AT_HOME
        node = Node(
            after.page,
            after.memory,
            after.retained,
            () if after.failed else node.waiters,
            node.operations,
            node.session,
            node.to_home if unheard else node.to_home + after.to_home,
            node.from_home,
        )
        nodes = (*world.nodes[:place], node, *world.nodes[place + 1 :])
        transfers = tuple(sorted(world.transfers + after.supplied)) if after.supplied else world.transfers
        latest = max(world.latest, page.version) if page.state.readable else world.latest
        world = World(world.home, nodes, transfers, latest, *world[4:])
        if not self.setting.hold and page.held:
            return self._happens(world, place, self._hold_ended)
        return self._look(world, place) if node.waiters else world

    def _look(self, world: World, place: int) -> World:
        """As the daemon does after each step: serve who waits, and ask for what still is missing."""
        node = world.nodes[place]
        page = node.page.value
        for waiter in node.waiters:
            if waiter.scope and cache.can_pin(page, waiter.write) and page.pin is Pin.NONE:
                pinned = self._names.name(Pinned(waiter.write))
                return self._happens(_with(world, place, _served(node, waiter)), place, pinned)
            if not waiter.scope and page.state.allows(waiter.write):
                return self._look(_with(world, place, _served(node, waiter)), place)
        write = any(waiter.write for waiter in node.waiters)
        if node.waiters and page.pending is None and not page.state.allows(write):
            return self._happens(world, place, self._names.name(Wanted(write, _unused_request(world, place))))
        return world

    def _home_hears(self, world: World, place: int, message: Named[ToHome | SessionEnded]) -> World:
        key = (world.home, place, message)
        outcome = self._at_home.get(key)
        if outcome is None:
            outcome = self._at_home[key] = self._home_step(world.home.value, place, message.value)
        page, sent = outcome
        nodes = list(world.nodes)
        for to, event in sent:
            if nodes[to].session is Session.UP:
                nodes[to] = nodes[to]._replace(from_home=(*nodes[to].from_home, event))
        return world._replace(home=page, nodes=tuple(nodes))

    def _home_step(
        self, page: HomePage, place: int, message: ToHome | SessionEnded
    ) -> tuple[Named[HomePage], tuple[tuple[int, Named[Event]], ...]]:
        after, effects = self._traced(lambda: home.step(page, NodeId(place + 1), message))
        sent = tuple((effect.node - 1, self._names.name(Received(effect.message))) for effect in effects)
        return self._names.name(after), sent

    # --- sessions -------------------------------------------------------------------------------------------------

    def _ends_at_node(self, world: World, place: int) -> World:
        """The node gives up all it holds. Home may still hear what it sent before."""
        node = world.nodes[place]._replace(from_home=(), waiters=())
        world = self._happens(_with(world, place, node), place, self._session_ended)
        return self._ended(world, place, Session.ENDED_AT_NODE)

    def _ends_at_home(self, world: World, place: int) -> World:
        """Home hears no more of this session. The node may still hear what was sent to it before."""
        world = _with(world, place, world.nodes[place]._replace(to_home=()))
        world = self._ended(world, place, Session.ENDED_AT_HOME)
        return self._home_hears(world, place, self._session_ended)

    def _ended(self, world: World, place: int, session: Session) -> World:
        """One side has noticed. Once both have, the node joins again."""
        node = world.nodes[place]
        if node.session is Session.UP:
            return _with(world._replace(endings=world.endings - 1), place, node._replace(session=session))
        return _with(world, place, node._replace(session=Session.UP, to_home=(), from_home=()))

    # --- one step at a node ---------------------------------------------------------------------------------------

    def _step(self, node: Node, event: Event, arriving: int | None) -> After:
        before = node.page.value
        place = Place(node.memory, node.retained, before.state is State.M)
        match event:
            case Received(message=Data() as data) if cache.expects(before, data):
                place.memory = arriving
        page, effects = self._traced(lambda: cache.step(before, event))
        for effect in effects:
            place.carry_out(effect)
        place.settle(before, page)
        supplied = [(self._names.name(Received(data)), to - 1, memory) for to, data, memory in place.supplied]
        return After(
            self._names.name(page),
            place.memory,
            place.retained,
            tuple(self._names.name(message) for message in place.sent),
            tuple(Transfer(data.order, data, to, memory) for data, to, memory in supplied),
            place.failed,
        )


class Place:
    """The page's bytes on one node, while the effects of one step are carried out."""

    def __init__(self, memory: int | None, retained: int | None, writable: bool) -> None:
        self.memory = memory
        self.retained = retained
        self.writable = writable
        self.sent: list[ToHome] = []
        self.supplied: list[tuple[NodeId, Data, int]] = []
        self.failed = False

    def carry_out(self, effect: CacheEffect) -> None:
        match effect:
            case Send(message):
                self.sent.append(message)
            case Supply(to, data):
                self.supplied.append((to, data, self._stable(effect) if self.retained is None else self.retained))
            case Retain():
                self.retained = self._stable(effect)
            case Zero():
                self.memory = 0
            case Protect():
                self.writable = False
            case Drop():
                self.memory, self.writable = None, False
            case Forget():
                self.retained = None
            case Fail():
                self.failed = True
            case Hold():
                pass

    def _stable(self, effect: CacheEffect) -> int:
        if self.memory is None:
            raise Broken(f"{effect} of a page that is not there")
        if self.writable:
            raise Broken(f"{effect} while processes may still write")
        return self.memory

    def settle(self, before: CachePage, page: CachePage) -> None:
        """Compare the bytes with what the record says of them."""
        if page.state is State.M and before.state is not State.M:
            self._law(self.memory == page.version - 1, f"writes version {page.version} over {self.memory}")
            self.memory = page.version
        elif page.state.readable:
            self._law(self.memory == page.version, f"reads version {self.memory} as {page.version}")
        elif page.pending is None or page.pending.arrived is None:
            self._law(self.memory is None, "keeps bytes in memory that nobody may read")
        self._law(page.state is State.M or not self.writable, f"processes may still write to a page in {page.state}")
        self._law((page.retained is None) == (self.retained is None), "retains bytes that nobody knows of")

    def _law(self, holds: bool, otherwise: str) -> None:
        if not holds:
            raise Broken(otherwise)


def _with(world: World, place: int, node: Node) -> World:
    return world._replace(nodes=(*world.nodes[:place], node, *world.nodes[place + 1 :]))


def _served(node: Node, waiter: Waiter) -> Node:
    return node._replace(waiters=tuple(other for other in node.waiters if other != waiter))


def _without(transfers: tuple[Transfer, ...], transfer: Transfer) -> tuple[Transfer, ...]:
    where = transfers.index(transfer)
    return transfers[:where] + transfers[where + 1 :]


def _unused_request(world: World, place: int) -> RequestId:
    """The smallest number of this node's own that nobody remembers."""
    used: set[RequestId] = set(world.home.requests)
    for node in world.nodes:
        used.update(node.page.requests, *(named.requests for named in node.to_home + node.from_home))
    used.update(*(transfer.data.requests for transfer in world.transfers))
    mine = range((place + 1) * REQUESTS_PER_NODE, (place + 2) * REQUESTS_PER_NODE)
    return next(RequestId(number) for number in mine if number not in used)
