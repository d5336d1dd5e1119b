"""The directory's half of the protocol: `step` over the home record of one page.

Home serialises. It opens one transaction at a time and keeps later requests in order of arrival. A transaction is
closed when the requester said `Done` *and* every `Fetch` and `Inv` is acknowledged: the two travel on different
channels and overtake each other.

    GetS   the owner keeps the page as O and sends it        owner, then a sharer more
    GetM   every other copy goes; the owner's bytes travel   requester becomes owner, version + 1
           to the requester unless its own copy is current
    Put    sharers are asked in turn to become the owner     a sharer becomes owner, or nothing

A page nobody wrote has no owner and reads as zeros. Whether a writer needs bytes is decided when its transaction
opens, by the version it held when it asked against home's version now.

When a session ends, its node's copies are void. If it owned the page, the sharers are asked as for a Put; if there
are none, the page is lost, and stays lost: it is never read as zeros, and never as an older version. A writer that
dies between grant and Done takes the page with it, even though the old owner still retains the bytes before the
write. That is harsher than it need be.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dsm.core.effects import SendTo
from dsm.core.events import SessionEnded
from dsm.core.messages import (
    Ack,
    Adopt,
    Done,
    Fetch,
    GetM,
    GetS,
    Grant,
    Inv,
    Lost,
    Put,
    PutAck,
    Release,
    ToHome,
)
from dsm.core.types import NodeId, RequestId, Source
from dsm.errors import ProtocolError

REQUESTS_QUEUED_PER_NODE = 2  # a node has one Get and one Put under way for a page, never more

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
    lost: bool = False
    transaction: Transaction | None = None
    queue: tuple[Request, ...] = ()


Outcome = tuple[HomePage, tuple[SendTo, ...]]

SEARCH = Request(None, Put(RequestId(0)))


def step(page: HomePage, sender: NodeId, message: ToHome | SessionEnded) -> Outcome:
    """Return the next record and what to send, in order.

    Raises:
        ProtocolError: the sender cannot have said this; nothing has changed.
    """
    match message:
        case GetS() | GetM() | Put():
            return _requested(page, Request(sender, message))
        case Ack():
            return _acknowledged(page, sender, message)
        case Done():
            return _done(page, sender, message)
        case SessionEnded():
            return _session_ended(page, sender)


def _requested(page: HomePage, request: Request) -> Outcome:
    transaction = page.transaction
    if transaction is not None and transaction.opened_by.message.request == request.message.request:
        return _start_transfer_again(page, transaction)
    if any(other.message.request == request.message.request for other in page.queue):
        return page, ()
    if sum(other.node == request.node for other in page.queue) >= REQUESTS_QUEUED_PER_NODE:
        raise ProtocolError(f"node {request.node} has too many requests for one page: {page}")
    return _advance(replace(page, queue=(*page.queue, request)))


def _start_transfer_again(page: HomePage, transaction: Transaction) -> Outcome:
    """The requester fears that its bytes are lost. If the supplier did send them, it sends them again."""
    supplier, request = transaction.supplier, transaction.opened_by
    if supplier is None or supplier in transaction.acks or transaction.done is not None:
        return page, ()
    again = _order(request, alone=transaction.grant is None)
    return replace(page, transaction=replace(transaction, acks=transaction.acks | {supplier})), (
        SendTo(supplier, again),
    )


def _advance(page: HomePage) -> Outcome:
    """Open the next transaction, if none is open and somebody waits."""
    effects: list[SendTo] = []
    while page.transaction is None:
        if page.owner is None and page.version > 0 and not page.lost:
            page, sent = _ask_next(replace(page, transaction=Transaction(SEARCH)))
        elif page.queue:
            page, sent = _open(replace(page, queue=page.queue[1:]), page.queue[0])
        else:
            break
        effects += sent
    return page, tuple(effects)


def _open(page: HomePage, request: Request) -> Outcome:
    match request.message:
        case Put():
            return _open_put(page, request)
        case _ if page.lost:
            return _opened(page, Transaction(request), SendTo(_node(request), Lost(request.message.request)))
        case GetS():
            return _open_read(page, request)
        case GetM():
            return _open_write(page, request, request.message)


def _opened(page: HomePage, transaction: Transaction, *effects: SendTo) -> Outcome:
    return replace(page, transaction=transaction), effects


def _open_read(page: HomePage, request: Request) -> Outcome:
    if page.owner is None:
        zeros = Grant(request.message.request, page.version, write=False, source=Source.ZERO)
        return _opened(page, Transaction(request), SendTo(_node(request), zeros))
    if page.owner == request.node:
        raise ProtocolError(f"node {request.node} asks to read a page it owns: {page}")
    transaction = Transaction(request, acks=frozenset({page.owner}), supplier=page.owner)
    return _opened(page, transaction, SendTo(page.owner, _order(request, alone=True)))


def _open_write(page: HomePage, request: Request, message: GetM) -> Outcome:
    node = _node(request)
    holders = page.sharers if page.owner is None else page.sharers | {page.owner}
    others = holders - {node}
    current = message.held == page.version and node in holders
    supplier = None if current else page.owner
    source = Source.HELD if current else Source.ZERO if supplier is None else Source.SENT
    grant = Grant(message.request, page.version + 1, write=True, source=source)
    if not others:
        return _opened(page, Transaction(request), SendTo(node, grant))
    alone = others == {supplier}
    transaction = Transaction(request, acks=others, supplier=supplier, grant=None if alone else grant)
    drop = Inv(message.request, to=None, grants=False)
    orders = [
        SendTo(holder, _order(request, alone) if holder == supplier else drop) for holder in sorted(others)
    ]
    return _opened(page, transaction, *orders)


def _order(request: Request, alone: bool) -> Fetch | Inv:
    """What tells the owner to send its bytes to the requester."""
    if isinstance(request.message, GetS):
        return Fetch(request.message.request, to=_node(request))
    return Inv(request.message.request, to=_node(request), grants=alone)


def _open_put(page: HomePage, request: Request) -> Outcome:
    if request.node != page.owner:
        return page, (SendTo(_node(request), PutAck(request.message.request, taken=False)),)
    return _ask_next(replace(page, transaction=Transaction(request)))


def _ask_next(page: HomePage) -> Outcome:
    """Ask the next sharer to become the owner; with none left, give up."""
    transaction = _open_transaction(page)
    request = transaction.opened_by
    if page.sharers:
        heir = min(page.sharers)
        asked = replace(page, transaction=replace(transaction, asked=heir))
        return asked, (SendTo(heir, Adopt(request.message.request, page.version)),)
    closed = replace(page, transaction=None)
    if page.owner is None:
        return replace(closed, lost=True), ()
    return closed, (SendTo(_node(request), PutAck(request.message.request, taken=False)),)


def _acknowledged(page: HomePage, sender: NodeId, ack: Ack) -> Outcome:
    transaction = page.transaction
    if transaction is None or transaction.opened_by.message.request != ack.request or sender not in transaction.acks:
        return page, ()
    return _proceed(page, replace(transaction, acks=transaction.acks - {sender}))


def _done(page: HomePage, sender: NodeId, done: Done) -> Outcome:
    transaction = page.transaction
    if transaction is None or transaction.opened_by.message.request != done.request:
        return page, ()
    if transaction.asked is not None:
        return _heir_answered(page, transaction, sender, done.ok)
    if sender != transaction.opened_by.node or (done.ok and transaction.grant is not None):
        raise ProtocolError(f"{done} from node {sender} cannot be: {page}")
    return _proceed(page, replace(transaction, done=done.ok, grant=None))


def _heir_answered(page: HomePage, transaction: Transaction, sender: NodeId, ok: bool) -> Outcome:
    if sender != transaction.asked:
        raise ProtocolError(f"node {sender} answers for node {transaction.asked}: {page}")
    page = replace(page, sharers=page.sharers - {sender})
    if not ok:
        page, asked = _ask_next(page)
        page, effects = _advance(page)
        return page, asked + effects
    old, request = transaction.opened_by.node, transaction.opened_by.message.request
    told: tuple[SendTo, ...] = ()
    if old is not None:
        page = replace(page, sharers=page.sharers | {old})
        told = (SendTo(old, PutAck(request, taken=True)),)
    page, effects = _advance(replace(page, owner=sender, transaction=None))
    return page, told + effects


def _proceed(page: HomePage, transaction: Transaction) -> Outcome:
    """After an Ack or a Done: let the Grant go, or close, or wait on."""
    request = transaction.opened_by
    if transaction.acks:
        return replace(page, transaction=transaction), ()
    if transaction.done is None:
        grants = () if transaction.grant is None else (SendTo(_node(request), transaction.grant),)
        return replace(page, transaction=replace(transaction, grant=None)), grants
    closed = _close_read if isinstance(request.message, GetS) else _close_write
    page, effects = closed(replace(page, transaction=None), transaction, _node(request))
    page, more = _advance(page)
    return page, effects + more


def _close_read(page: HomePage, transaction: Transaction, node: NodeId) -> Outcome:
    return (replace(page, sharers=page.sharers | {node}) if transaction.done else page), ()


def _close_write(page: HomePage, transaction: Transaction, node: NodeId) -> Outcome:
    supplier, request = transaction.supplier, transaction.opened_by.message.request
    release = () if supplier is None else (SendTo(supplier, Release(request)),)
    if transaction.done:
        return replace(page, version=page.version + 1, owner=node, sharers=NOBODY), release
    return replace(page, owner=None, sharers=NOBODY, lost=True), release


def _session_ended(page: HomePage, node: NodeId) -> Outcome:
    queue = tuple(request for request in page.queue if request.node != node)
    owner = None if page.owner == node else page.owner
    page = replace(page, queue=queue, owner=owner, sharers=page.sharers - {node})
    transaction = page.transaction
    if transaction is None:
        return _advance(page)
    if transaction.asked is not None:
        return _search_goes_on(page, transaction, node)
    return _transfer_goes_on(page, transaction, node)


def _search_goes_on(page: HomePage, transaction: Transaction, node: NodeId) -> Outcome:
    if transaction.opened_by.node == node:
        transaction = replace(transaction, opened_by=replace(transaction.opened_by, node=None))
    page = replace(page, transaction=transaction)
    if transaction.asked != node:
        return page, ()
    page, asked = _ask_next(page)
    page, effects = _advance(page)
    return page, asked + effects


def _transfer_goes_on(page: HomePage, transaction: Transaction, node: NodeId) -> Outcome:
    requester, told = transaction.opened_by.node, ()
    transaction = replace(transaction, acks=transaction.acks - {node})
    if transaction.supplier == node:
        transaction = replace(transaction, supplier=None)
        if transaction.done is None and requester != node:
            # It answers Done either way: the bytes may have reached it before their supplier ended.
            told = (SendTo(_node(transaction.opened_by), Lost(transaction.opened_by.message.request)),)
    if requester == node:
        transaction = replace(transaction, done=False, grant=None)
    page, effects = _proceed(page, transaction)
    return page, told + effects


def _open_transaction(page: HomePage) -> Transaction:
    assert page.transaction is not None, "law: only an open transaction can ask for an heir"
    return page.transaction


def _node(request: Request) -> NodeId:
    assert request.node is not None, "law: only a search has no requester"
    return request.node
