"""A guess at the order of all writes: run the history, and let no write overwrite what somebody has yet to read.

The run goes along the graph and takes what is ready, first what has the fewest writes before it. A write is parked
while its word holds a value with readers to come. If only parked writes are left the guess has failed, and the run
goes on anyhow: whoever uses the order checks it. Where no write order was promised and no clock helps, this is how a
history is shown to be right.
"""

from __future__ import annotations

import heapq

import numpy as np

from dsm.verify.accesses import NOBODY, Accesses
from dsm.verify.graph import NODES_BETWEEN_CHECKS, Graph
from dsm.verify.history import Column
from dsm.verify.verdict import Deadline


def write_order(accesses: Accesses, graph: Graph, before: Column, deadline: Deadline) -> Column:
    """Return all writes, those of one word together, in the order of a run along an acyclic graph.

    `before`: how many writes surely come before each access.
    """
    run = _Run(accesses, graph, before)
    while run.ready or run.unpark():
        deadline.check()
        for _ in range(NODES_BETWEEN_CHECKS):
            if not run.ready:
                break
            run.step()
    sequence = np.array(run.sequence, dtype=np.int64)
    writes = sequence[accesses.writer[sequence]]
    return writes[np.lexsort((accesses.row[writes] != NOBODY, accesses.word[writes]))]


class _Run:
    """How far the run is: what each word holds, and how many have yet to read that."""

    def __init__(self, accesses: Accesses, graph: Graph, before: Column) -> None:
        self._before = before.tolist()
        self._starts, self._after = graph.starts.tolist(), graph.edges.after.tolist()
        self._waiting = graph.indegrees().tolist()
        self._word, self._source = accesses.word.tolist(), accesses.source.tolist()
        self._writes = (accesses.writer & (accesses.row != NOBODY)).tolist()
        sources = accesses.source[accesses.source != NOBODY]
        self._readers = np.bincount(sources, minlength=len(accesses)).tolist()
        self._held = [accesses.initial(word) for word in range(accesses.words)]
        self._parked: list[list[int]] = [[] for _ in range(accesses.words)]
        self.ready = [(-1, node) for node, count in enumerate(self._waiting) if not count]
        self.sequence: list[int] = []

    def step(self) -> None:
        _, node = heapq.heappop(self.ready)
        word, source = self._word[node], self._source[node]
        if self._writes[node]:
            held = self._held[word]
            if self._readers[held] > (source == held):
                self._parked[word].append(node)
                return
            self._held[word] = node
        self._take(node)
        if source != NOBODY:
            self._readers[source] -= 1
        if word != NOBODY and self._parked[word] and self._readers[self._held[word]] <= 1:
            for parked in self._parked[word]:
                heapq.heappush(self.ready, (self._before[parked], parked))
            self._parked[word] = []

    def unpark(self) -> bool:
        """Let one parked write go ahead against the rule; False if there is none."""
        for parked in self._parked:
            if parked:
                self._take(parked.pop())
                return True
        return False

    def _take(self, node: int) -> None:
        self.sequence.append(node)
        for follower in self._after[self._starts[node] : self._starts[node + 1]]:
            self._waiting[follower] = left = self._waiting[follower] - 1
            if not left:
                heapq.heappush(self.ready, (self._before[follower], follower))
