"""A node's half of the protocol: `step` over what the node knows of one page.

The state is one of I, S, O, M (`types.State`) and says what the node's processes may do. Everything transient stands
beside it, so that a row reads like a sentence:

    pending    the request under way; at most one for a page
    pin        scopes of local processes; a pinned page is not taken away, a page pinned for writing not even read
    held       the page came less than the hold time ago; it is not taken away, so that its requester gets to use it
    deferred   the Fetch or Inv that waits for pin or hold; home opens one transaction at a time, so there is one
    retained   what was sent off to a writer; its bytes are kept aside until home confirms that they arrived
    putting    the Put under way

Three rules carry the proof. A copy that a GetM relies on (`held`) stays while the request is pending, unless an Inv
takes it; home decides by versions, so it then sends bytes. Bytes count only for the request they answer, so a late
copy of an old transfer is thrown away. And an owner's bytes leave this record only after home confirmed (`Release`),
or because somebody else was told to own the same version (`Adopt`, then `PutAck`).

Caveats. Read copies are dropped in silence, so home's sharers are a superset of the real ones. An M page is never
evicted: nobody else could take it over without its bytes being sent. A session's end voids everything at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dsm.core.effects import CacheEffect, Drop, Fail, Forget, Hold, Protect, Retain, Send, Supply, Zero
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
from dsm.core.messages import Ack, Adopt, Data, Done, Fetch, GetM, GetS, Grant, Inv, Lost, Put, PutAck, Release
from dsm.core.types import Pin, RequestId, Source, State
from dsm.errors import ProtocolError


@dataclass(frozen=True, slots=True)
class Pending:
    """A request under way. A write may need the bytes, a grant, or both, in either order."""

    request: RequestId
    write: bool
    arrived: int | None = None
    """The version of the bytes that are in place and wait for home's Grant."""
    granted: bool = False
    """Home's Grant is here and waits for the bytes."""


@dataclass(frozen=True, slots=True)
class CachePage:
    """What a node knows of one page. The default is a page that it has nothing to do with."""

    state: State = State.I
    version: int = 0
    pending: Pending | None = None
    pin: Pin = Pin.NONE
    held: bool = False
    deferred: Fetch | Inv | None = None
    retained: Data | None = None
    putting: RequestId | None = None


Outcome = tuple[CachePage, tuple[CacheEffect, ...]]


def step(page: CachePage, event: Event) -> Outcome:
    """Return the next record and what to do, in order.

    Raises:
        ProtocolError: the pair (page, event) has no row; nothing has changed.
    """
    match page.state, event:
        case _, Received(message=Data() as data):
            return _data(page, data)
        case _, Received(message=Grant() as grant):
            return _grant(page, grant)
        case State.M, Received(message=Fetch() as fetch) if page.held or page.pin is Pin.WRITE:
            return _defer(page, fetch)
        case State.M, Received(message=Fetch() as fetch):
            return replace(page, state=State.O), (Protect(), *_supply(page, fetch))
        case State.O, Received(message=Fetch() as fetch):
            return page, _supply(page, fetch)
        case _, Received(message=Inv(to=int() as to) as inv) if page.retained and page.retained.request == inv.request:
            return page, (Supply(to, page.retained), Send(Ack(inv.request)))  # the first transfer broke
        case State.S, Received(message=Inv(to=int())):
            pass  # home is wrong about the owner
        case State.S | State.O | State.M, Received(message=Inv() as inv) if page.held or page.pin is not Pin.NONE:
            return _defer(page, inv)
        case _, Received(message=Inv() as inv):
            return _invalidate(page, inv)
        case _, Received(message=Release() as release):
            return _release(page, release)
        case _, Received(message=Adopt() as adopt):
            return _adopt(page, adopt)
        case _, Received(message=PutAck() as answer):
            return _put_answered(page, answer)
        case _, Received(message=Lost(request=request)):
            return _lost(page, request)
        case _, Wanted() if page.pending or page.state.allows(event.write):
            return page, ()
        case _, Wanted(write=write, request=request):
            return _ask(page, Pending(request, write))
        case _, TransferBroken():
            return _ask(page, page.pending) if page.pending and page.pending.arrived is None else (page, ())
        case _, Pinned(write=write) if can_pin(page, write) and page.pin is Pin.NONE:
            return replace(page, pin=Pin.WRITE if write else Pin.READ), ()
        case State.S | State.O | State.M, Unpinned() if page.pin is not Pin.NONE:
            return _resume(replace(page, pin=Pin.NONE))
        case _, HoldEnded():
            return _resume(replace(page, held=False))
        case State.S, EvictionChosen() if evictable(page):
            return replace(page, state=State.I, version=0), (Drop(),)
        case State.O, EvictionChosen(request=request) if evictable(page):
            return replace(page, putting=request), (Send(Put(request)),)
        case _, SessionEnded():
            return CachePage(), (Drop(), Forget())
    raise ProtocolError(f"no row for {event} at {page}")


