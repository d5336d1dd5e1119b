"""A graph of what must come before what, and the shortest readable reason why that is impossible.

An order exists if and only if the graph has no cycle (Kahn's topological sort, linear time). What remains after the
sort is cut down to what lies on cycles, and a short cycle is searched there, breadth first from some of its nodes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from dsm.verify.history import Column
from dsm.verify.verdict import Deadline

NODES_BETWEEN_CHECKS = 1 << 16
CYCLE_STARTS_MAX = 64  # nodes from which the shortest cycle is searched
CYCLE_STEPS_MAX = 1_000_000  # of that search; it takes about a second


class Why(IntEnum):
    """Why one access comes before another."""

    PROGRAM = 0  # one process did the one before the other
    READS = 1  # the other read the value that the one wrote
    OVERWRITES = 2  # the other's write comes later in the order of the word's writes
    MISSED = 3  # the one read a value that the other overwrote (from-read)
    INFERRED = 4  # as OVERWRITES, but from what somebody read
    INFERRED_MISSED = 5  # as MISSED, where the order of the writes is inferred


_START, _NO_LINE, _ALONG_PROCESS, _ALONG_WRITES, _NEVER = range(5)
_LINES: dict[int, tuple[int, int]] = {
    Why.PROGRAM: (_ALONG_PROCESS, _ALONG_PROCESS),
    Why.READS: (_NEVER, _NO_LINE),
    Why.OVERWRITES: (_ALONG_WRITES, _ALONG_WRITES),
    Why.MISSED: (_NEVER, _ALONG_WRITES),
    Why.INFERRED: (_NEVER, _NO_LINE),
    Why.INFERRED_MISSED: (_NEVER, _NO_LINE),
}
"""Of each kind of edge: the line that it goes on along, and the line that one is on after it."""


@dataclass(frozen=True, eq=False)
class Edges:
    """From, to, why; and for inferred ones the access that they are inferred from."""

    before: Column
    after: Column
    why: Column
    because: Column

    def __len__(self) -> int:
        return len(self.before)

    @classmethod
    def of(cls, before: Column, after: Column, why: Why, because: Column | None = None) -> Edges:
        reason = np.full(len(before), -1) if because is None else because
        return cls(before, after, np.full(len(before), int(why)), reason)

    @classmethod
    def joined(cls, parts: Iterable[Edges]) -> Edges:
        listed = [(part.before, part.after, part.why, part.because) for part in parts]
        return cls(*(np.concatenate(columns) for columns in zip(*listed, strict=True)))

    def where(self, chosen: NDArray[np.bool_] | Column) -> Edges:
        return Edges(self.before[chosen], self.after[chosen], self.why[chosen], self.because[chosen])


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes 0 to count - 1, with the edges sorted by where they start."""

    count: int
    edges: Edges
    starts: Column

    @classmethod
    def of(cls, count: int, edges: Edges) -> Graph:
        ordered = edges.where(np.argsort(edges.before, kind="stable"))
        return cls(count, ordered, np.searchsorted(ordered.before, np.arange(count + 1)))

    def indegrees(self) -> Column:
        return np.bincount(self.edges.after, minlength=self.count)


def leftover(graph: Graph, deadline: Deadline) -> Column:
    """Sort; return the nodes that could not be sorted: those on a cycle and those after one."""
    starts, after = graph.starts.tolist(), graph.edges.after.tolist()
    waiting = graph.indegrees().tolist()
    ready = [node for node, count in enumerate(waiting) if not count]
    while ready:
        deadline.check()
        for _ in range(NODES_BETWEEN_CHECKS):
            if not ready:
                break
            node = ready.pop()
            for follower in after[starts[node] : starts[node + 1]]:
                waiting[follower] = left = waiting[follower] - 1
                if not left:
                    ready.append(follower)
    return np.flatnonzero(np.array(waiting, dtype=np.int64))


def find_cycle(graph: Graph, deadline: Deadline) -> Edges | None:
    """Return a cycle that is short to tell, as its edges in order, or None if there is none."""
    nodes = leftover(graph, deadline)
    if not nodes.size:
        return None
    # The same sort against the edges takes away what lies after the cycles.
    nodes = leftover(_restricted(graph, nodes, backwards=True), deadline)
    inner = _restricted(graph, nodes, backwards=False)
    return inner.edges.where(np.array(_shortest(inner, int(nodes[0])), dtype=np.int64))


def _restricted(graph: Graph, nodes: Column, *, backwards: bool) -> Graph:
    """The same nodes with only the edges between some of them."""
    inside = np.zeros(graph.count, dtype=np.bool_)
    inside[nodes] = True
    edges = graph.edges.where(inside[graph.edges.before] & inside[graph.edges.after])
    if backwards:
        edges = Edges(edges.after, edges.before, edges.why, edges.because)
    return Graph.of(graph.count, edges)


def _shortest(graph: Graph, node: int) -> list[int]:
    """The shortest of the cycles through some nodes that surely lie on one, as far as the effort allows."""
    search = _CycleSearch(graph)
    best = _walk_round(graph, node)
    cost = len(best)
    for _ in range(2):
        nodes = graph.edges.before[best].tolist()
        for start in nodes[:: -(-len(nodes) // CYCLE_STARTS_MAX)]:
            best, cost = search.through(start, cost) or (best, cost)
    return best


def _walk_round(graph: Graph, node: int) -> list[int]:
    """Follow edges, where each node has one, until a node comes up again; the edges of that round."""
    place: dict[int, int] = {}
    path: list[int] = []
    while node not in place:
        place[node] = len(path)
        path.append(int(graph.starts[node]))
        node = int(graph.edges.after[path[-1]])
    return path[place[node] :]


class _CycleSearch:
    """Breadth first; to go on along one process, or along the writes of one word, is free: it reads as one step."""

    def __init__(self, graph: Graph) -> None:
        self._starts = graph.starts.tolist()
        self._after: list[int] = graph.edges.after.tolist()
        self._why: list[int] = graph.edges.why.tolist()
        self._left = CYCLE_STEPS_MAX

    def through(self, start: int, limit: int) -> tuple[list[int], int] | None:
        """Return the edges and the cost of the shortest cycle through a node, if it costs less than `limit`."""
        begin = (start, _START)
        came_by: dict[tuple[int, int], tuple[tuple[int, int], int]] = {}
        waiting = deque([(0, begin, begin, -1)])
        while waiting and self._left:
            cost, state, origin, edge = waiting.popleft()
            if state in came_by or cost >= limit:
                continue
            self._left -= 1
            came_by[state] = origin, edge
            node, line = state
            if node == start and edge >= 0:
                return self._path(came_by, state), cost
            for edge in range(self._starts[node], self._starts[node + 1]):
                same, after_line = _LINES[self._why[edge]]
                step = (cost + (same != line), (self._after[edge], after_line), state, edge)
                if same == line:
                    waiting.appendleft(step)
                else:
                    waiting.append(step)
        return None

    @staticmethod
    def _path(came_by: dict[tuple[int, int], tuple[tuple[int, int], int]], state: tuple[int, int]) -> list[int]:
        path = []
        origin, edge = came_by[state]
        while edge >= 0:
            path.append(edge)
            origin, edge = came_by[origin]
        return path[::-1]
