"""The kinds of fault, each on pages that are in the state it needs.

    kind       state of the page                                      what the access needs
    minor      this node has it, this process has not mapped it       a wake-up
    read       another node owns it                                   its bytes
    upgrade    this node has a copy to read, another node owns it     the other's copy gone
    write      another node owns it                                   its bytes, and its copy gone
    hand-over  the same, one page over and over                       the same; and the other's hold time has to end

Pages are touched in descending order, which no read-ahead expects. The first tenth of each series warms up and does
not count. Messages are what the directory has counted during the series, for each fault; `Data` are pages with their
bytes, from node to node.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dsm.bench.partner import Partner
from dsm.bench.peer import Peer
from dsm.bench.samples import summary, timed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsm.client.sync import Client, Region

Row = dict[str, Any]
Touch = Callable[[int], object]

_WARM_UP_SHARE = 0.1
_QUIET_SECONDS = 1.0  # then a message that was lost and repeated has spoilt the balance
_POLL_SECONDS = 0.005


class Faults:
    """Measures every kind of fault with pages of one size."""

    def __init__(
        self, client: Client, neighbour: Partner, remote: Partner, peer: Peer | None, page_size: int, samples: int
    ) -> None:
        self._client = client
        self._neighbour = neighbour
        self._remote = remote
        self._peer = peer
        self._page_size = page_size
        self._warm_up = max(1, int(samples * _WARM_UP_SHARE))
        self._pages = samples + self._warm_up
        if peer is not None:
            peer.prepare(page_size)

    def rows(self) -> Iterator[Row]:
        """Measure one kind after the other."""
        yield self._minor()
        yield from self._read_upgrade_write()
        for hold in (0.0, None):
            yield self._hand_over(hold)

    def _minor(self) -> Row:
        with self._region(self._pages) as region:
            self._neighbour.fill(region.name)
            row = self._series("minor", region, self._descending(), _reader(region))
            self._neighbour.close(region.name)
            return row

    def _read_upgrade_write(self) -> Iterator[Row]:
        with self._region(self._pages) as region:
            self._remote.fill(region.name)
            yield self._series("read", region, self._descending(), _reader(region))
            yield self._series("upgrade", region, self._descending(), _writer(region))
            self._remote.fill(region.name)
            yield self._series("write", region, self._descending(), _writer(region))
            self._remote.close(region.name)

    def _hand_over(self, hold: float | None) -> Row:
        with self._region(1, hold) as region:
            write = _writer(region)

            def turns() -> Iterator[int]:
                for _ in range(self._pages):
                    self._remote.write(region.name, 0)
                    yield 0

            row = self._series("hand-over", region, turns(), write)
            self._remote.close(region.name)
            return row

    def _descending(self) -> range:
        return range(self._pages - 1, -1, -1)

    def _series(self, kind: str, region: Region, pages: Iterable[int], touch: Touch) -> Row:
        ours: list[int] = []
        theirs: list[int] = []
        before = self._messages(region)
        for page in pages:
            ours.append(timed(touch, page))
            if self._peer is not None:
                theirs.append(timed(self._peer.hand_over if kind == "hand-over" else self._peer.get, self._page_size))
        after = self._messages(region)
        return {
            "kind": kind,
            "page_size": self._page_size,
            "hold_ms": region.info.hold * 1000,
            "samples": self._pages - self._warm_up,
            **summary(ours[self._warm_up :]),
            "peer": None if self._peer is None else self._peer_summary(kind, theirs[self._warm_up :]),
            "messages": _per_fault(kind, Counter(after) - Counter(before), len(ours)),
        }

    def _peer_summary(self, kind: str, samples: list[int]) -> Row:
        return {"operation": "SET+GET" if kind == "hand-over" else "GET", **summary(samples)}

    def _messages(self, region: Region) -> dict[str, int]:
        """Count the messages so far, when the last transactions have closed: a fault does not wait for their end."""
        deadline = time.monotonic() + _QUIET_SECONDS
        while not _quiet(messages := _by_name(self._remote.counters())) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        return messages | {"Data": region.stats()["pages_in"]}

    @contextmanager
    def _region(self, pages: int, hold: float | None = None) -> Iterator[Region]:
        name = f"bench-{secrets.token_hex(4)}"
        region = self._client.create(name, pages * self._page_size, page_size=self._page_size, hold=hold)
        with region:
            yield region
            region.unlink()


def _by_name(counters: dict[str, int]) -> Counter[str]:
    """The directory's counters of page messages, which it calls "received GetS" or "sent Fetch"."""
    return Counter(
        {name.split()[1]: count for name, count in counters.items() if name.startswith(("received ", "sent "))}
    )


def _quiet(messages: Counter[str]) -> bool:
    """Whether every request is done, and everything that home ordered is acknowledged."""
    requested, ordered = messages["GetS"] + messages["GetM"], messages["Fetch"] + messages["Inv"]
    return messages["Done"] == requested and messages["Ack"] == ordered


def _per_fault(kind: str, messages: Counter[str], faults: int) -> dict[str, float]:
    """Return how many messages of each name there were for one fault.

    Of a hand-over the directory has seen the other node's faults as well. `Data` are pages that came to this node.
    """
    sides = {"Data": 1} if kind == "hand-over" else dict.fromkeys(messages, 1)
    rates = {name: round(count / faults / sides.get(name, 2), 2) for name, count in sorted(messages.items())}
    return {name: rate for name, rate in rates.items() if rate}


def _reader(region: Region) -> Touch:
    words = _first_words(region)
    return lambda page: words[page]


def _writer(region: Region) -> Touch:
    words = _first_words(region)
    return lambda page: words.__setitem__(page, 2)


def _first_words(region: Region) -> NDArray[Any]:
    """One word of each page, without touching any."""
    return region.ndarray(dtype="u8")[:: region.page_size // 8]