def can_pin(page: CachePage, write: bool) -> bool:
    """Whether a scope may take the page now. Not while somebody else's turn is deferred: they came first."""
    return page.state.allows(write) and page.deferred is None


def expects(page: CachePage, data: Data) -> bool:
    """Whether the bytes of `data` may be received into the page's own place, which no process can reach."""
    pending = page.pending
    return page.state is State.I and pending is not None and pending.request == data.request and pending.arrived is None


def evictable(page: CachePage) -> bool:
    """Whether memory pressure may pick this page: a read copy to drop, or an owner's copy that a sharer may take."""
    quiet = page.pending is None and page.deferred is None and page.putting is None
    return quiet and page.pin is Pin.NONE and not page.held and page.state in (State.S, State.O)


def _ask(page: CachePage, pending: Pending) -> Outcome:
    held = page.version if page.state.readable else None
    message = GetM(pending.request, held) if pending.write else GetS(pending.request)
    return replace(page, pending=pending), (Send(message),)


def _data(page: CachePage, data: Data) -> Outcome:
    pending = page.pending
    if pending is None or not expects(page, data):
        return page, ()  # a late copy of a transfer that was started again, or of a request given up
    if pending.write != data.write:
        raise ProtocolError(f"{data} does not answer {page}")
    if data.grants or pending.granted:
        return _complete(page, pending, data.version)
    return replace(page, pending=replace(pending, arrived=data.version)), ()


def _grant(page: CachePage, grant: Grant) -> Outcome:
    pending = page.pending
    if pending is None or pending.request != grant.request:
        return page, ()
    if pending.write != grant.write or (grant.source is Source.HELD) != page.state.readable:
        raise ProtocolError(f"{grant} does not answer {page}")
    if grant.source is Source.SENT and pending.arrived is None:
        return replace(page, pending=replace(pending, granted=True)), ()
    page, effects = _complete(page, pending, grant.version)
    return page, (Zero(), *effects) if grant.source is Source.ZERO else effects


def _complete(page: CachePage, pending: Pending, version: int) -> Outcome:
    page = replace(page, state=State.M if pending.write else State.S, version=version, pending=None, held=True)
    return page, (Hold(), Send(Done(pending.request, ok=True)))


def _lost(page: CachePage, request: RequestId) -> Outcome:
    pending = page.pending
    if pending is None or pending.request != request or pending.arrived is not None:
        return page, ()  # the bytes came before their supplier died; home's Grant is on its way
    if page.state.readable:
        raise ProtocolError(f"home says that no copy is left; here is one: {page}")
    return replace(page, pending=None), (Send(Done(request, ok=False)), Fail())


def _defer(page: CachePage, message: Fetch | Inv) -> Outcome:
    if page.deferred is not None and page.deferred != message:
        raise ProtocolError(f"{message} while {page.deferred} is deferred: home opened two transactions")
    return replace(page, deferred=message), ()


def _resume(page: CachePage) -> Outcome:
    message = page.deferred
    if message is None:
        return page, ()
    return step(replace(page, deferred=None), Received(message))


def _supply(page: CachePage, fetch: Fetch) -> tuple[CacheEffect, ...]:
    data = Data(fetch.request, page.version, write=False, grants=True)
    return Supply(fetch.to, data), Send(Ack(fetch.request))


def _invalidate(page: CachePage, inv: Inv) -> Outcome:
    ack = Send(Ack(inv.request))
    gone = replace(page, state=State.I, version=0)
    match page.state, inv.to:
        case State.I, None:
            return page, (ack,)  # dropped in silence before
        case State.S | State.O, None:
            return gone, (Drop(), ack)
        case (State.O | State.M) as state, to if to is not None:
            data = Data(inv.request, page.version + 1, write=True, grants=inv.grants)
            stable = (Protect(),) if state is State.M else ()
            return replace(gone, retained=data), (*stable, Retain(), Drop(), Supply(to, data), ack)
    raise ProtocolError(f"{inv} at {page}: home is wrong about the owner")


def _release(page: CachePage, release: Release) -> Outcome:
    if page.retained is None or page.retained.request != release.request:
        return page, ()
    return replace(page, retained=None), (Forget(),)


def _adopt(page: CachePage, adopt: Adopt) -> Outcome:
    ok = page.state.readable and page.version == adopt.version
    heir = replace(page, state=State.O) if ok and page.state is State.S else page
    return heir, (Send(Done(adopt.request, ok)),)


def _put_answered(page: CachePage, answer: PutAck) -> Outcome:
    if page.putting != answer.request:
        return page, ()
    page = replace(page, putting=None)
    if answer.taken and page.state is State.O:
        page = replace(page, state=State.S)
    return page, ()
