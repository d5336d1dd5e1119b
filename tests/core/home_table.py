"""Home's half of the protocol as a table.

Nodes are 1 to 4. The page's version is 3, its owner is node 1, its sharers are 2 and 3, if it has any. The requests of
node 2 are #20 (its Get) and #21 (its Put), and so on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, combinations, product

from dsm.core.effects import SendTo
from dsm.core.events import SessionEnded
from dsm.core.home import HomePage, Request, Transaction
from dsm.core.messages import Ack, Adopt, Done, Fetch, GetM, GetS, Grant, Inv, Put, PutAck, ToHome
from dsm.core.succession import SEARCH
from dsm.core.types import NodeId, RequestId, Source

NOBODY: frozenset[NodeId] = frozenset()


def nodes(*numbers: int) -> frozenset[NodeId]:
    return frozenset(map(NodeId, numbers))


def gets(node: int) -> Request:
    return Request(NodeId(node), GetS(RequestId(10 * node)))


def getm(node: int, held: int | None = None) -> Request:
    return Request(NodeId(node), GetM(RequestId(10 * node), held))


def put(node: int) -> Request:
    return Request(NodeId(node), Put(RequestId(10 * node + 1)))


def sent(request: Request, version: int = 4, source: Source = Source.SENT) -> Grant:
    return Grant(request.message.request, version, write=True, source=source)


ONE, TWO = NodeId(1), NodeId(2)
OWNED = HomePage(3, ONE)
SHARED = HomePage(3, ONE, nodes(2, 3))
READING = Transaction(gets(4), nodes(1), ONE)
WRITING = Transaction(getm(4), nodes(1, 2, 3), ONE, sent(getm(4)))
ALONE = Transaction(getm(4), nodes(1), ONE)
UPGRADING = Transaction(getm(2, 3), nodes(1, 3), None, sent(getm(2, 3), source=Source.HELD))
PAGES = {
    "untouched": HomePage(),
    "zeros read": HomePage(sharers=nodes(2, 3)),
    "owned": OWNED,
    "shared": SHARED,
    "lost": HomePage(3, lost=True),
    "reading": replace(SHARED, transaction=READING),
    "reading, acked": replace(SHARED, transaction=replace(READING, acks=NOBODY)),
    "reading, done": replace(SHARED, transaction=replace(READING, done=True)),
    "reading the last": replace(OWNED, transaction=READING),
    "writing": replace(SHARED, transaction=WRITING),
    "writing, last ack": replace(SHARED, transaction=replace(WRITING, acks=nodes(3))),
    "writing, granted": replace(SHARED, transaction=replace(WRITING, acks=NOBODY, grant=None)),
    "writing alone": replace(OWNED, transaction=ALONE),
    "writing alone, done": replace(OWNED, transaction=replace(ALONE, done=True)),
    "upgrading": replace(SHARED, transaction=UPGRADING),
    "putting": replace(SHARED, transaction=Transaction(put(1), asked=TWO)),
    "searching": HomePage(3, None, nodes(2, 3), transaction=Transaction(SEARCH, asked=TWO)),
    "searching, last": HomePage(3, None, nodes(2), transaction=Transaction(SEARCH, asked=TWO)),
    "telling of a loss": HomePage(3, lost=True, transaction=Transaction(gets(4))),
    "searching, 4 reads": HomePage(3, None, nodes(2), transaction=Transaction(SEARCH, asked=TWO), queue=(gets(4),)),
    "reading, 2 writes": replace(SHARED, transaction=READING, queue=(getm(2, 3),)),
    "reading, 2 wants more": replace(SHARED, transaction=READING, queue=(getm(2, 3), put(2))),
}

TABLE = """
untouched           | 4 GetS    | v0 / GetS of 4                                           | 4 Grant(0 zero)
untouched           | 4 GetM    | v0 / GetM of 4                                           | 4 Grant(1 zero)
untouched           | 1 Put     | v0                                                       | 1 PutAck(refused)
zeros read          | 4 GetS    | v0 sharers 2 3 / GetS of 4                               | 4 Grant(0 zero)
zeros read          | 4 GetM    | v0 sharers 2 3 / GetM of 4, acks 2 3, then grant         | 2 Inv, 3 Inv
zeros read          | 2 GetM(0) | v0 sharers 2 3 / GetM(0) of 2, acks 3, then grant        | 3 Inv
zeros read          | 2 GetM    | v0 sharers 2 3 / GetM of 2, acks 3, then grant           | 3 Inv
zeros read          | 2 ends    | v0 sharers 3                                             | .

