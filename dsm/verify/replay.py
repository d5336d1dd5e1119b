"""One process's trace, replayed: every input goes through the core again, which has to give the effects once more.

What the process said and heard on its way is kept for `channels`, and who came to write which version for
`conformance`. A page that has gone astray is told once and not judged any more.

Caveat: everything stays in memory, some 300 bytes for each message.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from dsm.core import cache, home
from dsm.core.cache import CachePage
from dsm.core.effects import Send, SendTo, Supply
from dsm.core.events import Received, SessionEnded
from dsm.core.home_page import HomePage
from dsm.core.messages import Data, FromHome, ToHome
from dsm.core.types import NodeId, RegionId, State
from dsm.errors import ProtocolError
from dsm.limits import TRACE_STORY_STEPS
from dsm.trace.records import (
    Began,
    CacheStepped,
    Ended,
    HomeStepped,
    Record,
    Refused,
    RegionBegan,
    RegionEnded,
    SessionBegan,
    SessionOver,
)


class Place(NamedTuple):
    region: RegionId
    page: int

    def __str__(self) -> str:
        return f"page {self.region}/{self.page}"


class Said(NamedTuple):
    """A message about a page, as one side of a session has it."""

    place: Place
    message: ToHome | FromHome
    step: int
    """The number of the step in which it was said or heard."""


class SessionKey(NamedTuple):
    cluster: str
    epoch: int


class Transfer(NamedTuple):
    """The bytes of a page for a node."""

    cluster: str
    to: NodeId
    place: Place
    data: Data


class Written(NamedTuple):
    """A version of a page, which one session alone may write."""

    cluster: str
    place: Place
    version: int


@dataclass(frozen=True)
class Drift:
    """Where what was recorded is not what the core would have done, or what the others have recorded."""

    rule: str
    process: str
    place: Place | None
    what: str
    story: tuple[str, ...] = ()
    """The last steps of the page, up to the one that is in question."""

    def __str__(self) -> str:
        where = f"{self.process}, {self.place}" if self.place else self.process
        return "\n".join([f"{self.rule}: {where}: {self.what}", *(f"    {line}" for line in self.story)])


@dataclass
class Side:
    """What one of the two processes of a session has said and heard in it, in order."""

    replay: Replay
    node: NodeId
    said: list[Said] = field(default_factory=list)
    heard: list[Said | RegionBegan | RegionEnded] = field(default_factory=list)
    """At home also which regions came and went: it ignores what is said of one that is gone before its node knows."""
    knows: frozenset[RegionId] | None = None
    """At home the regions there were when the session began. A node knows every region that home speaks of."""

    @property
    def busy(self) -> bool:
        """Whether anything was said. A node that does not get the answer to its Hello knows of no session."""
        return bool(self.said) or any(isinstance(heard, Said) for heard in self.heard)


P = TypeVar("P", HomePage, CachePage)


@dataclass
class Table(Generic[P]):
    """The pages of one region in one process."""

    first: P
    """The record of a page that nothing has happened to."""
    pages: dict[int, P] = field(default_factory=dict)

    def get(self, page: int) -> P:
        return self.pages.get(page, self.first)


class Replay:
    """One process. `run` takes it through its trace."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ended = False
        """The trace has an end, so nothing is missing."""
        self.steps = 0
        self.sides: dict[SessionKey, Side] = {}
        self.drifts: list[Drift] = []
        self.supplied: Counter[Transfer] = Counter()
        self.received: dict[Transfer, list[int]] = defaultdict(list)
        """The steps in which these bytes came."""
        self.written: dict[Written, int] = {}
        """The epoch in which a version came to be written: at a node its own, at home that of the node."""
        self.story: defaultdict[Place, list[tuple[int, Record]]] = defaultdict(list)
        self._astray: set[Place] = set()

    def run(self, records: Iterable[Record]) -> None:
        for record in records:
            self._take(record)

    def _take(self, record: Record) -> None:
        match record:
            case Ended():
                self.ended = True
            case Refused(region, page, why):
                self.drift("refused", Place(region, page), why)

    def drift(self, rule: str, place: Place | None, what: str, step: int | None = None) -> None:
        if place is not None:
            if place in self._astray:
                return
            self._astray.add(place)
        story = () if place is None else self.told(place, self.steps if step is None else step)
        self.drifts.append(Drift(rule, self.name, place, what, story))

    def told(self, place: Place, until: int) -> tuple[str, ...]:
        """The last steps of a page up to one of them, in words."""
        steps = [record for number, record in self.story.get(place, ()) if number <= until]
        return tuple(f"{self.name}: {_in_words(record)}" for record in steps[-TRACE_STORY_STEPS:])

    def _no_region(self, place: Place) -> None:
        self.drift("effects", place, "a page of a region that the process does not have is moved")

    def _compare(self, place: Place, told: tuple[object, ...], core: tuple[object, ...]) -> None:
        if told != core:
            self.drift("effects", place, f"recorded are {_list(told)}, the core gives {_list(core)}")


