"""Counters of a node, plain integers on the hot path, read when somebody asks."""

from __future__ import annotations

import math
from collections import Counter
from enum import Enum
from typing import Any

BUCKETS_PER_OCTAVE = 8  # a quantile is off by at most 2 ** (1/8), 9 %
NANOSECOND = 1e-9


class FaultCost(Enum):
    """What a fault needed. One-way messages that the faulting process waits for stand behind each."""

    MINOR = "minor"  # 0: the page is here, only not mapped in this process
    READ = "read"  # 3: to home, to the owner, to here; 2 where home grants zeros
    UPGRADE = "upgrade"  # 2, and 2 more where sharers have to go
    WRITE = "write"  # 3: to home, to the owner, to here; 4 where sharers have to go; 2 where home grants zeros


class Histogram:
    """Durations in buckets of equal ratio: constant memory, no lock, quantiles to within 9 %."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self.count = 0

    def add(self, seconds: float) -> None:
        self._buckets[int(math.log2(max(seconds, NANOSECOND) / NANOSECOND) * BUCKETS_PER_OCTAVE)] += 1
        self.count += 1

    def quantile(self, share: float) -> float | None:
        """Return the duration in seconds that `share` (0 to 1) of all are below; None if there are none."""
        left = share * self.count
        for bucket in sorted(self._buckets):
            left -= self._buckets[bucket]
            if left <= 0:
                return float(2.0 ** ((bucket + 0.5) / BUCKETS_PER_OCTAVE) * NANOSECOND)
        return None

    def merge(self, other: Histogram) -> None:
        self._buckets.update(other._buckets)
        self.count += other.count


class Stats:
    """What happened to the pages of one region on this node."""

    def __init__(self) -> None:
        self.latency = {cost: Histogram() for cost in FaultCost}
        self.pages_in = 0
        self.pages_out = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.invalidations = 0
        self.downgrades = 0
        self.evictions = 0
        self.scopes = 0
        self.transfers_repeated = 0

    def merge(self, other: Stats) -> None:
        for cost, histogram in other.latency.items():
            self.latency[cost].merge(histogram)
        for name, value in vars(other).items():
            if isinstance(value, int):
                setattr(self, name, getattr(self, name) + value)

    def as_map(self) -> dict[str, Any]:
        counters = {name: value for name, value in vars(self).items() if isinstance(value, int)}
        return {
            "faults": {cost.value: histogram.count for cost, histogram in self.latency.items()},
            "latency": {cost.value: _quantiles(histogram) for cost, histogram in self.latency.items()},
            **counters,
        }


def _quantiles(histogram: Histogram) -> dict[str, Any]:
    return {"count": histogram.count, "p50": histogram.quantile(0.5), "p99": histogram.quantile(0.99)}
