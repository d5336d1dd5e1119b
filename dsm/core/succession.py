"""Who answers for a page next: when its owner wants to be rid of it (`Put`), or the owner's session has ended.

Sharers are asked in turn. One that dropped its copy in silence says no, and is a sharer no longer. One that says yes is
the owner from the moment it says so, and the old owner, if there is one, is told afterwards; in between both answer
for the same bytes, which nobody may write.

A transaction of this kind has somebody `asked` from its first moment to its last.
"""

from __future__ import annotations

from dataclasses import replace

from dsm.core.effects import SendTo
from dsm.core.home_page import HomePage, Outcome, Request, Transaction
from dsm.core.messages import Adopt, Put, PutAck
from dsm.core.types import NodeId, RequestId
from dsm.errors import ProtocolError

SEARCH = Request(None, Put(RequestId(0)))


def search(page: HomePage) -> Outcome:
    """Begin to look for an owner of a page whose last one is gone."""
    return _ask_next(page, Transaction(SEARCH))


def put_opened(page: HomePage, node: NodeId, put: Put) -> Outcome:
    """Begin to look for somebody who takes a page over. A node that has lost it meanwhile need not be rid of it."""
    if node != page.owner:
        return page, (SendTo(node, PutAck(put.request, taken=False)),)
    return _ask_next(page, Transaction(Request(node, put)))


def _ask_next(page: HomePage, transaction: Transaction) -> Outcome:
    """Ask the next sharer to become the owner; with none left, give up."""
    old, request = transaction.opened_by.node, transaction.opened_by.message.request
    if page.sharers:
        heir = min(page.sharers)
        page = replace(page, transaction=replace(transaction, asked=heir))
        return page, (SendTo(heir, Adopt(request, page.version)),)
    if old is None:
        return replace(page, transaction=None, lost=True), ()
    return replace(page, transaction=None), (SendTo(old, PutAck(request, taken=False)),)


def heir_answered(page: HomePage, transaction: Transaction, sender: NodeId, ok: bool) -> Outcome:
    if sender != transaction.asked:
        raise ProtocolError(f"node {sender} answers for node {transaction.asked}: {page}")
    page = replace(page, sharers=page.sharers - {sender})
    if not ok:
        return _ask_next(page, transaction)
    page = replace(page, owner=sender, transaction=None)
    old, request = transaction.opened_by.node, transaction.opened_by.message.request
    if old is None:
        return page, ()
    return replace(page, sharers=page.sharers | {old}), (SendTo(old, PutAck(request, taken=True)),)


def session_ended(page: HomePage, transaction: Transaction, node: NodeId) -> Outcome:
    """Go on without a node. If it was to be relieved of the page, this has become a search."""
    if transaction.opened_by.node == node:
        transaction = replace(transaction, opened_by=replace(transaction.opened_by, node=None))
    if transaction.asked == node:
        return _ask_next(page, transaction)
    return replace(page, transaction=transaction), ()
