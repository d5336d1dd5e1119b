"""The directory's half of the protocol: `step` over the home record of one page.

Home serialises. It opens one transaction at a time and keeps later requests in order of arrival. A transaction is
closed when the requester said `Done` *and* every `Fetch` and `Inv` is acknowledged: the two travel on different
channels and overtake each other.

    GetS   the owner keeps the page as O and sends it        owner, then a sharer more
    GetM   every other copy goes; the owner's bytes travel   requester becomes owner, version + 1
           to the requester unless its own copy is current
    Put    sharers are asked in turn to become the owner     a sharer becomes owner, or nothing (`succession`)

A page nobody wrote has no owner and reads as zeros. Whether a writer needs bytes is decided when its transaction
opens, by the version it held when it asked against home's version now.

When a session ends, its node's copies are void. If it owned the page, the sharers are asked as for a Put; if there
are none, the page is lost, and stays lost: it is never read as zeros, and never as an older version. A read whose
supplier is gone begins again with the new owner. A write cannot: its sharers have been told to drop their copies.

Caveats. A writer that dies between grant and Done takes the page with it, even though the old owner still retains the
bytes before the write; that is harsher than it need be. A requester that never says Done blocks its page until its
session ends.
"""

from __future__ import annotations

from dataclasses import replace

from dsm.core import succession
from dsm.core.effects import SendTo
from dsm.core.events import SessionEnded
from dsm.core.home_page import NOBODY, HomePage, Outcome, Request, Transaction
from dsm.core.messages import Ack, Done, Fetch, GetM, GetS, Grant, Inv, Lost, Put, Release, ToHome
from dsm.core.types import NodeId, Source
from dsm.errors import ProtocolError

__all__ = ["HomePage", "Outcome", "Request", "Transaction", "step"]

REQUESTS_QUEUED_PER_NODE = 2  # a node has one Get and one Put under way for a page, never more


def step(page: HomePage, sender: NodeId, message: ToHome | SessionEnded) -> Outcome:
    """Return the next record and what to send, in order.

    Raises:
        ProtocolError: the sender cannot have said this; nothing has changed. The end of a session always can be.
    """
    page, effects = _heard(page, sender, message)
    page, more = _advance(page)
    return page, effects + more


def _heard(page: HomePage, sender: NodeId, message: ToHome | SessionEnded) -> Outcome:
    match message:
        case GetS() | GetM() | Put():
            return _requested(page, Request(sender, message))
        case Ack():
            return _acknowledged(page, sender, message)
        case Done():
            return _done(page, sender, message)
    return _session_ended(page, sender)


def _requested(page: HomePage, request: Request) -> Outcome:
    transaction = page.transaction
    if transaction is not None and transaction.opened_by.message.request == request.message.request:
        return _start_transfer_again(page, transaction)
    if any(other.message.request == request.message.request for other in page.queue):
        return page, ()
    if sum(other.node == request.node for other in page.queue) >= REQUESTS_QUEUED_PER_NODE:
        raise ProtocolError(f"node {request.node} has too many requests for one page: {page}")
    return replace(page, queue=(*page.queue, request)), ()


def _start_transfer_again(page: HomePage, transaction: Transaction) -> Outcome:
    """The requester fears that its bytes are lost. If the supplier did send them, it sends them again."""
    supplier, request = transaction.supplier, transaction.opened_by
    if supplier is None or supplier in transaction.acks or transaction.done is not None:
        return page, ()
    again = _order(request, alone=transaction.grant is None)
    transaction = replace(transaction, acks=transaction.acks | {supplier})
    return replace(page, transaction=transaction), (SendTo(supplier, again),)


# --- Opening a transaction ---------------------------------------------------------------------------------------


def _advance(page: HomePage) -> Outcome:
    """Open the next transaction, if none is open and there is something to do."""
    effects: tuple[SendTo, ...] = ()
    while page.transaction is None:
        if page.owner is None and page.version > 0 and not page.lost:
            page, sent = succession.search(page)
        elif page.queue:
            page, sent = _open(replace(page, queue=page.queue[1:]), page.queue[0])
        else:
            break
        effects += sent
    return page, effects


def _open(page: HomePage, request: Request) -> Outcome:
    match request.message:
        case Put() as put:
            return succession.put_opened(page, _node(request), put)
        case GetS() if not page.lost:
            return _open_read(page, request)
        case GetM() as message if not page.lost:
            return _open_write(page, request, message)
    return _opened(page, Transaction(request), SendTo(_node(request), Lost(request.message.request)))


def _opened(page: HomePage, transaction: Transaction, *effects: SendTo) -> Outcome:
    return replace(page, transaction=transaction), effects


def _open_read(page: HomePage, request: Request) -> Outcome:
    if page.owner is None:
        zeros = Grant(request.message.request, page.version, write=False, source=Source.ZERO)
        return _opened(page, Transaction(request), SendTo(_node(request), zeros))
    transaction = Transaction(request, acks=frozenset({page.owner}), supplier=page.owner)
    return _opened(page, transaction, SendTo(page.owner, _order(request, alone=True)))


