"""One page in a small cluster, as a value: everything there is to know about it, and nothing else.

A `World` is a tuple of tuples of small things, so that it hashes fast. Records, messages and events are frozen
dataclasses, which hash slowly; each is kept once and stood for by a `Named`, which compares by identity.

Bytes are a version number: a node that may write has written at once, so a copy that misses a write has another number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any, Generic, NamedTuple, TypeVar

from dsm.core.cache import CachePage
from dsm.core.home import HomePage
from dsm.core.messages import ToHome
from dsm.core.types import RequestId

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

REQUESTS_PER_NODE = 16
LATER = -1
"""Bytes that have not left their supplier's memory."""


class Named(Generic[T_co]):
    """The one stand-in of a value."""

    def __init__(self, value: T_co, order: int) -> None:
        self.value = value
        self.order = order

    @cached_property
    def requests(self) -> frozenset[RequestId]:
        return frozenset(_requests(self.value))


class Names:
    """Gives equal values the same name."""

    def __init__(self) -> None:
        self._named: dict[tuple[type, Any], Named[Any]] = {}

    def name(self, value: T) -> Named[T]:
        key = (type(value), value)
        if key not in self._named:
            self._named[key] = Named(value, len(self._named))
        return self._named[key]


def _requests(value: object) -> Iterator[RequestId]:
    """Every request number that a record, event or message mentions."""
    if isinstance(value, tuple):
        for item in value:
            yield from _requests(item)
    elif is_dataclass(value):
        for field in fields(value):
            item = getattr(value, field.name)
            if field.name in ("request", "putting") and isinstance(item, int):
                yield RequestId(item)
            else:
                yield from _requests(item)


class Session(IntEnum):
    """Between a node and home. Each side notices by itself that it has ended; the node joins again once both have."""

    UP = 0
    ENDED_AT_NODE = 1
    ENDED_AT_HOME = 2
    """The node goes on as if nothing had happened. What its own processes read is stale; nobody else may suffer."""


class Waiter(NamedTuple):
    """A process that waits for the page: stopped in a fault, or about to begin a scope."""

    write: bool
    scope: bool


class PeerLeft(NamedTuple):
    """Home's notice to a node that the session of another has ended."""

    place: int


class Node(NamedTuple):
    page: Named[CachePage]
    memory: int | None = None
    """The bytes in the page's place: the version that was written last."""
    retained: int | None = None
    waiters: tuple[Waiter, ...] = ()
    operations: int = 0
    """How many more its processes may begin."""
    session: Session = Session.UP
    to_home: tuple[Named[ToHome], ...] = ()
    from_home: tuple[Named[Any], ...] = ()
    """`Received` and `PeerLeft`."""


class Transfer(NamedTuple):
    """Bytes on a page stream."""

    order: int
    """Of `data`: transfers are kept sorted, since a page stream has no order."""
    data: Named[Any]
    """The `Received` that they will be."""
    to: int
    source: int
    memory: int


class Budget(NamedTuple):
    """What may still go wrong."""

    losses: int = 0
    """Transfers that are lost."""
    repeats: int = 0
    """Requests that are repeated although nothing is overdue."""
    duplicates: int = 0
    """Messages of a session that are heard twice."""
    endings: int = 0
    """Sessions that end."""

    def spend(self, what: str) -> Budget:
        return self._replace(**{what: getattr(self, what) - 1})


ALL_GOES_WELL = Budget()


class World(NamedTuple):
    home: Named[HomePage]
    nodes: tuple[Node, ...]
    """Node 1 is at place 0."""
    transfers: tuple[Transfer, ...] = ()
    latest: int = 0
    """The highest version that any node ever had."""
    budget: Budget = ALL_GOES_WELL

    def with_node(self, place: int, node: Node) -> World:
        nodes = (*self.nodes[:place], node, *self.nodes[place + 1 :])
        return World(self.home, nodes, self.transfers, self.latest, self.budget)

    def change(self, place: int, **changes: Any) -> World:
        return self.with_node(place, self.nodes[place]._replace(**changes))

    def without(self, transfer: Transfer) -> World:
        where = self.transfers.index(transfer)
        return self._replace(transfers=self.transfers[:where] + self.transfers[where + 1 :])

    def bytes_of(self, transfer: Transfer) -> int:
        """What a transfer brings if it leaves now. Memory that was given back reads as zeros."""
        return self.nodes[transfer.source].memory or 0 if transfer.memory == LATER else transfer.memory

    def unused_request(self, place: int) -> RequestId:
        """The smallest number of a node that nobody remembers, so that worlds do not differ by old numbers."""
        used = set(self.home.requests)
        for node in self.nodes:
            used.update(node.page.requests, *(named.requests for named in node.to_home + node.from_home))
        used.update(*(transfer.data.requests for transfer in self.transfers))
        numbers = range((place + 1) * REQUESTS_PER_NODE, (place + 2) * REQUESTS_PER_NODE)
        return next(RequestId(number) for number in numbers if number not in used)
