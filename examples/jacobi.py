"""Jacobi's iteration: each point of a grid becomes the mean of its four neighbours, again and again.

Each member owns a block of rows. Only the rows where blocks meet travel between nodes, by themselves: whoever computes
the next row simply reads them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from examples.team import Member, main, run

STEPS = 50
Grid = NDArray[np.float64]


def start(size: int) -> Grid:
    """A plate that is hot on one side."""
    grid = np.zeros((size, size))
    grid[0] = 100.0
    return grid


def step(old: Grid, new: Grid, first: int, end: int) -> None:
    """Compute the rows from first to end."""
    new[first:end, 1:-1] = (
        old[first - 1 : end - 1, 1:-1] + old[first + 1 : end + 1, 1:-1] + old[first:end, :-2] + old[first:end, 2:]
    ) / 4


def sequential(size: int) -> Grid:
    old, new = start(size), start(size)
    for _ in range(STEPS):
        step(old, new, 1, size - 1)
        old, new = new, old
    return old


def work(member: Member, size: int) -> Grid | None:
    old, new = (member.array(name, (size, size), "f8", page_size="4KiB") for name in ("even", "odd"))
    if member.number == 0:
        old[:] = new[:] = start(size)
    member.barrier()
    rows = member.share(size - 2)
    for _ in range(STEPS):
        step(old, new, rows.start + 1, rows.stop + 1)
        member.barrier()
        old, new = new, old
    return np.array(old) if member.number == 0 else None


def check(size: int, nodes: int) -> bool:
    """Whether the shared grid is that of one process, bit for bit."""
    return np.array_equal(run(work, size, nodes=nodes)[0], sequential(size))


if __name__ == "__main__":
    main(__doc__, check, 400)
