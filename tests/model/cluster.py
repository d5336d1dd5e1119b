"""What can happen in a world, and the world after it: the shipped step functions, and a daemon reduced to its rules.

    session      first in, first out, both ways, while it lasts; what is on its way when it ends may or may not be heard
    page stream  no order, and transfers may be lost
    daemon       carries effects out in order; after each step serves those who wait, and asks for what they miss;
                 lets bytes leave late, but not after its own session or the receiver's has ended

A node's processes begin a bounded number of operations, and a bounded number of things go wrong; what follows from that
is explored in every order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from dsm.core import cache, home
from dsm.core.cache import CachePage
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
from dsm.core.messages import Fetch, Inv, ToHome
from dsm.core.types import NodeId, Pin
from dsm.errors import ProtocolError
from tests.model.memory import Broken, Memory
from tests.model.world import (
    ALL_GOES_WELL,
    LATER,
    Budget,
    Named,
    Names,
    Node,
    PeerLeft,
    Session,
    Transfer,
    Waiter,
    World,
)

T = TypeVar("T")


def directly(call: Callable[[], T]) -> T:
    return call()


@dataclass(frozen=True)
class Setting:
    """What a cluster may do."""

    operations: tuple[int, ...]
    """For each node, how many its processes begin."""
    scopes: bool = False
    """They begin scopes too, not only loads and stores."""
    evictions: bool = False
    hold: bool = False
    """A page is held for a while; without, its hold ends at once."""
    budget: Budget = ALL_GOES_WELL


class Move(NamedTuple):
    """Something that can happen."""

    kind: str
    place: int
    subject: Any = None


class AtNode(NamedTuple):
    """What a step at a node leads to."""

    page: Named[CachePage]
    memory: int | None
    retained: int | None
    to_home: tuple[Named[ToHome], ...]
    supplied: tuple[Transfer, ...]
    failed: bool


class AtHome(NamedTuple):
    page: Named[HomePage]
    sent: tuple[tuple[int, Named[Event]], ...]


class Cluster:
    """The next worlds of a world. Each step of the protocol is made once and remembered."""

    def __init__(self, setting: Setting, through: Callable[[Callable[[], Any]], Any] = directly) -> None:
        self._setting = setting
        self._through = through
        self._names = Names()
        self._at_node: dict[tuple[object, ...], AtNode] = {}
        self._at_home: dict[tuple[object, ...], AtHome] = {}
        name: Callable[[Event], Named[Event]] = self._names.name
        self._hold_ended, self._unpinned = name(HoldEnded()), name(Unpinned())
        self._broken, self._session_ended = name(TransferBroken()), name(SessionEnded())
        self._do: dict[str, Callable[[World, int, Any], World]] = {
            "home hears": self._home_hears,
            "home hears twice": self._home_hears_twice,
            "hears": self._hears,
            "hears twice": self._hears_twice,
            "receives": self._receives,
            "loses": self._loses,
            "feels": self._happens,
            "repeats early": self._repeats_early,
            "wants": self._wants,
            "evicts": self._evicts,
            "ends at node": self._ends_at_node,
            "ends at home": self._ends_at_home,
        }

    def first(self) -> World:
        untouched = self._names.name(CachePage())
        nodes = tuple(Node(untouched, operations=count) for count in self._setting.operations)
        return World(self._names.name(HomePage()), nodes, budget=self._setting.budget)

    def after(self, world: World, move: Move) -> World:
        """Return the next world.

        Raises:
            Broken: the move breaks a law.
        """
        try:
            return self._do[move.kind](world, move.place, move.subject)
        except ProtocolError as error:
            raise Broken(str(error)) from error

    # --- what can happen ------------------------------------------------------------------------------------------

    def moves(self, world: World) -> list[Move]:
        places = range(len(world.nodes))
        moves = [move for place in places for move in self._of_itself(world, place)]
        moves += [Move("receives", transfer.to, transfer) for transfer in dict.fromkeys(world.transfers)]
        if not moves:
            moves += [Move("feels", place, self._broken) for place in places if _asks(world, place)]
        if any(world.budget):
            moves += [move for place in places for move in self._going_wrong(world, place)]
        return moves + [move for place in places for move in self._begun(world, place)]

    def _of_itself(self, world: World, place: int) -> Iterator[Move]:
        """What happens sooner or later."""
        node = world.nodes[place]
        page = node.page.value
        if node.to_home and node.session is not Session.ENDED_AT_HOME:
            yield Move("home hears", place, node.to_home[0])
        if node.from_home and node.session is not Session.ENDED_AT_NODE:
            yield Move("hears", place, node.from_home[0])
        if page.held:
            yield Move("feels", place, self._hold_ended)
        if page.pin is not Pin.NONE:
            yield Move("feels", place, self._unpinned)
        if node.session is Session.ENDED_AT_HOME:
            yield Move("ends at node", place)
        if node.session is Session.ENDED_AT_NODE:
            yield Move("ends at home", place)

    def _going_wrong(self, world: World, place: int) -> Iterator[Move]:
        node, budget = world.nodes[place], world.budget
        if budget.losses:
            for transfer in dict.fromkeys(world.transfers):
                if transfer.to == place:
                    yield Move("loses", place, transfer)
        if budget.repeats and _asks(world, place):
            yield Move("repeats early", place, self._broken)
        if budget.duplicates and node.to_home:
            yield Move("home hears twice", place, node.to_home[0])
        if budget.duplicates and node.from_home:
            yield Move("hears twice", place, node.from_home[0])
        if budget.endings and node.session is Session.UP:
            yield Move("ends at home", place)
            yield Move("ends at node", place)
            if any(transfer.source == place and transfer.memory == LATER for transfer in world.transfers):
                yield Move("ends at node", place, "before the bytes have left")

    def _begun(self, world: World, place: int) -> Iterator[Move]:
        """What somebody may decide to do."""
        node = world.nodes[place]
        page = node.page.value
        if not node.operations or node.session is Session.ENDED_AT_NODE:
            return
        for write in (False, True):
            if not page.state.allows(write) and Waiter(write, scope=False) not in node.waiters:
                yield Move("wants", place, Waiter(write, scope=False))
            if self._setting.scopes and Waiter(write, scope=True) not in node.waiters:
                yield Move("wants", place, Waiter(write, scope=True))
        if self._setting.evictions and cache.evictable(page):
            yield Move("evicts", place)

    # --- at a node ------------------------------------------------------------------------------------------------

    def _happens(self, world: World, place: int, event: Named[Event], arriving: int | None = None) -> World:
        node = world.nodes[place]
        key = (place, node.page, node.memory, node.retained, event, arriving)
        after = self._at_node.get(key)
        if after is None:
            after = self._at_node[key] = self._step(node, place, event.value, arriving)
        if after.failed:
            _check_that_it_is_lost(world, place)
        page = after.page.value
        unheard = node.session is Session.ENDED_AT_HOME
        changed = Node(
            after.page,
            after.memory,
            after.retained,
            () if after.failed else node.waiters,
            node.operations,
            node.session,
            node.to_home if unheard else node.to_home + after.to_home,
            node.from_home,
        )
        world = World(
            world.home,
            (*world.nodes[:place], changed, *world.nodes[place + 1 :]),
            self._supply(world, place, after.supplied) if after.supplied else world.transfers,
            max(world.latest, page.version) if page.state.readable else world.latest,
            world.budget,
        )
        if page.held and not self._setting.hold:
            return self._happens(world, place, self._hold_ended)
        return self._serve(world, place) if changed.waiters and changed != node else world

    def _step(self, node: Node, place: int, event: Event, arriving: int | None) -> AtNode:
        memory = Memory(node.memory, node.retained, node.page.value)
        memory.receive(event, arriving)
        page, effects = self._through(lambda: cache.step(node.page.value, event))
        for effect in effects:
            memory.carry_out(effect)
        memory.settle(page)
        supplied = [(self._names.name(Received(data)), to - 1, what) for to, data, what in memory.supplied]
        return AtNode(
            self._names.name(page),
            memory.memory,
            memory.retained,
            tuple(self._names.name(message) for message in memory.sent),
            tuple(Transfer(data.order, data, to, place, what) for data, to, what in supplied),
            memory.failed,
        )

    def _supply(self, world: World, place: int, supplied: tuple[Transfer, ...]) -> tuple[Transfer, ...]:
        """Add to what is on its way, unless the receiver is known to have left."""
        known = world.nodes[place].from_home
        here = tuple(
            transfer
            for transfer in supplied
            if world.nodes[transfer.to].session is not Session.ENDED_AT_HOME
            or self._names.name(PeerLeft(transfer.to)) in known
        )
        return tuple(sorted(world.transfers + here))

    def _serve(self, world: World, place: int) -> World:
        """Serve who waits, and ask on behalf of the others; the core ignores what is asked in vain."""
        node = world.nodes[place]
        page = node.page.value
        for waiter in node.waiters:
            served = world.change(place, waiters=tuple(other for other in node.waiters if other != waiter))
            if waiter.scope and cache.can_pin(page, waiter.write) and page.pin is Pin.NONE:
                return self._happens(served, place, self._names.name(Pinned(waiter.write)))
            if not waiter.scope and page.state.allows(waiter.write):
                return self._serve(served, place)
        if not node.waiters or page.pending is not None:
            return world
        write = any(waiter.write for waiter in node.waiters)
        return self._happens(world, place, self._names.name(Wanted(write, world.unused_request(place))))

    def _wants(self, world: World, place: int, waiter: Waiter) -> World:
        node = world.nodes[place]
        waiters = tuple(sorted((*node.waiters, waiter)))
        return self._serve(world.change(place, waiters=waiters, operations=node.operations - 1), place)

    def _evicts(self, world: World, place: int, _: None) -> World:
        eviction = self._names.name(EvictionChosen(world.unused_request(place)))
        return self._happens(world.change(place, operations=world.nodes[place].operations - 1), place, eviction)

    def _repeats_early(self, world: World, place: int, event: Named[Event]) -> World:
        return self._happens(world._replace(budget=world.budget.spend("repeats")), place, event)

    # --- on the way -----------------------------------------------------------------------------------------------

    def _hears(self, world: World, place: int, said: Named[Any]) -> World:
        world = world.change(place, from_home=world.nodes[place].from_home[1:])
        if isinstance(said.value, PeerLeft):
            return _close_streams(world, place, said.value.place)
        return self._happens(world, place, said)

    def _hears_twice(self, world: World, place: int, said: Named[Any]) -> World:
        world = world._replace(budget=world.budget.spend("duplicates"))
        from_home = world.nodes[place].from_home
        return self._hears(self._hears(world.change(place, from_home=(said, *from_home)), place, said), place, said)

    def _receives(self, world: World, place: int, transfer: Transfer) -> World:
        return self._happens(world.without(transfer), place, transfer.data, world.bytes_of(transfer))

    def _loses(self, world: World, place: int, transfer: Transfer) -> World:
        return world.without(transfer)._replace(budget=world.budget.spend("losses"))

    def _home_hears(self, world: World, place: int, message: Named[ToHome]) -> World:
        return self._at_home_happens(world.change(place, to_home=world.nodes[place].to_home[1:]), place, message)

    def _home_hears_twice(self, world: World, place: int, message: Named[ToHome]) -> World:
        world = self._home_hears(world._replace(budget=world.budget.spend("duplicates")), place, message)
        return self._at_home_happens(world, place, message)

    # --- at home --------------------------------------------------------------------------------------------------

    def _at_home_happens(self, world: World, place: int, message: Named[Any]) -> World:
        key = (world.home, place, message)
        after = self._at_home.get(key)
        if after is None:
            after = self._at_home[key] = self._home_step(world.home.value, place, message.value)
        world = world._replace(home=after.page)
        for to, said in after.sent:
            if world.nodes[to].session is Session.UP:
                world = world.change(to, from_home=(*world.nodes[to].from_home, said))
        return world

    def _home_step(self, page: HomePage, place: int, message: ToHome | SessionEnded) -> AtHome:
        after, effects = self._through(lambda: home.step(page, NodeId(place + 1), message))
        sent = tuple((effect.node - 1, self._names.name(Received(effect.message))) for effect in effects)
        return AtHome(self._names.name(after), sent)

    # --- the end of a session -------------------------------------------------------------------------------------

    def _ends_at_node(self, world: World, place: int, cut: str | None) -> World:
        """The node gives up all it holds. Home may still hear what it said before."""
        world = _close_streams(world, place, None, lose=cut is not None)
        world = self._happens(world.change(place, from_home=(), waiters=()), place, self._session_ended)
        return _one_side_ended(world, place, Session.ENDED_AT_NODE)

    def _ends_at_home(self, world: World, place: int, _: None) -> World:
        """Home hears no more of this session. The node may still hear what was said to it before."""
        world = _one_side_ended(world.change(place, to_home=()), place, Session.ENDED_AT_HOME)
        notice = self._names.name(PeerLeft(place))
        for other, node in enumerate(world.nodes):
            if node.session is Session.UP and _owes(world, other, place):
                world = world.change(other, from_home=(*node.from_home, notice))
        return self._at_home_happens(world, place, self._session_ended)


def _check_that_it_is_lost(world: World, place: int) -> None:
    """A reader is not told of a loss while somebody has the page. A writer may be: its sharers have to drop theirs."""
    pending = world.nodes[place].page.value.pending
    others = [number for number, node in enumerate(world.nodes, 1) if _has_a_copy(node)]
    if pending is not None and not pending.write and others:
        raise Broken(f"a reader is told that the page is lost while nodes {others} have it")


def _has_a_copy(node: Node) -> bool:
    return node.session is Session.UP and node.page.value.state.readable


def _asks(world: World, place: int) -> bool:
    return world.nodes[place].page.value.pending is not None


def _one_side_ended(world: World, place: int, side: Session) -> World:
    if world.nodes[place].session is Session.UP:
        return world.change(place, session=side)._replace(budget=world.budget.spend("endings"))
    return world.change(place, session=Session.UP, to_home=(), from_home=())


def _close_streams(world: World, place: int, to: int | None, lose: bool = False) -> World:
    """What has not left yet never will. Either all has left by now, or what has not is lost."""
    kept = []
    for transfer in world.transfers:
        if transfer.source == place and to in (None, transfer.to) and transfer.memory == LATER:
            if lose:
                continue
            transfer = transfer._replace(memory=world.bytes_of(transfer))
        kept.append(transfer)
    return world._replace(transfers=tuple(sorted(kept)))


def _owes(world: World, place: int, other: int) -> bool:
    """Whether a node has bytes for another on their way, or was told to send some. Others need not hear who left."""
    node = world.nodes[place]
    said = [node.page.value.deferred, *(getattr(named.value, "message", None) for named in node.from_home)]
    told = any(isinstance(message, Fetch | Inv) and message.to == other + 1 for message in said)
    return told or any(transfer[2:4] == (other, place) for transfer in world.transfers)
