"""The node's half of the protocol as a table.

States are named as in the Primer: IS is I on the way to S, IM is I on the way to M, SM and OM are S and O that ask for
more. Requests are this node's #1 (its Get) and #2 (its Put), and #8 and #9 of others, which come from home.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from dsm.core.cache import CachePage, Pending
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
from dsm.core.messages import Adopt, Data, Fetch, Grant, Inv, Lost, PutAck, Release
from dsm.core.types import NodeId, Pin, RequestId, Source, State

GET, PUT, FIRST, SECOND = RequestId(1), RequestId(2), RequestId(8), RequestId(9)
PEER = NodeId(2)
READ, WRITE = Pending(GET, write=False), Pending(GET, write=True)

FETCH, INV = Fetch(FIRST, PEER), Inv(FIRST, None, grants=False)
INV_TO = Inv(FIRST, PEER, grants=True)
GIVEN = Data(FIRST, version=4, write=True, grants=True)

INVALID, SHARED, OWNED, MODIFIED = (CachePage(state, 0 if state is State.I else 3) for state in State)
PAGES = {
    "I": INVALID,
    "IS": replace(INVALID, pending=READ),
    "IM": replace(INVALID, pending=WRITE),
    "IM bytes": replace(INVALID, pending=replace(WRITE, arrived=4)),
    "IM grant": replace(INVALID, pending=replace(WRITE, granted=True)),
    "S": SHARED,
    "SM": replace(SHARED, pending=WRITE),
    "O": OWNED,
    "OM": replace(OWNED, pending=WRITE),
    "M": MODIFIED,
    "SM read": replace(SHARED, pending=WRITE, pin=Pin.READ),
    "OM read": replace(OWNED, pending=WRITE, pin=Pin.READ),
    "IM retains": replace(INVALID, pending=WRITE, retained=GIVEN),
    "I retains": replace(INVALID, retained=GIVEN),
    "I putting": replace(INVALID, putting=PUT),
    "S held": replace(SHARED, held=True),
    "S read": replace(SHARED, pin=Pin.READ),
    "S held, Inv": replace(SHARED, held=True, deferred=INV),
    "S held read, Inv": replace(SHARED, held=True, pin=Pin.READ, deferred=INV),
    "S read, Inv": replace(SHARED, pin=Pin.READ, deferred=INV),
    "O held": replace(OWNED, held=True),
    "O read": replace(OWNED, pin=Pin.READ),
    "O held, Inv to": replace(OWNED, held=True, deferred=INV_TO),
    "O putting": replace(OWNED, putting=PUT),
    "M held": replace(MODIFIED, held=True),
    "M read": replace(MODIFIED, pin=Pin.READ),
    "M written": replace(MODIFIED, pin=Pin.WRITE),
    "M held, Fetch": replace(MODIFIED, held=True, deferred=FETCH),
    "M held, Inv to": replace(MODIFIED, held=True, deferred=INV_TO),
    "M written, Fetch": replace(MODIFIED, pin=Pin.WRITE, deferred=FETCH),
}
STATES = ["I", "IS", "IM", "IM bytes", "IM grant", "S", "SM", "O", "OM", "M"]

EVENTS: dict[str, Event] = {
    "wants to read": Wanted(False, GET),
    "wants to write": Wanted(True, GET),
    "Data": Received(Data(GET, 3, write=False, grants=True)),
    "Data to write": Received(Data(GET, 4, write=True, grants=True)),
    "Data to write, no grant": Received(Data(GET, 4, write=True, grants=False)),
    "Grant zeros": Received(Grant(GET, 3, write=False, source=Source.ZERO)),
    "Grant zeros to write": Received(Grant(GET, 4, write=True, source=Source.ZERO)),
    "Grant held": Received(Grant(GET, 4, write=True, source=Source.HELD)),
    "Grant sent": Received(Grant(GET, 4, write=True, source=Source.SENT)),
    "Fetch": Received(FETCH),
    "Inv": Received(INV),
    "Inv to": Received(INV_TO),
    "Release": Received(Release(FIRST)),
    "Adopt": Received(Adopt(FIRST, version=3)),
    "Adopt of old": Received(Adopt(FIRST, version=2)),
    "PutAck taken": Received(PutAck(PUT, taken=True)),
    "PutAck refused": Received(PutAck(PUT, taken=False)),
    "Lost": Received(Lost(GET)),
    "pinned to read": Pinned(write=False),
    "pinned to write": Pinned(write=True),
    "unpinned": Unpinned(),
    "hold ended": HoldEnded(),
    "transfer broken": TransferBroken(),
    "eviction chosen": EvictionChosen(PUT),
    "session ended": SessionEnded(),
}

TABLE = """
event                    page                               becomes           effects
-----------------------  ---------------------------------  ----------------  -------------------------------------
wants to read            I                                  IS                GetS
wants to read            IS IM IM-bytes IM-grant            .                 .
wants to read            S SM O OM M                        .                 .
wants to write           I                                  IM                GetM
wants to write           S                                  SM                GetM(3)
wants to write           O                                  OM                GetM(3)
wants to write           IS IM IM-bytes IM-grant SM OM M    .                 .

