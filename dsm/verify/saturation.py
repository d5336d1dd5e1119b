"""The order of writes as far as the reads force it.

Two rules, for writes v and w of one word and a read r that found w's value:

1. if v comes before r, then v comes before w (else r would have found v, or something later);
2. if w comes before another write v of the word, then r comes before v (else r would have found v, or later).

"Comes before" is the graph so far; both rules add edges to it until nothing is new or there is a cycle. Each edge
holds in every order that explains the history, so a cycle is a violation. The converse fails: where two writes can
stand either way round by these rules and each way leads to a contradiction later, nothing is found.

What comes before an access is kept as a vector clock: how many writes of each process. A process's writes are in
order under both models, so one number says which they are. One round is one topological sort with clocks and a
binary search for each pair of access and process. Vectors of all processes bound the size, see `Chains`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsm.errors import LimitExceeded
from dsm.limits import VERIFY_CLOCK_CELLS_MAX
from dsm.verify import schedule
from dsm.verify.accesses import NOBODY, Accesses
from dsm.verify.graph import NODES_BETWEEN_CHECKS, Edges, Graph, Why, find_cycle
from dsm.verify.history import Column
from dsm.verify.verdict import Deadline


@dataclass(frozen=True, eq=False)
class Saturated:
    """A cycle, or a guess at the order of the writes that keeps everything inferred."""

    cycle: Edges | None
    ordered: Column


@dataclass(frozen=True, eq=False)
class Chains:
    """Lines of writes that are in order: one for each process, and one for each write without an outcome.

    `number` counts the writes of a chain from 1; of an access that is no write it is 0. `next_write`: of each access
    the number of its own write or the next one in its chain.
    """

    count: int
    chain: Column
    number: Column
    next_write: Column


def saturate(accesses: Accesses, base: Edges, deadline: Deadline) -> Saturated:
    """Infer until nothing is new."""
    chains = _chains(accesses)
    if (cells := len(accesses) * chains.count) > VERIFY_CLOCK_CELLS_MAX:
        raise LimitExceeded(f"{cells:,} pairs of operation and process; check the history in parts")
    edges = Edges.joined([base, _first_writes(accesses, chains)])
    while True:
        graph = Graph.of(len(accesses), edges)
        clocks, sequence = _clocks(graph, chains, deadline)
        if len(sequence) < len(accesses):
            cycle = find_cycle(graph, deadline)
            assert cycle is not None, "what cannot be sorted has a cycle"
            return Saturated(cycle, np.flatnonzero(accesses.writer))
        found = Edges.joined([*_earlier(accesses, chains, clocks), *_missed(accesses, chains, clocks)])
        fresh = _fresh(found, edges, len(accesses))
        if not len(fresh):
            return Saturated(None, schedule.write_order(accesses, graph, clocks.sum(axis=1), deadline))
        edges = Edges.joined([edges, fresh])


def _chains(accesses: Accesses) -> Chains:
    processes, chain = np.unique(accesses.process, return_inverse=True)
    alone = np.flatnonzero(accesses.writer & ~accesses.known)
    chain[alone] = len(processes) + np.arange(len(alone))
    began = accesses.row == NOBODY
    writes = np.flatnonzero(accesses.writer & ~began)
    number = np.zeros(len(accesses), dtype=np.int64)
    by_chain = writes[np.argsort(chain[writes], kind="stable")]
    starts = np.flatnonzero(np.diff(chain[by_chain], prepend=-1))
    sizes = np.diff(np.append(starts, len(by_chain)))
    number[by_chain] = np.arange(len(by_chain)) - np.repeat(starts, sizes) + 1
    return Chains(len(processes) + len(alone), chain, number, _next_writes(chain, number))


def _next_writes(chain: Column, number: Column) -> Column:
    """For each access the number of the first write of its chain that is not before it."""
    line = np.argsort(chain, kind="stable")
    # Writes seen so far in the chain: its highest number yet, for numbers rise along the chain.
    apart = chain[line] * (int(number.max(initial=0)) + 1)
    seen = np.maximum.accumulate(number[line] + apart) - apart
    found = np.zeros(len(chain), dtype=np.int64)
    found[line] = np.where(number[line] > 0, number[line], seen + 1)
    return found


def _first_writes(accesses: Accesses, chains: Chains) -> Edges:
    """A word's initial value comes before each chain's first write to it."""
    writes = _sorted_writes(accesses, chains)
    place = np.stack([chains.chain[writes], accesses.word[writes]])
    first = writes[(np.diff(place, axis=1, prepend=-1) != 0).any(axis=0)]
    start = len(accesses) - accesses.words
    return Edges.of(start + accesses.word[first], first, Why.OVERWRITES)


def _sorted_writes(accesses: Accesses, chains: Chains) -> Column:
    writes = np.flatnonzero(chains.number)
    keys = (chains.number[writes], accesses.word[writes], chains.chain[writes])
    return writes[np.lexsort(keys)]


def _clocks(graph: Graph, chains: Chains, deadline: Deadline) -> tuple[NDArray[np.int64], Column]:
    """Sort, and count for each access the writes of each chain that are not after it. Stops early at a cycle."""
    starts, after = graph.starts.tolist(), graph.edges.after.tolist()
    chain, number = chains.chain.tolist(), chains.number.tolist()
    waiting = graph.indegrees().tolist()
    ready = [node for node, count in enumerate(waiting) if not count]
    nothing = (0,) * chains.count
    clocks = [nothing] * graph.count
    sequence: list[int] = []
    while ready:
        deadline.check()
        for _ in range(NODES_BETWEEN_CHECKS):
            if not ready:
                break
            node = ready.pop()
            sequence.append(node)
            mine = clocks[node]
            if number[node]:
                own = list(mine)
                own[chain[node]] = number[node]
                clocks[node] = mine = tuple(own)
            for follower in after[starts[node] : starts[node + 1]]:
                theirs = clocks[follower]
                if theirs is nothing:
                    clocks[follower] = mine
                elif theirs is not mine:
                    clocks[follower] = tuple(map(max, theirs, mine))
                waiting[follower] = left = waiting[follower] - 1
                if not left:
                    ready.append(follower)
    if len(sequence) < graph.count:
        return np.zeros((0, chains.count), dtype=np.int64), np.array(sequence, dtype=np.int64)
    return np.array(clocks, dtype=np.int64).reshape(graph.count, chains.count), np.array(sequence)


def _earlier(accesses: Accesses, chains: Chains, clocks: NDArray[np.int64]) -> list[Edges]:
    """Rule 1: of each chain, the last write of the word that comes before a read."""
    readers = np.flatnonzero(accesses.source != NOBODY)
    sources = accesses.source[readers]
    writes = _sorted_writes(accesses, chains)
    found = []
    for chain in range(chains.count):
        mine = writes[chains.chain[writes] == chain]
        highest = clocks[readers, chain] - (accesses.writer[readers] & (chains.chain[readers] == chain))
        apart = len(accesses) + 1
        keys = accesses.word[mine] * apart + chains.number[mine]
        place = np.searchsorted(keys, accesses.word[readers] * apart + highest, side="right") - 1
        there = np.flatnonzero(place >= 0)
        there = there[accesses.word[mine[place[there]]] == accesses.word[readers[there]]]
        earlier = mine[place[there]]
        new = clocks[sources[there], chain] < chains.number[earlier]
        there, earlier = there[new], earlier[new]
        found.append(Edges.of(earlier, sources[there], Why.INFERRED, readers[there]))
    return found


def _missed(accesses: Accesses, chains: Chains, clocks: NDArray[np.int64]) -> list[Edges]:
    """Rule 2: of each chain, the first write of the word that comes after the one whose value was read."""
    readers = np.flatnonzero(accesses.source != NOBODY)
    origin = chains.chain[accesses.source[readers]]
    writes = _sorted_writes(accesses, chains)
    parts = [(chain, readers[origin == chain]) for chain in np.unique(origin).tolist()]
    found = []
    for chain in range(chains.count):
        mine = writes[chains.chain[writes] == chain]
        for source_chain, asking in parts:
            found.append(_missed_in(accesses, chains, clocks, mine, asking, source_chain))
    return found


def _missed_in(
    accesses: Accesses, chains: Chains, clocks: NDArray[np.int64], mine: Column, asking: Column, source_chain: int
) -> Edges:
    """Rule 2 for the writes of one chain and the reads of another chain's values."""
    sources = accesses.source[asking]
    # A clock counts the write itself too, so that within one chain only a higher number is a later write.
    own = chains.chain[mine[:1]] == source_chain
    lowest = chains.number[sources] + own if len(mine) else chains.number[sources]
    apart = len(accesses) + 2
    keys = accesses.word[mine] * apart + clocks[mine, source_chain]
    place = np.searchsorted(keys, accesses.word[asking] * apart + lowest, side="left")
    there = np.flatnonzero(place < len(mine))
    there = there[accesses.word[mine[place[there]]] == accesses.word[asking[there]]]
    later, readers = mine[place[there]], asking[there]
    new = (later != readers) & (clocks[later, chains.chain[readers]] < chains.next_write[readers])
    return Edges.of(readers[new], later[new], Why.INFERRED_MISSED, sources[there][new])


def _fresh(found: Edges, known: Edges, count: int) -> Edges:
    keys, first = np.unique(found.before * count + found.after, return_index=True)
    return found.where(first[~np.isin(keys, known.before * count + known.after)])
