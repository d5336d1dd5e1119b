"""What happens in which round: the same for every worker that has the seed, without a word between them.

A run is cut into rounds, so that a history stays short enough to be checked while it is in memory, and because one
choice of page size and hold time does not show what another does. Each round has a region of its own.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

ROUND_SECONDS_MAX = 10.0
OPERATIONS_PER_SECOND_MIN = 100
"""By all workers together; fewer, and the run has not shown anything."""

_PAGE_SIZES = (4096, 4096, 16384, 65536)
_HOLDS = (0.0, 0.0002, 0.001)
_PAGES_MAX = 32
_TORN_PAGE_SIZES = tuple(1 << exponent for exponent in range(12, 22))
_TORN_BYTES_MAX = 8 << 20


@dataclass(frozen=True)
class Run:
    """What a worker is to do. Workers count from 1. Times in seconds; `timeout` is for everything."""

    name: str
    worker: int
    workers: int
    seed: int
    seconds: float
    torn: bool
    timeout: float
    transfers_min: int | None = None
    """Of pages, if there are several nodes; fewer, and the run has not shown anything. None: by time and nodes."""

    @property
    def rounds(self) -> list[Round]:
        count = max(1, -int(-self.seconds // ROUND_SECONDS_MAX))
        return [self._round(number, self.seconds / count) for number in range(1, count + 1)]

    @property
    def operations_min(self) -> int:
        return max(1, int(self.seconds * (1 if self.torn else OPERATIONS_PER_SECOND_MIN)))

    def _round(self, number: int, seconds: float) -> Round:
        draw = random.Random(f"{self.seed}/{number}")
        if self.torn:
            # In turn, so that any run of ten rounds has every size.
            size = _TORN_PAGE_SIZES[(self.seed + number) % len(_TORN_PAGE_SIZES)]
            pages = draw.randint(1, max(1, min(_PAGES_MAX, _TORN_BYTES_MAX // size)))
            return Round(number, seconds, size, draw.choice(_HOLDS[:2]), pages)
        return Round(number, seconds, draw.choice(_PAGE_SIZES), draw.choice(_HOLDS), draw.randint(2, _PAGES_MAX))


@dataclass(frozen=True)
class Round:
    """One round. Rounds count from 1."""

    number: int
    seconds: float
    page_size: int
    hold: float
    pages: int

    @property
    def bytes(self) -> int:
        return self.pages * self.page_size

    def hot(self, elapsed: float) -> int:
        """How many pages are in use after so many seconds: one at first, all in the end."""
        return min(self.pages, 1 + int(self.pages * elapsed / self.seconds))
