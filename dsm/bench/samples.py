"""Durations and their quantiles."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

NANOSECONDS = 1e-9


def timed(action: Callable[..., object], *arguments: Any) -> int:
    """Return the nanoseconds that a call took."""
    began = time.perf_counter_ns()
    action(*arguments)
    return time.perf_counter_ns() - began


def quantile(samples: list[int], share: float) -> float:
    """Return the value that `share` (0 to 1) of the samples do not exceed."""
    ranked = sorted(samples)
    return float(ranked[min(len(ranked) - 1, int(share * len(ranked)))])


def summary(nanoseconds: list[int]) -> dict[str, float]:
    """Return what is told of samples, in microseconds."""
    return {f"p{share}_us": round(quantile(nanoseconds, share / 100) / 1000, 2) for share in (50, 99)}


def gigabytes_per_second(size: int, nanoseconds: float) -> float:
    """Return a rate in units of 10^9 bytes."""
    return round(size / nanoseconds, 3)
