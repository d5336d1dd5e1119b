"""The message counts in docs/ARCHITECTURE.md are those of the shipped core."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from dsm.core import cache, home
from dsm.core.cache import CachePage
from dsm.core.effects import Send, Supply
from dsm.core.events import Event, EvictionChosen, HoldEnded, Received, Wanted
from dsm.core.home import HomePage
from dsm.core.messages import ToHome
from dsm.core.types import NodeId, RequestId, State

TEXT = (Path(__file__).parent.parent.parent / "docs/ARCHITECTURE.md").read_text()
SHARERS = 3
OWNER, REQUESTER, *OTHERS = (NodeId(number) for number in range(1, 3 + SHARERS))


class Page:
    """One page in a cluster in which every message takes the same time."""

    def __init__(self) -> None:
        self.home = HomePage()
        self.caches = {node: CachePage() for node in (OWNER, REQUESTER, *OTHERS)}
        self.messages = 0
        self._under_way: deque[tuple[int, Callable[[int], None]]] = deque()
        self._requests = 0

    def event(self, node: NodeId, event: Event, depth: int = 0) -> None:
        self.caches[node], effects = cache.step(self.caches[node], event)
        for effect in effects:
            match effect:
                case Send(message):
                    self._send(depth, partial(self._home_hears, node, message))
                case Supply(to, data):
                    self._send(depth, partial(self.event, to, Received(data)))
        if self.caches[node].held:
            self.event(node, HoldEnded(), depth)

    def wants(self, node: NodeId, write: bool) -> tuple[int, int]:
        """Return how many messages the node waited for one after the other, and how many there were in all."""
        self.messages, waited = 0, 0
        self._requests += 1
        self.event(node, Wanted(write, RequestId(self._requests)))
        while self._under_way:
            depth, arrive = self._under_way.popleft()
            before = self.caches[node].state.allows(write)
            arrive(depth)
            if not before and self.caches[node].state.allows(write):
                waited = depth
        assert self.caches[node].state.allows(write)
        return waited, self.messages

    def evicted(self, node: NodeId) -> tuple[int, int]:
        self.messages = 0
        self.event(node, EvictionChosen(RequestId(1000)))
        while self._under_way:
            depth, arrive = self._under_way.popleft()
            arrive(depth)
        return 0, self.messages

    def _home_hears(self, node: NodeId, message: ToHome, depth: int) -> None:
        self.home, effects = home.step(self.home, node, message)
        for effect in effects:
            self._send(depth, partial(self.event, effect.node, Received(effect.message)))

    def _send(self, depth: int, arrive: Callable[[int], None]) -> None:
        self.messages += 1
        self._under_way.append((depth + 1, arrive))


def _owned(readers: int = 0) -> Page:
    page = Page()
    page.wants(OWNER, write=True)
    for node in OTHERS[:readers]:
        page.wants(node, write=False)
    return page


def _minor() -> tuple[int, int]:
    return _owned().wants(OWNER, write=True)


def _first_touch() -> tuple[int, int]:
    counts = {Page().wants(REQUESTER, write) for write in (False, True)}
    assert len(counts) == 1
    return counts.pop()


def _upgrade_alone() -> tuple[int, int]:
    page = Page()
    page.wants(REQUESTER, write=False)
    return page.wants(REQUESTER, write=True)


def _upgrade() -> tuple[int, int]:
    return _owned(SHARERS).wants(OWNER, write=True)


def _eviction_of_a_read_copy() -> tuple[int, int]:
    return _owned(1).evicted(OTHERS[0])


def _eviction_of_an_owned_page() -> tuple[int, int]:
    page = _owned(1)
    counts = page.evicted(OWNER)
    assert (page.caches[OWNER].state, page.caches[OTHERS[0]].state) == (State.S, State.O)
    return counts


ROWS: dict[str, Callable[[], tuple[int, int]]] = {
    "page is here, not mapped in this process (minor fault)": _minor,
    "first touch of a page that nobody wrote, read or write": _first_touch,
    "cold read": lambda: _owned().wants(REQUESTER, write=False),
    "upgrade, nobody else has it": _upgrade_alone,
    "upgrade with s other holders": _upgrade,
    "write hand-over, the owner alone has it": lambda: _owned().wants(REQUESTER, write=True),
    "write hand-over with s sharers": lambda: _owned(SHARERS).wants(REQUESTER, write=True),
    "eviction of a read copy": _eviction_of_a_read_copy,
    "eviction of an owned page, first sharer takes it": _eviction_of_an_owned_page,
}


@pytest.mark.parametrize("row", ROWS)
def test_the_counts_are_those_of_the_core(row: str) -> None:
    waited, total = ROWS[row]()
    assert (waited, total) == _written(row)


def test_every_row_is_counted() -> None:
    section = TEXT.split("## Message counts")[1].split("## ")[0]
    rows = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("|")][2:]
    assert rows == list(ROWS)


def _written(row: str) -> tuple[int, int]:
    cells = next(line for line in TEXT.splitlines() if line.startswith(f"| {row} |")).split("|")
    constant, _, per_sharer = cells[3].strip().removesuffix("s").partition(" + ")
    return int(cells[2]), int(constant) + (int(per_sharer) * SHARERS if per_sharer else 0)
