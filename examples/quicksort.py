"""Quicksort with a shared stack of ranges that are still to be sorted.

A member takes a range from the stack in a write scope, splits it in place, and puts the parts back; a range that is
small enough it sorts by itself. The numbers are touched plainly: a range belongs to whoever took it.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from examples.team import Member, main, run

SMALL = 4096
STACK_BYTES = 64 * 1024
IDLE_SECONDS = 0.001

Numbers = NDArray[np.int64]
Range = tuple[int, int]


def numbers(size: int) -> Numbers:
    return np.random.default_rng(3).integers(0, 1 << 40, size)


class Stack:
    """Ranges in a region: how many numbers are in place, how many ranges there are, and these."""

    def __init__(self, member: Member) -> None:
        self._region = member.region("stack", STACK_BYTES)

    def push(self, *ranges: Range, sorted_now: int = 0) -> None:
        with self._region.write() as view, view.cast("q") as words:
            words[0] += sorted_now
            for first, end in ranges:
                at = 2 + 2 * words[1]
                words[at], words[at + 1] = first, end
                words[1] += 1

    def pop(self, size: int) -> Range | None:
        """Take a range; an empty one if there is none at the moment, None if all is sorted."""
        with self._region.write() as view, view.cast("q") as words:
            if words[0] == size:
                return None
            if words[1] == 0:
                return 0, 0
            words[1] -= 1
            at = 2 + 2 * words[1]
            return words[at], words[at + 1]


def split(part: Numbers) -> tuple[int, int]:
    """Put smaller numbers before the pivots and greater ones behind; return where the pivots begin and end."""
    pivot = int(np.median(part[[0, len(part) // 2, -1]]))
    smaller, greater = part[part < pivot], part[part > pivot]
    middle = len(part) - len(smaller) - len(greater)
    part[:] = np.concatenate([smaller, np.full(middle, pivot), greater])
    return len(smaller), len(smaller) + middle


def work(member: Member, size: int) -> Numbers | None:
    shared = member.array("numbers", (size,), "i8", page_size="16KiB")
    stack = Stack(member)
    if member.number == 0:
        shared[:] = numbers(size)
        stack.push((0, size))
    member.barrier()
    while (taken := stack.pop(size)) is not None:
        first, end = taken
        if first == end:
            time.sleep(IDLE_SECONDS)
        elif end - first <= SMALL:
            shared[first:end].sort()
            stack.push(sorted_now=end - first)
        else:
            left, right = split(shared[first:end])
            parts = [(first, first + left), (first + right, end)]
            stack.push(*(part for part in parts if part[0] < part[1]), sorted_now=right - left)
    member.barrier()
    return np.array(shared) if member.number == 0 else None


def check(size: int, nodes: int) -> bool:
    """Whether the numbers come out as NumPy sorts them."""
    return np.array_equal(run(work, size, nodes=nodes)[0], np.sort(numbers(size)))


if __name__ == "__main__":
    main(__doc__, check, 500_000)