Data                     IS                                 S-held            Hold Done
Data                     I IM-bytes S SM O OM M             .                 .
Data to write            IM IM-grant                        M-held            Hold Done
Data to write            I IM-bytes S SM O OM M             .                 .
Data to write, no grant  IM                                 IM-bytes          .
Data to write, no grant  IM-grant                           M-held            Hold Done
Data to write, no grant  I IM-bytes S SM O OM M             .                 .
Grant zeros              IS                                 S-held            Zero Hold Done
Grant zeros              I S O M                            .                 .
Grant zeros to write     IM IM-bytes IM-grant               M-held            Zero Hold Done
Grant zeros to write     I S O M                            .                 .
Grant held               SM OM                              M-held            Hold Done
Grant held               I S O M                            .                 .
Grant sent               IM                                 IM-grant          .
Grant sent               IM-grant                           .                 .
Grant sent               IM-bytes                           M-held            Hold Done
Grant sent               I S O M                            .                 .
Lost                     IS IM IM-grant                     I                 Done(no) Fail
Lost                     I IM-bytes S O M                   .                 .

Fetch                    M                                  O                 Protect Supply(3) Ack
Fetch                    O OM                               .                 Supply(3) Ack
Fetch                    M-read                             O-read            Protect Supply(3) Ack
Fetch                    O-held O-read O-putting            .                 Supply(3) Ack
Fetch                    M-held                             M-held,-Fetch     .
Fetch                    M-written                          M-written,-Fetch  .
Fetch                    M-held,-Fetch M-written,-Fetch     .                 .
Inv                      I IS IM IM-bytes IM-grant          .                 Ack
Inv                      I-retains I-putting                .                 Ack
Inv                      S O                                I                 Drop Ack
Inv                      SM OM                              IM                Drop Ack
Inv                      O-putting                          I-putting         Drop Ack
Inv                      S-held                             S-held,-Inv       .
Inv                      S-read                             S-read,-Inv       .
Inv                      S-held,-Inv S-read,-Inv            .                 .
Inv to                   M                                  I-retains         Protect Retain Drop Supply(4!) Ack
Inv to                   O                                  I-retains         Retain Drop Supply(4!) Ack
Inv to                   OM                                 IM-retains        Retain Drop Supply(4!) Ack
Inv to                   I-retains                          .                 Supply(4!) Ack
Inv to                   M-held                             M-held,-Inv-to    .
Inv to                   O-held                             O-held,-Inv-to    .
Inv to                   O-held,-Inv-to M-held,-Inv-to      .                 .
Release                  I-retains                          I                 Forget
Release                  I IS IM IM-bytes IM-grant          .                 .
Release                  S SM O OM M                        .                 .

unpinned                 S-read                             S                 .
unpinned                 M-read M-written                   M                 .
unpinned                 O-read                             O                 .
unpinned                 S-read,-Inv                        I                 Drop Ack
unpinned                 S-held-read,-Inv                   S-held,-Inv       .
unpinned                 M-written,-Fetch                   O                 Protect Supply(3) Ack
hold ended               S-held                             S                 .
hold ended               O-held                             O                 .
hold ended               M-held                             M                 .
hold ended               S-held,-Inv                        I                 Drop Ack
hold ended               S-held-read,-Inv                   S-read,-Inv       .
hold ended               M-held,-Fetch                      O                 Protect Supply(3) Ack
hold ended               M-held,-Inv-to                     I-retains         Protect Retain Drop Supply(4!) Ack
hold ended               O-held,-Inv-to                     I-retains         Retain Drop Supply(4!) Ack
hold ended               I IS IM IM-bytes IM-grant          .                 .
hold ended               S SM O OM M                        .                 .
pinned to read           S                                  S-read            .
pinned to read           SM                                 SM-read           .
pinned to read           O                                  O-read            .
pinned to read           OM                                 OM-read           .
pinned to read           M                                  M-read            .
pinned to write          M                                  M-written         .