owned               | 4 GetS    | v3 owner 1 / GetS of 4, acks 1, from 1                   | 1 Fetch(4)
owned               | 4 GetM    | v3 owner 1 / GetM of 4, acks 1, from 1                   | 1 Inv(4, granting)
owned               | 1 GetM(3) | v3 owner 1 / GetM(3) of 1                                | 1 Grant(4 held)
owned               | 1 GetM    | v3 owner 1 / GetM of 1, acks 1, from 1                   | 1 Inv(1, granting)
owned               | 1 GetS    | v3 owner 1 / GetS of 1, acks 1, from 1                   | 1 Fetch(1)
owned               | 1 Put     | v3 owner 1                                               | 1 PutAck(refused)
owned               | 1 ends    | v3 lost                                                  | .
owned               | 2 ends    | v3 owner 1                                               | .

shared              | 4 GetS    | v3 owner 1 sharers 2 3 / GetS of 4, acks 1, from 1       | 1 Fetch(4)
shared              | 2 GetS    | v3 owner 1 sharers 2 3 / GetS of 2, acks 1, from 1       | 1 Fetch(2)
shared | 4 GetM | v3 owner 1 sharers 2 3 / GetM of 4, acks 1 2 3, from 1, then grant | 1 Inv(4), 2 Inv, 3 Inv
shared | 4 GetM(3) | v3 owner 1 sharers 2 3 / GetM(3) of 4, acks 1 2 3, from 1, then grant | 1 Inv(4), 2 Inv, 3 Inv
shared | 2 GetM | v3 owner 1 sharers 2 3 / GetM of 2, acks 1 3, from 1, then grant | 1 Inv(2), 3 Inv
shared | 2 GetM(2) | v3 owner 1 sharers 2 3 / GetM(2) of 2, acks 1 3, from 1, then grant | 1 Inv(2), 3 Inv
shared              | 2 GetM(3) | v3 owner 1 sharers 2 3 / GetM(3) of 2, acks 1 3, then grant           | 1 Inv, 3 Inv
shared              | 1 GetM(3) | v3 owner 1 sharers 2 3 / GetM(3) of 1, acks 2 3, then grant           | 2 Inv, 3 Inv
shared              | 1 Put     | v3 owner 1 sharers 2 3 / Put of 1, asks 2                | 2 Adopt(3)
shared              | 2 Put     | v3 owner 1 sharers 2 3                                   | 2 PutAck(refused)
shared              | 1 ends    | v3 sharers 2 3 / search, asks 2                          | 2 Adopt(3)
shared              | 2 ends    | v3 owner 1 sharers 3                                     | .

lost                | 4 GetS    | v3 lost / GetS of 4                                      | 4 Lost
lost                | 4 GetM    | v3 lost / GetM of 4                                      | 4 Lost
lost                | 4 Put     | v3 lost                                                  | 4 PutAck(refused)
telling of a loss   | 4 Done(no) | v3 lost                                                 | .
telling of a loss   | 4 Done    | v3 sharers 4 / search, asks 4                            | 4 Adopt(3)
telling of a loss   | 4 ends    | v3 lost                                                  | .

reading             | 1 Ack     | v3 owner 1 sharers 2 3 / GetS of 4, from 1               | .
reading             | 4 Done    | v3 owner 1 sharers 2 3 / GetS of 4, acks 1, from 1, done | .
reading             | 3 GetM(3) | v3 owner 1 sharers 2 3 / GetS of 4, acks 1, from 1 / GetM(3) of 3     | .
reading             | 4 GetS    | same                                                     | .
reading             | 2 Ack     | same                                                     | .
reading             | 4 ends    | v3 owner 1 sharers 2 3 / GetS of 4, acks 1, from 1, gone | .
reading             | 1 ends    | v3 sharers 2 3 / search, asks 2 / GetS of 4              | 2 Adopt(3)
reading             | 2 ends    | v3 owner 1 sharers 3 / GetS of 4, acks 1, from 1         | .
reading, acked      | 4 Done    | v3 owner 1 sharers 2 3 4                                 | .
reading, acked      | 4 GetS    | v3 owner 1 sharers 2 3 / GetS of 4, acks 1, from 1       | 1 Fetch(4)
reading, acked      | 1 Ack     | same                                                     | .
reading, acked      | 1 ends    | v3 sharers 2 3 / search, asks 2 / GetS of 4              | 2 Adopt(3)
reading, acked      | 4 ends    | v3 owner 1 sharers 2 3                                   | .
reading, done       | 1 Ack     | v3 owner 1 sharers 2 3 4                                 | .
reading, done       | 4 GetS    | same                                                     | .
reading, done       | 1 ends    | v3 sharers 2 3 4 / search, asks 2                        | 2 Adopt(3)
reading the last    | 1 ends    | v3 lost / GetS of 4                                      | 4 Lost
reading, 2 writes   | 2 GetM(3) | same                                                     | .
reading, 2 writes   | 2 Put     | v3 owner 1 sharers 2 3 / GetS of 4, acks 1, from 1 / GetM(3) of 2 / Put of 2 | .
reading, 2 writes   | 2 ends    | v3 owner 1 sharers 3 / GetS of 4, acks 1, from 1         | .
reading, 2 writes   | 4 Done    | v3 owner 1 sharers 2 3 / GetS of 4, acks 1, from 1, done / GetM(3) of 2 | .