def _open_write(page: HomePage, request: Request, message: GetM) -> Outcome:
    """Tell every other holder to drop its copy, and the owner to send its bytes first if the writer needs them.

    Only a node that broke the protocol asks for the bytes that it owns. It is told to send them to itself, cannot, and
    so learns of it.
    """
    node = _node(request)
    owner = NOBODY if page.owner is None else frozenset({page.owner})
    current = message.held == page.version and node in page.sharers | owner
    supplier = None if current else page.owner
    others = (page.sharers | owner) - {node} if current else (page.sharers - {node}) | owner
    source = Source.HELD if current else Source.ZERO if supplier is None else Source.SENT
    grant = Grant(message.request, page.version + 1, write=True, source=source)
    if not others:
        return _opened(page, Transaction(request), SendTo(node, grant))
    alone = others == {supplier}
    drop = Inv(message.request, to=None, grants=False)
    orders = [SendTo(other, _order(request, alone) if other == supplier else drop) for other in sorted(others)]
    return _opened(page, Transaction(request, others, supplier, None if alone else grant), *orders)


def _order(request: Request, alone: bool) -> Fetch | Inv:
    """What tells the owner to send its bytes to the requester."""
    if isinstance(request.message, GetS):
        return Fetch(request.message.request, to=_node(request))
    return Inv(request.message.request, to=_node(request), grants=alone)


# --- Closing it --------------------------------------------------------------------------------------------------


def _acknowledged(page: HomePage, sender: NodeId, ack: Ack) -> Outcome:
    transaction = page.transaction
    if transaction is None or transaction.opened_by.message.request != ack.request or sender not in transaction.acks:
        return page, ()
    return _proceed(page, replace(transaction, acks=transaction.acks - {sender}))


def _done(page: HomePage, sender: NodeId, done: Done) -> Outcome:
    transaction = page.transaction
    if transaction is None or transaction.opened_by.message.request != done.request:
        return _read_after_all(page, sender, done)
    if transaction.asked is not None:
        return succession.heir_answered(page, transaction, sender, done.ok)
    if sender != transaction.opened_by.node or (done.ok and transaction.grant is not None):
        raise ProtocolError(f"{done} from node {sender} cannot be: {page}")
    return _proceed(page, replace(transaction, done=done.ok, grant=None))


def _read_after_all(page: HomePage, sender: NodeId, done: Done) -> Outcome:
    """A read that was to begin again need not, if its first supplier had sent the bytes before it was gone."""
    waiting = Request(sender, GetS(done.request))
    if waiting not in page.queue:
        return page, ()
    queue = tuple(request for request in page.queue if request != waiting)
    return replace(page, queue=queue, sharers=page.sharers | {sender}), ()


def _proceed(page: HomePage, transaction: Transaction) -> Outcome:
    """After an Ack or a Done: let the Grant go, or close, or wait on."""
    request = transaction.opened_by
    if transaction.acks:
        return replace(page, transaction=transaction), ()
    if transaction.done is None:
        grants = () if transaction.grant is None else (SendTo(_node(request), transaction.grant),)
        return replace(page, transaction=replace(transaction, grant=None)), grants
    page = replace(page, transaction=None)
    if isinstance(request.message, GetS):
        return _close_read(page, transaction), ()
    return _close_write(page, transaction)


def _close_read(page: HomePage, transaction: Transaction) -> HomePage:
    if not transaction.done:
        return page
    # If the page was thought lost, a copy has turned up: it was on its way when its sender's session ended.
    return replace(page, sharers=page.sharers | {_node(transaction.opened_by)}, lost=False)


def _close_write(page: HomePage, transaction: Transaction) -> Outcome:
    supplier, request = transaction.supplier, transaction.opened_by
    release = () if supplier is None else (SendTo(supplier, Release(request.message.request)),)
    if transaction.done:
        return replace(page, version=page.version + 1, owner=request.node, sharers=NOBODY), release
    return replace(page, owner=None, sharers=NOBODY, lost=True), release


# --- Going on without a node -------------------------------------------------------------------------------------


def _session_ended(page: HomePage, node: NodeId) -> Outcome:
    queue = tuple(request for request in page.queue if request.node != node)
    owner = None if page.owner == node else page.owner
    page = replace(page, queue=queue, owner=owner, sharers=page.sharers - {node})
    transaction = page.transaction
    if transaction is None:
        return page, ()
    if transaction.asked is not None:
        return succession.session_ended(page, transaction, node)
    if transaction.supplier == node and transaction.done is None and transaction.opened_by.node != node:
        return _supplier_gone(page, transaction, node)
    transaction = replace(transaction, acks=transaction.acks - {node})
    if transaction.supplier == node:
        transaction = replace(transaction, supplier=None)
    if transaction.opened_by.node == node:
        transaction = replace(transaction, done=False, grant=None)
    return _proceed(page, transaction)


def _supplier_gone(page: HomePage, transaction: Transaction, node: NodeId) -> Outcome:
    """The bytes may have reached the requester before, or not. Either way it answers Done."""
    request = transaction.opened_by
    if isinstance(request.message, GetS):
        return replace(page, transaction=None, queue=(request, *page.queue)), ()
    told = SendTo(_node(request), Lost(request.message.request))
    page, effects = _proceed(page, replace(transaction, acks=transaction.acks - {node}, supplier=None))
    return page, (told, *effects)


def _node(request: Request) -> NodeId:
    assert request.node is not None, "law: only a search has no requester"
    return request.node
