"""In which order the messages of two pages stand on the sessions, as numbers.

A session is one queue each way, first in, first out. The worlds of the pages say which messages are on it; an order
says, for each queue, which page the first one belongs to, the second one, and so on.
"""

from __future__ import annotations

from typing import Any

from tests.model.symmetry import Renamings
from tests.model.world import Named, PeerLeft

Queue = tuple[Named[Any], ...]
Order = tuple[bytes, ...]
Change = tuple[tuple[int, int, int, int], ...]
"""What a step does to the queues of its page: queue, how many messages go, how many notices and others are new."""

NOTHING: Change = ()
EMPTY = -1
ORDERS_MAX = 1 << 20


class Orders:
    """Orders and changes of a setting, by number. Change 0 is none, order 0 that of empty queues."""

    def __init__(self, renamings: Renamings) -> None:
        self._renamings = renamings
        queues = 2 * len(renamings.all[0])
        self._orders: dict[Order, int] = {(b"",) * queues: 0}
        self._changes: dict[Change, int] = {NOTHING: 0}
        self._by_number: list[Order] = list(self._orders)
        self.heads: list[tuple[int, ...]] = [(EMPTY,) * queues]
        """For each order and queue, which page its first message is about."""
        self._change_by_number: list[Change] = list(self._changes)
        self._after: dict[tuple[int, int, int], int] = {}
        self._images: dict[tuple[int, int], int] = {}

    def change(self, before: list[Queue], after: list[Queue]) -> int:
        """Compare a page's queues. A step that takes from a queue does not put into the same one."""
        found = []
        for queue, (old, new) in enumerate(zip(before, after, strict=True)):
            if old is new:
                continue
            gone = next(count for count in range(len(old) + 1) if old[count:] == new[: len(old) - count])
            added = new[len(old) - gone :]
            notices = sum(isinstance(said.value, PeerLeft) for said in added)
            if gone or added:
                found.append((queue, gone, notices, len(added) - notices))
        change = tuple(found)
        if change not in self._changes:
            self._changes[change] = len(self._change_by_number)
            self._change_by_number.append(change)
        return self._changes[change]

    def after(self, order: int, first: int, second: int) -> int:
        """The order after the two pages have changed at once.

        The notice that a node has left is one for both pages, and the first that is said. Here each page has its own;
        the two come one after the other.
        """
        key = (order, first, second)
        known = self._after.get(key)
        if known is None:
            queues = list(map(bytearray, self._by_number[order]))
            changes = [(page, *what) for page in (0, 1) for what in self._change_by_number[(first, second)[page]]]
            for page, queue, gone, _, _ in changes:
                for _ in range(gone):
                    queues[queue].remove(page)
            for page, queue, _, notices, _ in changes:
                queues[queue] += bytes([page] * notices)
            for page, queue, _, _, others in changes:
                queues[queue] += bytes([page] * others)
            known = self._after[key] = self._number(tuple(map(bytes, queues)))
        return known

    def image(self, order: int, renaming: int) -> int:
        key = (order, renaming)
        known = self._images.get(key)
        if known is None:
            queues, places = self._by_number[order], self._renamings.all[renaming]
            came_from = [places.index(place) for place in range(len(places))]
            renamed = tuple(queues[2 * place + way] for place in came_from for way in (0, 1))
            known = self._images[key] = self._number(renamed)
        return known

    def _number(self, order: Order) -> int:
        known = self._orders.get(order)
        if known is None:
            known = self._orders[order] = len(self._by_number)
            self._by_number.append(order)
            self.heads.append(tuple(queue[0] if queue else EMPTY for queue in order))
            assert known < ORDERS_MAX, "a pair is a number of 64 bits"
        return known
