"""A cluster of a few nodes and one page, played message by message from a script.

Messages are delivered in the order in which they were sent, unless the script holds a channel back. A channel is named
as it stands in the log: "2 → home", "home → 2", and "1 ⇒ 2" for a page stream. Requests are numbered as they are made.
"""

from __future__ import annotations

from dataclasses import dataclass
from inspect import cleandoc

from dsm.core import cache, home, invariants
from dsm.core.cache import CachePage
from dsm.core.effects import SendTo
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
from dsm.core.home import HomePage
from dsm.core.messages import Adopt, Data, Done, Fetch, FromHome, GetM, Grant, Inv, PutAck, ToHome
from dsm.core.types import NodeId, RequestId
from tests.model.memory import Memory
from tests.model.world import LATER


@dataclass(frozen=True)
class Envelope:
    channel: str
    to: int
    sender: int
    """0 is home."""
    message: ToHome | FromHome | Data
    bytes: int | None = None


class Conversation:
    def __init__(self, nodes: int = 3, hold: bool = False) -> None:
        self.home = HomePage()
        self.pages = {NodeId(number): CachePage() for number in range(1, nodes + 1)}
        self.log: list[str] = []
        self.failed: list[int] = []
        """Nodes whose processes were told that the page is lost."""
        self._hold = hold
        self._bytes: dict[int, tuple[int | None, int | None]] = dict.fromkeys(self.pages, (None, None))
        self._under_way: list[Envelope] = []
        self._held_back: set[str] = set()
        self._requests = 0

    # --- what the script may do -----------------------------------------------------------------------------------

    def reads(self, node: int) -> None:
        self._happens(node, Wanted(False, self._next_request()))

    def writes(self, node: int) -> None:
        self._happens(node, Wanted(True, self._next_request()))

    def evicts(self, node: int) -> None:
        self._happens(node, EvictionChosen(self._next_request()))

    def pins(self, node: int, write: bool = False) -> None:
        self._happens(node, Pinned(write))

    def unpins(self, node: int) -> None:
        self._happens(node, Unpinned())

    def hold_ends(self, node: int) -> None:
        self._happens(node, HoldEnded())

    def waits_too_long(self, node: int) -> None:
        self._happens(node, TransferBroken())

    def session_ends(self, node: int) -> None:
        """Both sides notice, and nothing that was on its way between them arrives. Page streams are left alone."""
        mine = (f"{node} → home", f"home → {node}")
        self._under_way = [self._left(envelope, node) for envelope in self._under_way if envelope.channel not in mine]
        self._happens(node, SessionEnded())
        self._at_home(node, SessionEnded())

    def hold_back(self, *channels: str) -> None:
        self._held_back.update(channels)

    def let_go(self, *channels: str) -> None:
        self._held_back.difference_update(channels)

    def lose(self, channel: str) -> None:
        """Lose the bytes on a page stream."""
        lost = [envelope for envelope in self._under_way if envelope.channel == channel]
        assert lost, f"nothing is under way on {channel}"
        self._under_way = [envelope for envelope in self._under_way if envelope not in lost]

    def settle(self) -> None:
        """Deliver everything, and what follows from it, but for what is held back."""
        while ready := [envelope for envelope in self._under_way if envelope.channel not in self._held_back]:
            self._deliver(ready[0])

    # --- what the script may see ----------------------------------------------------------------------------------

    def page(self, node: int) -> CachePage:
        return self.pages[NodeId(node)]

    @property
    def copies(self) -> str:
        """Who has which version, such as "1:O3 2:S3"."""
        return " ".join(
            f"{node}:{page.state.name}{page.version}" for node, page in self.pages.items() if page.state.readable
        )

    def check_quiet(self) -> None:
        assert not self._under_way
        assert invariants.when_quiet(self.home, self.pages) == []

    # --- how it works ---------------------------------------------------------------------------------------------

    def _next_request(self) -> RequestId:
        self._requests += 1
        return RequestId(self._requests)

    def _happens(self, node: int, event: Event, arriving: int | None = None) -> None:
        place = NodeId(node)
        before = self.pages[place]
        memory = Memory(*self._bytes[node], before)
        memory.receive(event, arriving)
        page, effects = cache.step(before, event)
        for effect in effects:
            memory.carry_out(effect)
        memory.settle(page)
        self.pages[place] = page
        self._bytes[node] = memory.memory, memory.retained
        self._under_way += [Envelope(f"{node} → home", 0, node, message) for message in memory.sent]
        self._under_way += [
            Envelope(f"{node} ⇒ {to}", to, node, data, what) for to, data, what in memory.supplied if to in self.pages
        ]
        if memory.failed:
            self.failed.append(node)
        if page.held and not self._hold:
            self._happens(node, HoldEnded())

    def _at_home(self, sender: int, message: ToHome | SessionEnded) -> None:
        self.home, effects = home.step(self.home, NodeId(sender), message)
        self._under_way += [_from_home(effect) for effect in effects]

    def _deliver(self, envelope: Envelope) -> None:
        self._under_way.remove(envelope)
        self.log.append(f"{envelope.channel:8}  {_say(envelope.message)}")
        match envelope.message:
            case Data() as data:
                self._happens(envelope.to, Received(data), self._left(envelope, envelope.sender).bytes)
            case message if envelope.to == 0:
                self._at_home(envelope.sender, message)  # type: ignore[arg-type]
            case message:
                self._happens(envelope.to, Received(message))  # type: ignore[arg-type]

    def _left(self, envelope: Envelope, node: int) -> Envelope:
        """The bytes of a page leave the node's memory at the latest now."""
        if envelope.sender != node or envelope.bytes != LATER:
            return envelope
        memory = self._bytes[node][0]
        return Envelope(envelope.channel, envelope.to, envelope.sender, envelope.message, memory)


def owned_by_1(nodes: int = 3, hold: bool = False) -> Conversation:
    """Node 1 has written the page; nobody else has it."""
    talk = Conversation(nodes, hold)
    talk.writes(1)
    talk.settle()
    if hold:
        talk.hold_ends(1)
    talk.log.clear()
    return talk


def read_by(*readers: int, nodes: int = 3) -> Conversation:
    """Node 1 has written the page, and others have read it."""
    talk = owned_by_1(nodes)
    for node in readers:
        talk.reads(node)
        talk.settle()
    talk.log.clear()
    return talk


def said(text: str) -> list[str]:
    return cleandoc(text).splitlines()


def _from_home(effect: SendTo) -> Envelope:
    return Envelope(f"home → {effect.node}", effect.node, 0, effect.message)


def _say(message: ToHome | FromHome | Data) -> str:
    name = f"{type(message).__name__} #{message.request}"
    match message:
        case GetM(held=held) if held is not None:
            return f"{name} holding version {held}"
        case Fetch(to=to):
            return f"{name} to {to}"
        case Inv(to=to, grants=grants) if to is not None:
            return f"{name} to {to}{', granting' if grants else ''}"
        case Data(version=version, grants=grants):
            return f"{name} version {version}{', granting' if grants else ''}"
        case Grant(version=version, source=source):
            return f"{name} version {version}, {source.value}"
        case Adopt(version=version):
            return f"{name} version {version}"
        case Done(ok=ok):
            return name if ok else f"{name} without it"
        case PutAck(taken=taken):
            return f"{name} {'taken' if taken else 'refused'}"
    return name
