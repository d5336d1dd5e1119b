"""The messages of the coherence protocol, each about one page.

    message   from, to              when                                          answered by
    ────────  ────────────────────  ────────────────────────────────────────────  ─────────────────────
    GetS      requester to home     a process wants to read                       Data, Grant or Lost
    GetM      requester to home     a process wants to write                      Data, Grant or Lost
    Fetch     home to owner         a reader needs the bytes                      Data to it, Ack
    Inv       home to a holder      a writer needs the page alone                 (Data to it,) Ack
    Data      supplier to requester the bytes; the whole grant if `grants`        Done
    Ack       holder to home        a Fetch or Inv is carried out
    Grant     home to requester     no bytes needed, or all other copies gone     Done
    Done      requester to home     it has what it asked for, or gave up          Release to a supplier
    Release   home to old owner     the copy it retained may go
    Put       owner to home         it wants to be rid of its ownership           PutAck
    Adopt     home to a sharer      become the owner of the version you hold      Done
    PutAck    home to old owner     a sharer took over, or nobody could
    Lost      home to requester     no copy of the page is left                   Done

Every message names the request it belongs to, which is how duplicates and late-comers are told from the real ones.
`Data` describes bytes that travel beside it; the core never sees them.

Frozen dataclasses, not named tuples: tuples of different message types would compare equal.
"""

from __future__ import annotations

from dataclasses import dataclass

from dsm.core.types import NodeId, RequestId, Source


@dataclass(frozen=True, slots=True)
class GetS:
    request: RequestId


@dataclass(frozen=True, slots=True)
class GetM:
    request: RequestId
    held: int | None
    """The version of the sender's own copy; None if it has none."""


@dataclass(frozen=True, slots=True)
class Fetch:
    request: RequestId
    to: NodeId


@dataclass(frozen=True, slots=True)
class Inv:
    request: RequestId
    to: NodeId | None
    """Who gets the bytes first; None if nobody does."""
    grants: bool
    """The bytes are the grant: no other copy has to go. Without meaning where a transfer begins again: its bytes are
    sent as they were the first time."""


@dataclass(frozen=True, slots=True)
class Data:
    request: RequestId
    version: int
    """The version that the requester holds once it has the page: one more than the supplier's if `write`."""
    write: bool
    grants: bool


@dataclass(frozen=True, slots=True)
class Ack:
    request: RequestId


@dataclass(frozen=True, slots=True)
class Grant:
    request: RequestId
    version: int
    write: bool
    source: Source


@dataclass(frozen=True, slots=True)
class Done:
    request: RequestId
    ok: bool


@dataclass(frozen=True, slots=True)
class Release:
    request: RequestId


@dataclass(frozen=True, slots=True)
class Put:
    request: RequestId


@dataclass(frozen=True, slots=True)
class Adopt:
    request: RequestId
    version: int


@dataclass(frozen=True, slots=True)
class PutAck:
    request: RequestId
    taken: bool


@dataclass(frozen=True, slots=True)
class Lost:
    request: RequestId


ToHome = GetS | GetM | Ack | Done | Put
"""What a node may say to the directory about a page."""

FromHome = Fetch | Inv | Grant | Release | Adopt | PutAck | Lost
"""What the directory may say to a node about a page."""
