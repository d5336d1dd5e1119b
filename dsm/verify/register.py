"""Linearizability of words with unique values, by sorting.

Within a block (see `blocks`) the order is fixed, so no access may return before an earlier one was invoked. Between
blocks, A must come before B if some access of A returned before some access of B was invoked, that is, if

    first return of A < last invocation of B

and a history is linearizable if and only if no two blocks must each come before the other: in a cycle of the
relation, the block with the smallest first return and its predecessor are already such a pair. In Gibbons and
Korach's words a block's *zone* spans from its first return to its last invocation. It is *forward* if the return
comes first. Two forward zones must not overlap, and a backward zone must not lie within a forward one; both are
found by sorting, and one of the two is part of every contradicting pair.

Ties of the clock count as overlap, never as order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dsm.verify.accesses import Accesses
from dsm.verify.blocks import Blocks
from dsm.verify.history import Column
from dsm.verify.verdict import Violation


@dataclass(frozen=True, eq=False)
class Zones:
    """Of each block: its number, its word, its first return and its last invocation."""

    block: Column
    word: Column
    first_return: Column
    last_invocation: Column


def zones_of(accesses: Accesses, blocks: Blocks) -> Zones:
    """Where each block lies in time."""
    invoked, returned = accesses.times
    starts = blocks.starts
    first = blocks.block[starts]
    return Zones(
        block=first,
        word=accesses.word[first],
        first_return=np.minimum.reduceat(returned[blocks.member], starts),
        last_invocation=np.maximum.reduceat(invoked[blocks.member], starts),
    )


def check(accesses: Accesses, blocks: Blocks) -> Violation | None:
    """Decide whether the words of these blocks are linearizable, each by itself."""
    if not blocks.member.size:
        return None
    return _within_blocks(accesses, blocks) or _between_blocks(accesses, blocks)


def _within_blocks(accesses: Accesses, blocks: Blocks) -> Violation | None:
    """Find an access that returned before one of an earlier place in its block was invoked."""
    invoked, returned = accesses.times
    changes = (np.diff(blocks.block, prepend=-1) != 0) | (np.diff(blocks.place, prepend=-1) != 0)
    starts = np.flatnonzero(changes)
    last_invoked = np.maximum.reduceat(invoked[blocks.member], starts)
    first_returned = np.minimum.reduceat(returned[blocks.member], starts)
    # Blocks far apart on the line of time, so that one running maximum serves them all.
    apart = (np.cumsum(np.diff(blocks.block[starts], prepend=-1) != 0) - 1) * (int(returned.max(initial=0)) + 1)
    before = np.maximum.accumulate(last_invoked + apart)[:-1]
    broken = np.flatnonzero(before > (first_returned + apart)[1:])
    if not broken.size:
        return None
    group = int(broken[0]) + 1
    ends = np.append(starts, len(blocks.member))
    members = blocks.member[ends[group] : ends[group + 1]]
    late = int(members[np.argmin(returned[members])])
    begin = np.searchsorted(blocks.block, blocks.block[starts[group]])
    earlier = blocks.member[begin : starts[group]]
    cause = int(earlier[np.argmax(invoked[earlier])])
    text = (
        f"{_when(accesses, late)} had returned before {_when(accesses, cause)} was invoked, "
        "yet it depends on that operation's value"
    )
    return Violation("value from the future", accesses.rows(late, cause), text)


def _between_blocks(accesses: Accesses, blocks: Blocks) -> Violation | None:
    zones = zones_of(accesses, blocks)
    apart = zones.word * (int(accesses.times[1].max()) + 1)
    returned, invoked = zones.first_return + apart, zones.last_invocation + apart
    forward = np.flatnonzero(invoked > returned)
    forward = forward[np.argsort(returned[forward], kind="stable")]
    overlap = np.flatnonzero(invoked[forward][:-1] > returned[forward][1:])
    if overlap.size:
        place = int(overlap[0])
        return _contradiction(accesses, blocks, int(zones.block[forward[place]]), int(zones.block[forward[place + 1]]))
    backward = np.flatnonzero(invoked <= returned)
    place_before = np.searchsorted(returned[forward], invoked[backward]) - 1
    candidates = backward[place_before >= 0]
    around = forward[place_before[place_before >= 0]]
    inside = np.flatnonzero(invoked[around] > returned[candidates])
    if not inside.size:
        return None
    pair = int(inside[0])
    return _contradiction(accesses, blocks, int(zones.block[around[pair]]), int(zones.block[candidates[pair]]))


def _contradiction(accesses: Accesses, blocks: Blocks, one: int, other: int) -> Violation:
    """Tell why each of two blocks must come before the other."""
    invoked, returned = accesses.times
    mine, theirs = (blocks.member[blocks.block == block] for block in (one, other))
    ends = [int(members[np.argmin(returned[members])]) for members in (mine, theirs)]
    begins = [int(members[np.argmax(invoked[members])]) for members in (mine, theirs)]
    text = (
        f"{_when(accesses, ends[0])} had returned before {_when(accesses, begins[1])} was invoked, "
        f"so the word was {_label(accesses, one)} before it was {_label(accesses, other)}; but "
        f"{_when(accesses, ends[1])} had returned before {_when(accesses, begins[0])} was invoked, "
        "which asks for the opposite"
    )
    return Violation("stale read", accesses.rows(ends[0], begins[1], ends[1], begins[0]), text)


def _label(accesses: Accesses, block: int) -> str:
    return str(int(accesses.written[block]))


def _when(accesses: Accesses, access: int) -> str:
    return f"{accesses.describe(access)}{span(accesses, access)}"


def span(accesses: Accesses, access: int) -> str:
    """When an operation ran, counted from the history's first invocation."""
    row = int(accesses.row[access])
    if row < 0:
        return ""
    invoked = accesses.history.column("invoked")
    operation = accesses.history.operation(row)
    begin = operation.invoked - int(invoked.min())
    end = "?" if operation.returned is None else f"{operation.returned - int(invoked.min()):,}"
    return f" [{begin:,} to {end} ns]"
