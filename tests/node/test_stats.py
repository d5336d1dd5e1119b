"""Counters and quantiles."""

from __future__ import annotations

import random

import pytest

from dsm.node.stats import FaultCost, Histogram, Stats


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 3e-6, 0.001, 12.0])
def test_a_quantile_is_within_nine_percent(seconds: float) -> None:
    histogram = Histogram()
    histogram.add(seconds)
    for share in (0.0, 0.5, 1.0):
        assert histogram.quantile(share) == pytest.approx(max(seconds, 1e-9), rel=0.1)


def test_quantiles_of_many_are_ordered_and_close() -> None:
    dice, histogram = random.Random(1), Histogram()
    durations = sorted(dice.expovariate(1000) for _ in range(10_000))
    for duration in durations:
        histogram.add(duration)
    p50, p99 = histogram.quantile(0.5), histogram.quantile(0.99)
    assert p50 == pytest.approx(durations[5000], rel=0.1) and p99 == pytest.approx(durations[9900], rel=0.1)


def test_no_durations_have_no_quantile() -> None:
    assert Histogram().quantile(0.5) is None


def test_stats_add_up() -> None:
    one, two = Stats(), Stats()
    one.pages_in, two.pages_in, two.bytes_out = 2, 3, 10
    two.latency[FaultCost.READ].add(0.5)
    one.merge(two)
    told = one.as_map()
    assert told["pages_in"] == 5 and told["bytes_out"] == 10
    assert told["faults"] == {"minor": 0, "read": 1, "upgrade": 0, "write": 0}
    assert told["latency"]["read"]["count"] == 1 and told["latency"]["minor"]["p50"] is None
