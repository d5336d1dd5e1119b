"""The few types that every part of the protocol speaks of.

Terms are those of Nagarajan, Sorin, Hill and Wood, *A Primer on Memory Consistency and Cache Coherence*, chapter 8.
"""

from __future__ import annotations

from enum import Enum
from typing import NewType

NodeId = NewType("NodeId", int)
"""A node for as long as the directory's store lives; stable over restarts of the node. From 1 up."""

Epoch = NewType("Epoch", int)
"""One session of one node. Unique in the cluster and growing, so an older epoch can be refused."""

RegionId = NewType("RegionId", int)
"""A region for ever: never given out twice, also when a name is used again."""

RequestId = NewType("RequestId", int)
"""One request of one node. Unique in the cluster: the node's epoch in the upper bits, its own count below."""

REQUESTS_PER_EPOCH = 1 << 32


def first_request(epoch: Epoch) -> RequestId:
    """The first request number of a session; its last is REQUESTS_PER_EPOCH - 1 later."""
    return RequestId(epoch * REQUESTS_PER_EPOCH)


class State(Enum):
    """What a node holds of a page. O is MOESI's owned: read-only, yet answerable for the bytes."""

    I = "invalid"  # noqa: E741  (the field's own name)
    S = "shared"
    O = "owned"  # noqa: E741
    M = "modified"

    @property
    def readable(self) -> bool:
        return self is not State.I

    @property
    def owner(self) -> bool:
        return self is State.O or self is State.M

    def allows(self, write: bool) -> bool:
        return self is State.M if write else self is not State.I


class Pin(Enum):
    """Whether a scope of some process on this host has the page."""

    NONE = 0
    READ = 1
    WRITE = 2


class Source(Enum):
    """Where the bytes of a granted page come from."""

    ZERO = "zero"  # nobody has ever written the page
    HELD = "held"  # the requester's own copy is current
    SENT = "sent"  # a supplier sends them on the page stream
