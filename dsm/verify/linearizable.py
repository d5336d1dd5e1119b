"""Linearizability, word by word: does each operation take effect at one moment between invocation and return?

Words are independent (Herlihy and Wing's locality). Those whose values are unique are decided by sorting, see
`register`; the others by search, see `search`. Both are exact: a violation is one, and a history that passes has an
explanation. All times must come from one clock.
"""

from __future__ import annotations

import time

import numpy as np

from dsm.limits import VERIFY_SECONDS_DEFAULT
from dsm.verify import blocks, register, search
from dsm.verify.accesses import NOBODY, Accesses, prepare, unwritten, words_of
from dsm.verify.history import Column, History
from dsm.verify.verdict import Clock, Deadline, Finding, Verdict, Violation, judge


def check_linearizable(
    history: History,
    *,
    operations_min: int = 0,
    seconds_max: float = VERIFY_SECONDS_DEFAULT,
    clock: Clock = time.monotonic,
) -> Verdict:
    """Check each word of a history by itself. See `dsm.verify.history` for what the times mean.

    Fewer operations than `operations_min`, or more seconds than `seconds_max`, is a failure.
    """
    deadline = Deadline(seconds_max, clock)
    return judge("linearizable", deadline, operations_min, lambda: _find(history, deadline))


def _find(history: History, deadline: Deadline) -> Finding:
    accesses = prepare(history)
    deadline.check()
    sortable = accesses.unique & ~accesses.unclear
    violation = _sort(accesses) if sortable.any() else None
    if violation is None and not sortable.all():
        violation = _search(accesses, np.flatnonzero(~sortable), deadline)
    return Finding(accesses.operations, violation)


def _sort(accesses: Accesses) -> Violation | None:
    among = accesses.unique & ~accesses.unclear
    if broken := unwritten(accesses, among):
        return broken
    grouped = blocks.build(accesses, among)
    return grouped if isinstance(grouped, Violation) else register.check(accesses, grouped)


def _search(accesses: Accesses, words: Column, deadline: Deadline) -> Violation | None:
    rows = _rows_by_word(accesses)
    for word in words:
        if broken := search.check(accesses.history, rows[int(word)], deadline):
            return broken
    return None


def _rows_by_word(accesses: Accesses) -> list[list[int]]:
    """All rows of each word, also those that were left out."""
    numbers, words = words_of(accesses.history)
    found: list[list[int]] = [[] for _ in range(words)]
    for row, word in enumerate(numbers.tolist()):
        if word != NOBODY:
            found[word].append(row)
    return found