writing             | 1 Ack     | v3 owner 1 sharers 2 3 / GetM of 4, acks 2 3, from 1, then grant      | .
writing             | 2 Ack     | v3 owner 1 sharers 2 3 / GetM of 4, acks 1 3, from 1, then grant      | .
writing             | 4 GetM    | same                                                     | .
writing             | 3 ends    | v3 owner 1 sharers 2 / GetM of 4, acks 1 2, from 1, then grant        | .
writing             | 1 ends    | v3 sharers 2 3 / GetM of 4, acks 2 3, then grant         | 4 Lost
writing             | 4 ends    | v3 owner 1 sharers 2 3 / GetM of 4, acks 1 2 3, from 1, gone          | .
writing             | 4 Done(no) | v3 owner 1 sharers 2 3 / GetM of 4, acks 1 2 3, from 1, gone         | .
writing, last ack   | 3 Ack     | v3 owner 1 sharers 2 3 / GetM of 4, from 1               | 4 Grant(4 sent)
writing, last ack   | 3 ends    | v3 owner 1 sharers 2 / GetM of 4, from 1                 | 4 Grant(4 sent)
writing, last ack   | 4 GetM    | v3 owner 1 sharers 2 3 / GetM of 4, acks 1 3, from 1, then grant      | 1 Inv(4)
writing, granted    | 4 Done    | v4 owner 4                                               | 1 Release
writing, granted    | 4 GetM    | v3 owner 1 sharers 2 3 / GetM of 4, acks 1, from 1       | 1 Inv(4, granting)
writing, granted    | 1 ends    | v3 sharers 2 3 / GetM of 4                               | 4 Lost
writing, granted    | 4 ends    | v3 lost                                                  | 1 Release
writing alone       | 4 Done    | v3 owner 1 / GetM of 4, acks 1, from 1, done             | .
writing alone       | 1 Ack     | v3 owner 1 / GetM of 4, from 1                           | .
writing alone, done | 1 Ack     | v4 owner 4                                               | 1 Release
writing alone, done | 1 ends    | v4 owner 4                                               | .
writing alone, done | 4 ends    | v3 owner 1 / GetM of 4, acks 1, from 1, gone             | .
upgrading           | 1 Ack     | v3 owner 1 sharers 2 3 / GetM(3) of 2, acks 3, then grant             | .
upgrading           | 1 ends    | v3 sharers 2 3 / GetM(3) of 2, acks 3, then grant        | .
upgrading           | 2 GetM(3) | same                                                     | .
upgrading           | 2 ends    | v3 owner 1 sharers 3 / GetM(3) of 2, acks 1 3, gone      | .

