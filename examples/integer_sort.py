"""Sorting integers by counting, as in the NAS benchmark IS.

Each member counts its share of the keys. When all have, everybody knows from everybody's counts where its own keys
belong, and stores them there: into pages that all the others store into as well.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from examples.team import Member, main, run

KEYS_BELOW = 1 << 10
Keys = NDArray[np.int64]


def keys(size: int) -> Keys:
    return np.random.default_rng(1).integers(0, KEYS_BELOW, size)


def work(member: Member, size: int) -> Keys | None:
    counts = member.array("counts", (member.count, KEYS_BELOW), "i8")
    output = member.array("sorted", (size,), "i8")
    mine = np.sort(keys(size)[member.share(size)])
    counts[member.number] = np.bincount(mine, minlength=KEYS_BELOW)
    member.barrier()
    table = np.array(counts)
    # Before my first key of a value: all smaller keys, and the keys of this value that lower members have.
    smaller = np.cumsum(table.sum(axis=0)) - table.sum(axis=0)
    first = smaller + table[: member.number].sum(axis=0)
    rank = np.arange(len(mine)) - (np.cumsum(table[member.number]) - table[member.number])[mine]
    output[first[mine] + rank] = mine
    member.barrier()
    return np.array(output) if member.number == 0 else None


def check(size: int, nodes: int) -> bool:
    """Whether the keys come out as NumPy sorts them."""
    return np.array_equal(run(work, size, nodes=nodes)[0], np.sort(keys(size)))


if __name__ == "__main__":
    main(__doc__, check, 1_000_000)
