"""Writes that must follow each other at once, with their readers: what a linear-time checker may move as a whole.

A write and the reads of its value form a cluster. An update (compare-and-swap, fetch-and-add) both reads and writes,
and nothing comes between the two, so its cluster follows that of the value it found: a **block** is a chain of such
clusters, and in every order that explains the history a block is contiguous. Only for words with unique values.

`place` orders a block: 2 k for its k-th write, 2 k + 1 for the reads of that write's value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dsm.verify.accesses import Accesses
from dsm.verify.history import Column, Mask
from dsm.verify.verdict import Violation


@dataclass(frozen=True, eq=False)
class Blocks:
    """Sorted by block, then by place. A block's number is the access of its first write."""

    member: Column
    block: Column
    place: Column

    @property
    def starts(self) -> Column:
        """Where in the sorted columns each block begins."""
        return np.flatnonzero(np.diff(self.block, prepend=-1))


def build(accesses: Accesses, among: Mask) -> Blocks | Violation:
    """Group the accesses to some words (all unique, every read with its source)."""
    chosen = accesses.on(among)
    updates = np.flatnonzero(chosen & accesses.reader & accesses.writer)
    if broken := _same_source(accesses, updates):
        return broken
    parent, depth = np.arange(len(accesses)), np.zeros(len(accesses), dtype=np.int64)
    parent[updates], depth[updates] = accesses.source[updates], 1
    for _ in range(len(accesses).bit_length()):
        grandparent = parent[parent]
        if np.array_equal(grandparent, parent):
            break
        depth += depth[parent]
        parent = grandparent
    if len(circle := updates[np.isin(parent[updates], updates)]):
        return _in_a_circle(accesses, int(parent[circle[0]]))
    reads = chosen & accesses.reader & ~accesses.writer
    first = np.where(reads, accesses.source, np.arange(len(accesses)))
    place = 2 * depth[first] + reads
    block = parent[first]
    members = np.flatnonzero(chosen)
    order = members[np.lexsort((place[members], block[members]))]
    return Blocks(order, block[order], place[order])


def _same_source(accesses: Accesses, updates: Column) -> Violation | None:
    by_source = updates[np.argsort(accesses.source[updates], kind="stable")]
    sources = accesses.source[by_source]
    twice = np.flatnonzero(sources[1:] == sources[:-1])
    if not twice.size:
        return None
    one, other = int(by_source[twice[0]]), int(by_source[twice[0] + 1])
    text = (
        f"{accesses.describe(one)}, and {accesses.describe(other)}: both found the same value and replaced it, "
        "so one of the updates was lost"
    )
    return Violation("lost update", accesses.rows(one, other), text)


def _in_a_circle(accesses: Accesses, start: int) -> Violation:
    circle = [start]
    while (source := int(accesses.source[circle[-1]])) != start:
        circle.append(source)
    text = "; ".join(accesses.describe(access) for access in circle)
    return Violation("value from the future", accesses.rows(*circle), f"{text}: each found what the next one wrote")
