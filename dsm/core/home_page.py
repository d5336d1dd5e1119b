"""What home knows of one page. `home` moves these records, `succession` where the page needs a new owner."""

from __future__ import annotations

from dataclasses import dataclass

from dsm.core.effects import SendTo
from dsm.core.messages import GetM, GetS, Grant, Put
from dsm.core.types import NodeId

NOBODY: frozenset[NodeId] = frozenset()


@dataclass(frozen=True, slots=True)
class Request:
    node: NodeId | None
    """None: home's own search for a new owner, after the session of the old one ended."""
    message: GetS | GetM | Put


@dataclass(frozen=True, slots=True)
class Transaction:
    """What is under way for the request at its head."""

    opened_by: Request
    acks: frozenset[NodeId] = NOBODY
    """Who has still to acknowledge a Fetch or Inv."""
    supplier: NodeId | None = None
    """Who sends the bytes; it keeps them until `Release`."""
    grant: Grant | None = None
    """What the last Ack lets go out; None once it went, or where the bytes are the grant."""
    done: bool | None = None
    """The requester's Done: True it has the page, False it has not; None it has not said."""
    asked: NodeId | None = None
    """The sharer that was asked to become the owner."""


@dataclass(frozen=True, slots=True)
class HomePage:
    """The home record. The default is a page that nobody has touched."""

    version: int = 0
    owner: NodeId | None = None
    sharers: frozenset[NodeId] = NOBODY
    """Who may have a read copy, beside the owner. Copies are dropped in silence, so some may have none."""
    lost: bool = False
    transaction: Transaction | None = None
    queue: tuple[Request, ...] = ()


Outcome = tuple[HomePage, tuple[SendTo, ...]]
