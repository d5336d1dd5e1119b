"""What can happen to a page at a node, in the past tense. Input of `cache.step`."""

from __future__ import annotations

from dataclasses import dataclass

from dsm.core.messages import Data, FromHome
from dsm.core.types import RequestId


@dataclass(frozen=True, slots=True)
class Wanted:
    """A process faulted on the page, or a scope or prefetch needs it."""

    write: bool
    request: RequestId
    """A number nobody used before, for the request that this may cause."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message came. For Data: with all of its bytes, and they are in place."""

    message: FromHome | Data


@dataclass(frozen=True, slots=True)
class Pinned:
    """The first scope on this host took the page."""

    write: bool


@dataclass(frozen=True, slots=True)
class Unpinned:
    """The last scope on this host gave the page back."""


@dataclass(frozen=True, slots=True)
class HoldEnded:
    """The time for which a granted page stays with its requester is over."""


@dataclass(frozen=True, slots=True)
class TransferBroken:
    """The bytes that were asked for may never come: a page stream broke, or they are long overdue."""


@dataclass(frozen=True, slots=True)
class EvictionChosen:
    """The node is short of memory and picked this page, which `cache.evictable` allows."""

    request: RequestId


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The session with the directory is over; whatever this node holds is void."""


Event = Wanted | Received | Pinned | Unpinned | HoldEnded | TransferBroken | EvictionChosen | SessionEnded