class HomeReplay(Replay):
    """The directory."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._tables: dict[RegionId, Table[HomePage]] = {}
        self._open: dict[NodeId, tuple[SessionKey, Side]] = {}

    def _take(self, record: Record) -> None:
        match record:
            case HomeStepped():
                self._stepped(record)
            case SessionBegan(cluster, node, epoch):
                key = SessionKey(cluster, epoch)
                self.sides[key] = side = Side(self, node, knows=frozenset(self._tables))
                self._open[node] = key, side
            case SessionOver(node, _):
                self._left(node)
            case RegionBegan(region, HomePage() as page):
                self._tables[region] = Table(page)
                self._mark(record)
            case RegionEnded(region):
                self._tables.pop(region, None)
                self._mark(record)
            case _:
                super()._take(record)

    def _mark(self, record: RegionBegan | RegionEnded) -> None:
        for _, side in self._open.values():
            side.heard.append(record)

    def _stepped(self, record: HomeStepped) -> None:
        self.steps += 1
        run = [Place(record.region, page) for page in range(record.first, record.first + record.count)]
        for place in run:
            self.story[place].append((self.steps, record))
        if (table := self._tables.get(record.region)) is None:
            self._no_region(run[0])
            return
        self._replay(table, run, record)
        self._heard(run, record)
        for effect in record.effects:
            if effect.node in self._open:
                said = self._open[effect.node][1].said
                said += [Said(place, effect.message, self.steps) for place in run]

    def _replay(self, table: Table[HomePage], run: list[Place], record: HomeStepped) -> None:
        known: tuple[HomePage, HomePage] | None = None  # of a run most pages have the same record
        for place in run:
            before = table.get(place.page)
            if known is not None and known[0] is before:
                after = known[1]
            else:
                try:
                    after, effects = home.step(before, record.sender, record.message)
                except ProtocolError as error:
                    self.drift("effects", place, f"the core has no row for this: {error.message}")
                    continue
                self._compare(place, record.effects, effects)
            known = before, after
            table.pages[place.page] = after
            if after.version > before.version and after.owner is not None:
                self._wrote(place, after.version, after.owner)

    def _wrote(self, place: Place, version: int, owner: NodeId) -> None:
        if owner not in self._open:
            return
        key = self._open[owner][0]
        first = self.written.setdefault(Written(key.cluster, place, version), key.epoch)
        if first != key.epoch:
            self.drift("single writer", place, f"version {version} of epoch {first} is granted to epoch {key.epoch}")

    def _heard(self, run: list[Place], record: HomeStepped) -> None:
        if isinstance(record.message, SessionEnded):
            return
        if record.sender not in self._open:
            self.drift("invented", run[0], f"home hears {record.message} of node {record.sender}, which has no session")
            return
        self._open[record.sender][1].heard += [Said(place, record.message, self.steps) for place in run]

    def _left(self, node: NodeId) -> None:
        self._open.pop(node, None)
        every = {Place(region, page): at for region, table in self._tables.items() for page, at in table.pages.items()}
        moves = {page: home.step(page, node, SessionEnded())[0] != page for page in set(every.values())}
        for place, page in every.items():
            if moves[page]:
                self.drift("session end", place, f"home is not told that the session of node {node} is over: {page}")


class NodeReplay(Replay):
    """A node daemon."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._tables: dict[RegionId, Table[CachePage]] = {}
        self._session: tuple[SessionKey, Side] | None = None

    def _take(self, record: Record) -> None:
        match record:
            case CacheStepped():
                self._stepped(record)
            case SessionBegan(cluster, node, epoch):
                key = SessionKey(cluster, epoch)
                self.sides[key] = side = Side(self, node)
                self._session = key, side
            case SessionOver():
                self._left()
            case RegionBegan(region, CachePage() as page):
                self._tables[region] = Table(page)
            case RegionEnded(region):
                self._tables.pop(region, None)
            case _:
                super()._take(record)

    def _stepped(self, record: CacheStepped) -> None:
        self.steps += 1
        place = Place(record.region, record.page)
        self.story[place].append((self.steps, record))
        if (table := self._tables.get(record.region)) is None:
            self._no_region(place)
            return
        before = table.get(record.page)
        try:
            after, effects = cache.step(before, record.event)
        except ProtocolError as error:
            self.drift("effects", place, f"the core has no row for this: {error.message}")
            return
        self._compare(place, record.effects, effects)
        table.pages[record.page] = after
        if self._session is not None:
            self._talked(*self._session, place, record)
            if after.state is State.M and before.state is not State.M:
                self._wrote(self._session[0], place, after.version)

    def _talked(self, key: SessionKey, side: Side, place: Place, record: CacheStepped) -> None:
        if isinstance(record.event, Received):
            heard = record.event.message
            if isinstance(heard, Data):
                self.received[Transfer(key.cluster, side.node, place, heard)].append(self.steps)
            else:
                side.heard.append(Said(place, heard, self.steps))
        for effect in record.effects:
            match effect:
                case Send(message=said):
                    side.said.append(Said(place, said, self.steps))
                case Supply(to, data):
                    self.supplied[Transfer(key.cluster, to, place, data)] += 1

    def _wrote(self, key: SessionKey, place: Place, version: int) -> None:
        written = Written(key.cluster, place, version)
        if written in self.written:
            self.drift("single writer", place, f"version {version} is granted for writing a second time")
        self.written[written] = key.epoch

    def _left(self) -> None:
        self._session = None
        for region, table in self._tables.items():
            for page, record in table.pages.items():
                if record != table.first:
                    what = f"the session is over, and the page is not told: {record}"
                    self.drift("session end", Place(region, page), what)


def replayed(name: str, records: Iterator[Record]) -> Replay | None:
    """Replay a trace; None if its process was killed before it wrote anything."""
    began = next(records, None)
    if not isinstance(began, Began):
        return None
    replay = HomeReplay(name) if began.kind == "directory" else NodeReplay(name)
    replay.run(records)
    return replay


def _in_words(record: Record) -> str:
    match record:
        case HomeStepped():
            return f"node {record.sender}: {record.message} → {_list(record.effects)}"
        case CacheStepped():
            return f"{record.event} → {_list(record.effects)}"
    return str(record)


def _list(effects: tuple[object, ...]) -> str:
    return ", ".join(map(_effect, effects)) or "nothing"


def _effect(effect: object) -> str:
    return f"to node {effect.node}: {effect.message}" if isinstance(effect, SendTo) else str(effect)
