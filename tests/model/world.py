"""One page in a small cluster, as a value: everything there is to know about it, and nothing else.

A `World` is a tuple of tuples of small things, so that it hashes fast. Records, messages and events are frozen
dataclasses, which hash slowly; they are stored once and stood for by a `Named`, which compares by identity.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cached_property
from typing import Any, Generic, NamedTuple, TypeVar

from dsm.core.cache import CachePage
from dsm.core.home import HomePage
from dsm.core.messages import ToHome
from dsm.core.types import RequestId

T = TypeVar("T")


class Named(Generic[T]):
    """The one stand-in of a value."""

    def __init__(self, value: T, order: int) -> None:
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


class Session(Enum):
    """Between node and home. Each of the two sides notices by itself that a session has ended."""

    UP = "up"
    ENDED_AT_NODE = "ended at the node"
    ENDED_AT_HOME = "ended at home"
    """The node goes on as if nothing had happened. What its processes read is its own affair; nobody else may suffer."""


class Waiter(NamedTuple):
    """A process that waits for the page: stopped in a fault, or about to begin a scope."""

    write: bool
    scope: bool


class Node(NamedTuple):
    page: Named[CachePage]
    memory: int | None = None
    """The bytes in the page's place: the version whose writer wrote them."""
    retained: int | None = None
    waiters: tuple[Waiter, ...] = ()
    operations: int = 0
    """How many more its processes may begin."""
    session: Session = Session.UP
    to_home: tuple[Named[ToHome], ...] = ()
    from_home: tuple[Named[Any], ...] = ()
    """`Received` events on their way to the node."""


class Transfer(NamedTuple):
    """Bytes on a page stream."""

    order: int
    data: Named[Any]
    """The `Received` event that they will be."""
    to: int
    memory: int


class World(NamedTuple):
    home: Named[HomePage]
    nodes: tuple[Node, ...]
    """Node 1 first."""
    transfers: tuple[Transfer, ...] = ()
    """In no particular order, therefore sorted."""
    latest: int = 0
    """The highest version that any node ever had."""
    losses: int = 0
    """How many more transfers may be lost."""
    repeats: int = 0
    """How many more requests may be repeated although nothing was lost."""
    endings: int = 0
    """How many more sessions may end."""
