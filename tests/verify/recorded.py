"""Traces of a directory and two nodes that play by the rules, made by the core, to be spoilt by tests."""

from __future__ import annotations

from collections import deque

from dsm.core import cache, home
from dsm.core.cache import CachePage
from dsm.core.effects import Send, Supply
from dsm.core.events import Event, HoldEnded, Received, SessionEnded, Wanted
from dsm.core.home_page import HomePage
from dsm.core.messages import Data, FromHome, ToHome
from dsm.core.types import Epoch, NodeId, RegionId, RequestId
from dsm.trace.records import (
    DIRECTORY,
    FORMAT,
    NODE,
    Began,
    CacheStepped,
    Ended,
    HomeStepped,
    Record,
    RegionBegan,
    SessionBegan,
    SessionOver,
)
from dsm.verify.conformance import Conformance, check_conformance

REGION = RegionId(7)
HOME, A, B = "home", "a", "b"
NODES = {A: NodeId(1), B: NodeId(2)}


class Cluster:
    """Messages arrive in the order in which they were sent. `traces` is for tests to change before `judged`."""

    def __init__(self) -> None:
        self.traces: dict[str, list[Record]] = {HOME: [Began(FORMAT, DIRECTORY, HOME, "")]}
        self._home: dict[int, HomePage] = {}
        self._caches: dict[tuple[str, int], CachePage] = {}
        self._way: deque[tuple[str, int, str, ToHome | FromHome | Data]] = deque()
        self._requests = 0
        self.traces[HOME].append(RegionBegan(REGION, HomePage()))
        for name, node in NODES.items():
            began = SessionBegan("cluster", node, Epoch(node))
            self.traces[HOME].append(began)
            self.traces[name] = [Began(FORMAT, NODE, name, ""), began, RegionBegan(REGION, CachePage())]

    def wants(self, name: str, page: int, write: bool) -> None:
        """A process of the node wants a page, and gets it."""
        self._requests += 1
        self.happens(name, page, Wanted(write, RequestId(self._requests)))
        while self._way:
            to, index, sender, message = self._way.popleft()
            if to == HOME:
                self.home_hears(index, sender, message)  # type: ignore[arg-type]
            else:
                self.happens(to, index, Received(message))  # type: ignore[arg-type]
        for other in NODES:
            if self._caches.get((other, page), CachePage()).held:
                self.happens(other, page, HoldEnded())

    def happens(self, name: str, page: int, event: Event) -> None:
        self._caches[name, page], effects = cache.step(self._caches.get((name, page), CachePage()), event)
        self.traces[name].append(CacheStepped(REGION, page, event, effects))
        for effect in effects:
            if isinstance(effect, Send):
                self._way.append((HOME, page, name, effect.message))
            elif isinstance(effect, Supply):
                self._way.append((_name(effect.to), page, name, effect.data))

    def home_hears(self, page: int, sender: str, message: ToHome | SessionEnded) -> None:
        self._home[page], effects = home.step(self._home.get(page, HomePage()), NODES[sender], message)
        self.traces[HOME].append(HomeStepped(REGION, page, 1, NODES[sender], message, effects))
        for effect in effects:
            self._way.append((_name(effect.node), page, HOME, effect.message))

    def leaves(self, name: str) -> None:
        """The session of a node that has touched page 0 ends, on both sides."""
        over = SessionOver(NODES[name], Epoch(NODES[name]))
        self.happens(name, 0, SessionEnded())
        self.home_hears(0, name, SessionEnded())
        self.traces[name].append(over)
        self.traces[HOME].append(over)

    def judged(self, *killed: str) -> Conformance:
        """What the checker says; of the killed processes the traces have no end."""
        traces = {name: [*records, *([] if name in killed else [Ended()])] for name, records in self.traces.items()}
        return check_conformance((name, iter(records)) for name, records in traces.items())

    def steps(self, name: str, *kinds: type) -> list[int]:
        """Where a process's trace has a step that some of these messages or events caused."""
        return [at for at, record in enumerate(self.traces[name]) if isinstance(_cause(record), kinds)]


def _cause(record: Record) -> object:
    match record:
        case HomeStepped():
            return record.message
        case CacheStepped(event=Received(message=message)):
            return message
        case CacheStepped():
            return record.event
    return None


def _name(node: NodeId) -> str:
    return next(name for name, number in NODES.items() if number == node)
