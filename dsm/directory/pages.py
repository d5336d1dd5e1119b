"""The home records of every region, and `home.step` applied to runs of them.

A run names adjacent pages that usually have equal records, and `step` is pure. So it is called once for each stretch of
equal records, its result is shared by the whole stretch, and its messages go out as runs again. A bulk scan of 4,096
pages costs a handful of steps, and pages in the same hands share one record in memory.

A page without a record has the table's default: never used, or, in a region that may have been written in an earlier
life of the directory, lost. It is never taken for zeros.

Caveat: the end of a session goes over every touched page of the regions in which its node ever asked for one, up to a
million pages a second, and everything else waits for that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from dsm.core.events import SessionEnded
from dsm.core.home import HomePage, Outcome, step
from dsm.core.messages import FromHome, Grant, Inv, ToHome
from dsm.core.types import NodeId, RegionId
from dsm.errors import ProtocolError
from dsm.limits import PAGE_MAP_ITEMS_MAX
from dsm.wire.directory import PageCounts, PageMapRun
from dsm.wire.runs import Run

Send = Callable[[NodeId, RegionId, int, int, FromHome], None]
Said = tuple[NodeId, ToHome | SessionEnded]

UNTOUCHED = HomePage()
UNREPORTED = HomePage(lost=True)
NOWHERE = HomePage(version=-1)


@dataclass(slots=True)
class Table:
    """The pages of one region."""

    region: RegionId
    count: int
    written: bool
    """Some page has been granted for writing, and the store knows."""
    default: HomePage
    records: dict[int, HomePage] = field(default_factory=dict)
    nodes: set[NodeId] = field(default_factory=set)
    """Who has ever asked for a page in its present session; nobody else stands in any record."""

    def get(self, page: int) -> HomePage:
        return self.records.get(page, self.default)


class Pages:
    """Every home record of this directory."""

    def __init__(self, send: Send, mark_written: Callable[[RegionId], None]) -> None:
        self._send = send
        self._mark_written = mark_written
        self._tables: dict[RegionId, Table] = {}
        self.counters: Counter[str] = Counter()

    def add(self, region: RegionId, count: int, written: bool) -> None:
        """Begin with a region of so many pages; `written`: in an earlier life of the directory."""
        default = UNREPORTED if written else UNTOUCHED
        self._tables[region] = Table(region, count, written, default)

    def drop(self, region: RegionId) -> None:
        del self._tables[region]

    def receive(self, sender: NodeId, run: Run[ToHome]) -> None:
        """Take what a node says about a run of pages of a region that exists, and send what follows from it.

        Raises:
            ProtocolError: it cannot say this. Pages of the run before the bad one have moved, the others have not.
        """
        table = self._tables[run.region]
        if run.end > table.count:
            raise ProtocolError(f"pages {run.first:,} to {run.end - 1:,} of a region of {table.count:,}")
        table.nodes.add(sender)
        self.counters[f"received {type(run.message).__name__}"] += run.count
        first = run.first
        while first < run.end:
            record = table.get(first)
            end = _end_of_stretch(table, record, first, run.end)
            self._step(table, range(first, end), record, sender, run.message)
            first = end

    def _step(self, table: Table, stretch: range, record: HomePage, sender: NodeId, message: ToHome) -> None:
        try:
            outcome = step(record, sender, message)
        except ProtocolError as error:
            error.message = f"page {stretch.start:,} of region {table.region}, from node {sender}: {error.message}"
            raise
        self._publish(table, stretch, record, (sender, message), outcome)

    def _publish(
        self,
        table: Table,
        stretch: range,
        before: HomePage,
        said: Said,  # noqa: ARG002  # for those who record
        outcome: Outcome,
    ) -> None:
        """Store what came of what was `said`, and send what follows."""
        after, effects = outcome
        for effect in effects:
            if not table.written and _lets_write(effect.message):
                # Before the grant, so that no page can be written that a restarted directory takes for zeros.
                self._mark_written(table.region)
                table.written = True
        if after is not before:
            table.records.update(dict.fromkeys(stretch, after))
            if after.transaction is not None and after.transaction.opened_by is not _opened_by(before):
                self.counters["transactions"] += len(stretch)
        for effect in effects:
            self.counters[f"sent {type(effect.message).__name__}"] += len(stretch)
            self._send(effect.node, table.region, stretch.start, len(stretch), effect.message)

    def session_ended(self, node: NodeId) -> None:
        """A node is gone: tell every record that may name it."""
        for table in self._tables.values():
            if node in table.nodes:
                self._end_in(table, node)
                table.nodes.remove(node)

    def _end_in(self, table: Table, node: NodeId) -> None:
        outcomes: dict[HomePage, Outcome] = {}  # most pages are in few hands, so most records are equal
        for page, record in list(table.records.items()):
            outcome = outcomes.get(record)
            if outcome is None:
                outcome = outcomes[record] = step(record, node, SessionEnded())
            if outcome[0] is not record:
                self._publish(table, range(page, page + 1), record, (node, SessionEnded()), outcome)

    def counts(self, region: RegionId) -> PageCounts:
        table = self._tables[region]
        records = table.records.values()
        lost = sum(record.lost for record in records)
        return PageCounts(
            all=table.count,
            touched=len(records),
            owned=sum(record.owner is not None for record in records),
            shared=sum(bool(record.sharers) for record in records),
            lost=lost + (table.count - len(records) if table.default.lost else 0),
            busy=sum(record.transaction is not None for record in records),
        )

    def map(self, region: RegionId, first: int, count: int) -> tuple[list[PageMapRun], int]:
        """Return who has which page, and the first page that did not fit into the bounded answer."""
        table = self._tables[region]
        end = min(first + count, table.count)
        runs: list[PageMapRun] = []
        items = 0
        for stretch, record in _stretches(table, first, end):
            items += 1 + len(record.sharers)
            if runs and items > PAGE_MAP_ITEMS_MAX:
                return runs, stretch.start
            runs.append(_map_run(stretch, record))
        return runs, end


def _end_of_stretch(table: Table, record: HomePage, first: int, end: int) -> int:
    """Return the end of the pages from `first` on whose records equal this one."""
    get, default = table.records.get, table.default
    for page in range(first + 1, end):
        other = get(page, default)
        if other is not record and other != record:
            return page
    return end


def _stretches(table: Table, first: int, end: int) -> Iterator[tuple[range, HomePage]]:
    """Yield pages in the same hands and equally busy, ascending; pages that nobody has ever held are left out."""
    start, current = first, table.default
    for page, record in _changes(table, first, end):
        if not _same_hands(current, record):
            if start < page and not _same_hands(current, UNTOUCHED):
                yield range(start, page), current
            start, current = page, record


def _changes(table: Table, first: int, end: int) -> Iterator[tuple[int, HomePage]]:
    """Yield where another record may begin, and which; at the end one that is like no other."""
    at = first
    for page in _touched(table, first, end):
        if at < page:
            yield at, table.default
        yield page, table.records[page]
        at = page + 1
    if at < end:
        yield at, table.default
    yield end, NOWHERE


def _same_hands(one: HomePage, other: HomePage) -> bool:
    return one is other or (one.owner, one.sharers, one.version, one.lost, _busy(one)) == (
        other.owner,
        other.sharers,
        other.version,
        other.lost,
        _busy(other),
    )


def _touched(table: Table, first: int, end: int) -> Iterable[int]:
    if end - first <= len(table.records):
        return (page for page in range(first, end) if page in table.records)
    return sorted(page for page in table.records if first <= page < end)


def _map_run(stretch: range, record: HomePage) -> PageMapRun:
    sharers = tuple(sorted(record.sharers))
    return PageMapRun(stretch.start, len(stretch), record.owner, sharers, record.version, record.lost, _busy(record))


def _busy(record: HomePage) -> bool:
    return record.transaction is not None or bool(record.queue)


def _lets_write(message: FromHome) -> bool:
    return (isinstance(message, Grant) and message.write) or (isinstance(message, Inv) and message.to is not None)


def _opened_by(page: HomePage) -> object:
    return None if page.transaction is None else page.transaction.opened_by
