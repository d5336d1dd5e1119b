"""What processes of a multiprocessing pool run; they import it by name."""

from __future__ import annotations

import dsm


def add_one(region: dsm.Region, offset: int) -> int:
    """Add one to a byte by a plain store, and return it."""
    array = region.ndarray(dtype="u1")
    array[offset] += 1
    return int(array[offset])