eviction chosen          S                                  I                 Drop
eviction chosen          O                                  O-putting         Put
Adopt                    S                                  O                 Done
Adopt                    SM                                 OM                Done
Adopt                    O OM M                             .                 Done
Adopt                    I IS IM IM-bytes IM-grant          .                 Done(no)
Adopt of old             I IS IM IM-bytes IM-grant          .                 Done(no)
Adopt of old             S SM O OM M                        .                 Done(no)
PutAck taken             O-putting                          S                 .
PutAck refused           O-putting                          O                 .
PutAck refused           I-putting                          I                 .
PutAck taken             I-putting                          I                 .
PutAck taken             I IS IM IM-bytes IM-grant          .                 .
PutAck taken             S SM O OM M                        .                 .
PutAck refused           I IS IM IM-bytes IM-grant          .                 .
PutAck refused           S SM O OM M                        .                 .

transfer broken          IS                                 .                 GetS
transfer broken          IM IM-grant                        .                 GetM
transfer broken          SM OM                              .                 GetM(3)
transfer broken          I IM-bytes S O M                   .                 .
session ended            I IS IM IM-bytes IM-grant          I                 Drop Forget
session ended            S SM O OM M                        I                 Drop Forget
"""
"""A dot under `becomes`: the record stays as it is. `Supply(4!)` lets the receiver write version 4. Pairs of an event
and one of the ten states that do not stand here have no row."""

LATE_COMERS: list[Event] = [
    Received(Data(SECOND, 3, write=False, grants=True)),
    Received(Data(SECOND, 4, write=True, grants=False)),
    Received(Grant(SECOND, 4, write=True, source=Source.SENT)),
    Received(Release(SECOND)),
    Received(PutAck(SECOND, taken=True)),
    Received(Lost(SECOND)),
]


def rows() -> list[tuple[str, str, str, str]]:
    return list(_rows())


def _rows() -> Iterator[tuple[str, str, str, str]]:
    header, *lines = filter(None, TABLE.splitlines())
    starts = [header.index(column) for column in ("event", "page", "becomes", "effects")]
    for line in lines[1:]:
        event, pages, becomes, effects = (
            line[start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)
        )
        for page in pages.split():
            yield event, page.replace("-", " "), becomes.replace("-", " "), effects


def every_record() -> Iterator[CachePage]:
    """Whatever a record may look like, and more: every combination that does not contradict itself."""
    pending = [None, READ, WRITE, replace(WRITE, arrived=4), replace(WRITE, granted=True)]
    deferred = [None, FETCH, INV, INV_TO]
    for state, request, pin, held, message, retained, putting in product(
        State, pending, Pin, (False, True), deferred, (None, GIVEN), (None, PUT)
    ):
        page = CachePage(state, 0 if state is State.I else 3, request, pin, held, message, retained, putting)
        if is_shaped(page):
            yield page


def is_shaped(page: CachePage) -> bool:
    """Whether the parts of a record go together."""
    pending, state = page.pending, page.state
    return all(
        (
            (page.version == 0) == (state is State.I),
            pending is None or not state.allows(pending.write),
            pending is None or state is State.I or (pending.arrived is None and not pending.granted),
            pending is None or pending.arrived is None or not pending.granted,
            page.pin is Pin.NONE or state.allows(page.pin is Pin.WRITE),
            not page.held or state is not State.I,
            page.deferred is None or page.held or page.pin is not Pin.NONE,
            not isinstance(page.deferred, Fetch) or (state is State.M and (page.held or page.pin is Pin.WRITE)),
            not isinstance(page.deferred, Inv) or (state.owner if page.deferred.to else state is not State.I),
        )
    )
