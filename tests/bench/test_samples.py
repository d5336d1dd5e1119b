"""Durations, quantiles, rates."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dsm.bench.samples import gigabytes_per_second, quantile, summary, timed


def test_a_call_is_timed_with_its_arguments() -> None:
    seen: list[int] = []
    assert timed(seen.append, 7) > 0
    assert seen == [7]


@given(st.lists(st.integers(0, 1 << 40), min_size=1))
def test_quantiles_are_samples_in_order(samples: list[int]) -> None:
    assert quantile(samples, 0) == min(samples)
    assert quantile(samples, 1) == max(samples)
    assert quantile(samples, 0.5) <= quantile(samples, 0.99)
    assert quantile(samples, 0.5) in samples


def test_a_summary_is_in_microseconds() -> None:
    assert summary([1000 * number for number in range(1, 101)]) == {"p50_us": 51.0, "p99_us": 100.0}


def test_a_byte_in_a_nanosecond_is_a_gigabyte_in_a_second() -> None:
    assert gigabytes_per_second(1 << 20, 1 << 21) == 0.5