putting             | 2 Done    | v3 owner 2 sharers 1 3                                   | 1 PutAck(taken)
putting             | 2 Done(no) | v3 owner 1 sharers 3 / Put of 1, asks 3                 | 3 Adopt(3)
putting             | 2 ends    | v3 owner 1 sharers 3 / Put of 1, asks 3                  | 3 Adopt(3)
putting             | 3 ends    | v3 owner 1 sharers 2 / Put of 1, asks 2                  | .
putting             | 1 ends    | v3 sharers 2 3 / search, asks 2                          | .
putting             | 1 Put     | same                                                     | .
searching           | 2 Done    | v3 owner 2 sharers 3                                     | .
searching           | 2 Done(no) | v3 sharers 3 / search, asks 3                           | 3 Adopt(3)
searching           | 2 ends    | v3 sharers 3 / search, asks 3                            | 3 Adopt(3)
searching, last     | 2 Done(no) | v3 lost                                                 | .
searching, last     | 2 ends    | v3 lost                                                  | .
searching, last     | 4 GetS    | v3 sharers 2 / search, asks 2 / GetS of 4                | .
searching, 4 reads  | 2 Done    | v3 owner 2 / GetS of 4, acks 2, from 2                   | 2 Fetch(4)
searching, 4 reads  | 2 Done(no) | v3 lost / GetS of 4                                     | 4 Lost
searching, 4 reads  | 4 GetS    | same                                                     | .
searching, 4 reads  | 4 Done(late) | v3 sharers 2 4 / search, asks 2                       | .
searching, 4 reads  | 4 ends    | v3 sharers 2 / search, asks 2                            | .
"""
"""Record, who says what, the record after it, what is sent. A record is a line: version, owner and sharers / what is
under way / what waits. `Done(late)` answers a read that is to begin again."""

NOT_SAID = """
reading             | 2 Done
writing             | 4 Done
writing             | 1 Done
upgrading           | 2 Done
putting             | 3 Done
putting             | 1 Done
searching           | 4 Done(no)
reading, 2 wants more | 2 again
"""
"""What nobody can say who follows the protocol."""


def rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")] for line in table.splitlines() if line]


def message(page: HomePage, said: str) -> tuple[NodeId, ToHome | SessionEnded]:
    """What stands in the column of the events."""
    number, words = said.split(maxsplit=1)
    node = int(number)
    under_way = RequestId(0) if page.transaction is None else page.transaction.opened_by.message.request
    meanings: dict[str, ToHome | SessionEnded] = {
        "GetS": gets(node).message,
        "GetM": getm(node).message,
        "Put": put(node).message,
        "Ack": Ack(under_way),
        "Done": Done(under_way, ok=True),
        "Done(no)": Done(under_way, ok=False),
        "Done(late)": Done(RequestId(10 * node), ok=True),
        "again": GetS(RequestId(10 * node + 5)),
        "ends": SessionEnded(),
    }
    if held := re.fullmatch(r"GetM\((\d)\)", words):
        return NodeId(node), GetM(RequestId(10 * node), int(held[1]))
    return NodeId(node), meanings[words]


def line(page: HomePage) -> str:
    """A record as it stands in the table."""
    words = [f"v{page.version}"]
    words += ["lost"] * page.lost
    words += [] if page.owner is None else [f"owner {page.owner}"]
    words += [f"sharers {_list(page.sharers)}"] if page.sharers else []
    under_way = [] if page.transaction is None else [_transaction(page.transaction)]
    return " / ".join([" ".join(words), *under_way, *map(_request, page.queue)])


def _transaction(transaction: Transaction) -> str:
    words = [
        "search"
        if transaction.opened_by == SEARCH or transaction.opened_by.node is None
        else _request(transaction.opened_by)
    ]
    words += [f"acks {_list(transaction.acks)}"] if transaction.acks else []
    words += [f"from {transaction.supplier}"] if transaction.supplier else []
    words += ["then grant"] if transaction.grant else []
    words += [] if transaction.done is None else ["done" if transaction.done else "gone"]
    words += [f"asks {transaction.asked}"] if transaction.asked else []
    return ", ".join(words)


def _request(request: Request) -> str:
    held = f"({request.message.held})" if isinstance(request.message, GetM) and request.message.held is not None else ""
    return f"{type(request.message).__name__}{held} of {request.node}"


def _list(numbers: Iterable[NodeId]) -> str:
    return " ".join(map(str, sorted(numbers)))


def sends(effects: tuple[SendTo, ...]) -> str:
    """What is sent, as it stands in the table."""
    return ", ".join(f"{effect.node} {_said(effect)}" for effect in effects) or "."


def _said(effect: SendTo) -> str:
    match effect.message:
        case Fetch(to=to):
            return f"Fetch({to})"
        case Inv(to=to, grants=grants) if to is not None:
            return f"Inv({to}{', granting' if grants else ''})"
        case Grant(version=version, source=source):
            return f"Grant({version} {source.value})"
        case Adopt(version=version):
            return f"Adopt({version})"
        case PutAck(taken=taken):
            return f"PutAck({'taken' if taken else 'refused'})"
    return type(effect.message).__name__


def every_record() -> Iterator[HomePage]:
    """Whatever a record may look like, and more."""
    requests = [gets(4), getm(4), getm(2, 3), put(1), SEARCH]
    few = [frozenset(some) for some in chain.from_iterable(combinations(nodes(1, 2, 3), n) for n in range(4))]
    for request, acks, supplier, granting, done in product(
        requests[:3], few, (None, ONE), (False, True), (None, True, False)
    ):
        grant = sent(request) if granting and acks and done is None else None
        for page in (OWNED, SHARED, HomePage(3, None, nodes(2, 3)), HomePage(sharers=nodes(2))):
            yield replace(page, transaction=Transaction(request, acks, supplier, grant, done), queue=(gets(3),))
    for request, queue in product(requests[3:], ((), (gets(3), getm(4)), (getm(2, 3), put(2)))):
        owner = request.node
        yield HomePage(3, owner, nodes(2, 3), transaction=Transaction(request, asked=TWO), queue=queue)
    yield from PAGES.values()
