"""Sequential consistency, all words together: is there one order of everything that each process could have seen?

The order must keep what the model keeps of each process's own order (see `order`), and each read must find the last
write before it. If the order of each word's writes is known, both are edges of one graph, and the history is right
if and only if the graph has no cycle (TSOtool: Hangal, Vahia, Manovit, Lu, Narayanan, *TSOtool*, ISCA 2004).

Where that order comes from:

* `Order.VALUES`: later writes of a word have greater values, by promise of whoever recorded the history: a counter,
  a version. Exact.
* `Order.UNKNOWN`: values are unique and mean nothing. To decide this exactly is NP-complete (Gibbons and Korach
  1997), so two tries are made. First an order is guessed from the times; if the graph then has no cycle, the history
  is right and that is proved. Memory that is linearizable by one clock always passes here. Else what the reads
  force is inferred, see `saturation`, which never blames a history that is right; it may miss one that is wrong,
  and a verdict that rests on this alone says that it is not proved.

No clock is trusted here: wrong or missing times cost time, never the verdict.

Values must be unique in each word. Words with an addition whose outcome is unknown are left out, but not their place
in program order, and the verdict is not proved; `check_linearizable` judges them.
"""

from __future__ import annotations

import time
from dataclasses import replace
from enum import Enum

import numpy as np

from dsm.errors import InvalidArgument
from dsm.limits import VERIFY_SECONDS_DEFAULT
from dsm.verify import blocks, explain, saturation
from dsm.verify.accesses import NOBODY, Accesses, prepare, unwritten
from dsm.verify.blocks import Blocks
from dsm.verify.graph import Edges, Graph, find_cycle, leftover
from dsm.verify.history import Column, History, Kind
from dsm.verify.order import Model, program_edges, reads_edges, write_order_edges
from dsm.verify.register import zones_of
from dsm.verify.verdict import Clock, Deadline, Finding, Verdict, Violation, judge


class Order(Enum):
    """How the order of the writes of one word is known."""

    VALUES = "values"
    UNKNOWN = "unknown"


def check_sequential(
    history: History,
    *,
    order: Order = Order.UNKNOWN,
    model: Model = Model.SEQUENTIAL,
    operations_min: int = 0,
    seconds_max: float = VERIFY_SECONDS_DEFAULT,
    clock: Clock = time.monotonic,
) -> Verdict:
    """Check all words of a history together.

    Fewer operations than `operations_min`, or more seconds than `seconds_max`, is a failure. Raises InvalidArgument
    if values repeat where that is no violation in itself, and LimitExceeded if `Order.UNKNOWN` is asked of too many
    processes.
    """
    deadline = Deadline(seconds_max, clock)
    name = f"{model.value}, write order {'by value' if order is Order.VALUES else 'inferred'}"
    return judge(name, deadline, operations_min, lambda: _find(history, order, model, deadline))


def _find(history: History, order: Order, model: Model, deadline: Deadline) -> Finding:
    accesses = _clear(prepare(history))
    deadline.check()
    count, whole = accesses.operations, not accesses.unclear.any()
    violation = _repeated(accesses, order) or unwritten(accesses, ~accesses.unclear)
    if violation is not None:
        return Finding(count, violation)
    base = Edges.joined([program_edges(accesses, model), reads_edges(accesses, model)])
    if order is Order.VALUES:
        return Finding(count, _contradiction(accesses, base, _by_value(accesses), deadline), whole)
    grouped = blocks.build(accesses, ~accesses.unclear)
    if isinstance(grouped, Violation):
        return Finding(count, grouped)
    if _explains(accesses, base, _by_time(accesses, grouped), deadline):
        return Finding(count, proved=whole)
    found = saturation.saturate(accesses, base, deadline)
    if found.cycle is not None:
        return Finding(count, explain.cycle(accesses, found.cycle))
    return Finding(count, proved=whole and _explains(accesses, base, found.ordered, deadline))


def _contradiction(accesses: Accesses, base: Edges, ordered: Column, deadline: Deadline) -> Violation | None:
    graph = Graph.of(len(accesses), Edges.joined([base, write_order_edges(accesses, ordered)]))
    cycle = find_cycle(graph, deadline)
    return None if cycle is None else explain.cycle(accesses, cycle)


def _explains(accesses: Accesses, base: Edges, ordered: Column, deadline: Deadline) -> bool:
    graph = Graph.of(len(accesses), Edges.joined([base, write_order_edges(accesses, ordered)]))
    return not leftover(graph, deadline).size


def _clear(accesses: Accesses) -> Accesses:
    """Nobody reads or writes the unclear words."""
    clear = accesses.on(~accesses.unclear)
    source = np.where(clear, accesses.source, NOBODY)
    word = np.where(clear, accesses.word, NOBODY)
    reader, writer = accesses.reader & clear, accesses.writer & clear
    return replace(accesses, reader=reader, writer=writer, source=source, word=word)


def _repeated(accesses: Accesses, order: Order) -> Violation | None:
    """Two writes of one value to one word: they broke the promise, or whoever recorded the history did."""
    for word in np.flatnonzero(~accesses.unique & ~accesses.unclear):
        writers = np.flatnonzero(accesses.writer & (accesses.word == word))
        writers = writers[np.argsort(accesses.written[writers], kind="stable")]
        place = int(np.flatnonzero(np.diff(accesses.written[writers]) == 0)[0])
        one, other = int(writers[place]), int(writers[place + 1])
        pair = f"{accesses.describe(one)}, and {accesses.describe(other)}"
        if order is Order.UNKNOWN and not _counts_up(accesses, writers):
            raise InvalidArgument(f"values must be unique in each word: {pair}")
        text = f"{pair}: both made the value {accesses.written[one]}, and each value can be reached only once"
        return Violation("one version written twice", accesses.rows(one, other), text)
    return None


def _counts_up(accesses: Accesses, writers: Column) -> bool:
    """Return whether the word is only added to, always something positive."""
    rows = accesses.row[writers]
    rows = rows[rows != NOBODY]
    kinds, values = accesses.history.column("kind")[rows], accesses.history.column("value")[rows]
    return bool((kinds == Kind.FETCH_ADD).all() and (values > 0).all())


def _by_value(accesses: Accesses) -> Column:
    writers = np.flatnonzero(accesses.writer)
    began = accesses.row[writers] == NOBODY
    return writers[np.lexsort((accesses.written[writers], ~began, accesses.word[writers]))]


def _by_time(accesses: Accesses, grouped: Blocks) -> Column:
    """Sort blocks by the middle of their zones: if A must come before B and not B before A, A's middle is earlier."""
    zones = zones_of(accesses, grouped)
    sizes = np.diff(np.append(grouped.starts, len(grouped.member)))
    middle = np.repeat(zones.first_return + zones.last_invocation, sizes)
    began = accesses.row[grouped.block] == NOBODY
    keys = (grouped.place, grouped.block, middle, ~began, accesses.word[grouped.member])
    ordered = grouped.member[np.lexsort(keys)]
    return ordered[accesses.writer[ordered]]
