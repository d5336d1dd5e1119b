"""How docs/protocol_table.py words records, events and messages: short, and with names in place of numbers."""

from __future__ import annotations

from dsm.core.cache import CachePage
from dsm.core.effects import CacheEffect, Send, Supply
from dsm.core.events import Event, Pinned, Received, Wanted
from dsm.core.home import HomePage, Transaction
from dsm.core.messages import Adopt, Data, Done, Fetch, FromHome, GetM, Grant, Inv, PutAck, ToHome
from dsm.core.types import NodeId, Pin, RequestId

V = 7
"""The version in every record of a node's table that has one."""
OWN, PUT, OTHER, STALE = (RequestId(number) for number in (100, 101, 200, 300))
A, B, C, STRANGER = (NodeId(number) for number in (1, 2, 3, 9))

REQUESTS = {OWN: "r", PUT: "p", OTHER: "q", RequestId(0): "search"}
VERSIONS = {V - 1: "v-1", V: "v", V + 1: "v+1"}
NODES = {STRANGER: "n"}

Message = ToHome | FromHome | Data


def of_cache(page: CachePage) -> str:
    words = [page.state.name]
    if page.pending is not None:
        pending = page.pending
        words.append("upgrading" if page.state.readable else "asked to write" if pending.write else "asked to read")
        words += ["bytes are here"] * (pending.arrived is not None) + ["grant is here"] * pending.granted
    if page.pin is not Pin.NONE:
        words.append("pinned for writing" if page.pin is Pin.WRITE else "pinned for reading")
    words += ["held"] * page.held
    if page.deferred is not None:
        words.append(f"{of_message(page.deferred)} deferred")
    words += ["bytes retained"] * (page.retained is not None) + ["putting"] * (page.putting is not None)
    return f"{words[0]} {', '.join(words[1:])}".strip()


def of_effect(effect: CacheEffect) -> str:
    match effect:
        case Send(message):
            return f"Send {of_message(message)}"
        case Supply(to, data):
            return f"Supply {of_message(data)} to {_node(to)}"
        case _:
            return type(effect).__name__


def of_home(page: HomePage) -> str:
    words = ["lost" if page.lost else "owner " + str(page.owner) if page.owner is not None else _ownerless(page)]
    if page.sharers:
        words.append(f"sharers {', '.join(map(str, sorted(page.sharers)))}")
    if page.version:
        words.append(f"version {page.version}")
    parts = [", ".join(words)]
    if page.transaction is not None:
        parts.append(_transaction(page.transaction))
    if page.queue:
        parts.append("queue: " + ", ".join(f"{type(other.message).__name__} of {other.node}" for other in page.queue))
    return "; ".join(parts)


def _ownerless(page: HomePage) -> str:
    return "no owner" if page.version else "zeros"


def _transaction(transaction: Transaction) -> str:
    who = transaction.opened_by.node
    title = "search for an owner" if who is None else f"{type(transaction.opened_by.message).__name__} of {who}"
    waits = [f"Ack of {node}" for node in sorted(transaction.acks)]
    if transaction.asked is not None:
        waits.append(f"the answer of {transaction.asked}")
    elif transaction.done is None:
        waits.append("Done")
    kept = [f"supplier {transaction.supplier}"] * (transaction.supplier is not None)
    kept += ["Grant waits"] * (transaction.grant is not None) + ["not ok"] * (transaction.done is False)
    return f"{title}, waits for {' and '.join(waits)}" + "".join(f", {word}" for word in kept)


def of_event(event: Event) -> str:
    match event:
        case Received(message):
            return of_message(message)
        case Wanted(write) | Pinned(write):
            return f"{type(event).__name__} to {'write' if write else 'read'}"
        case _:
            return type(event).__name__


def of_message(message: Message, short: bool = False) -> str:
    name, request = type(message).__name__, _request(message.request)
    match message:
        case GetM(_, held) if short:
            return f"{name}({'holds nothing' if held is None else f'holds {held}'})"
        case _ if short:
            return name
        case GetM(_, held):
            return f"{name}({request}, {'holds nothing' if held is None else f'holds {_version(held)}'})"
        case Fetch(_, to):
            return f"{name}({request}, to {_node(to)})"
        case Inv(_, to, grants):
            return f"{name}({request}{'' if to is None else f', to {_node(to)}'}{', grants' * grants})"
        case Data(_, version, write, grants):
            kind = "write" if write else "read"
            return f"{name}({request}, {_version(version)}, {kind}{', grants' * grants})"
        case Grant(_, version, write, source):
            return f"{name}({request}, {_version(version)}, {'write' if write else 'read'}, {source.value})"
        case Adopt(_, version):
            return f"{name}({request}, {_version(version)})"
        case Done(_, ok):
            return f"{name}({request}{'' if ok else ', not ok'})"
        case PutAck(_, taken):
            return f"{name}({request}, {'taken' if taken else 'not taken'})"
        case _:
            return f"{name}({request})"


def _request(request: RequestId) -> str:
    return REQUESTS.get(request, str(request))


def _version(version: int) -> str:
    return VERSIONS.get(version, str(version))


def _node(node: NodeId) -> str:
    return NODES.get(node, str(node))
