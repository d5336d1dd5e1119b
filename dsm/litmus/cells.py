"""The table of cells: a shape, and where its words and threads are and how it reaches memory.

    workers   apart      each thread on a node of its own
              mixed      threads 0 and 1 on one node, the others together on a second: there two threads may see a
                         store before the rest of the cluster does
              together   all threads on one node
    words     page       all words of a round on one page
              pages      each on a page of its own
              owned      so too, and before each round some thread's node, drawn by lot, comes to own each page
    access    plain      transparent loads and stores
              scoped     each access in a scope of its own

What is allowed: threads on different nodes are sequentially consistent. A plain store of a thread that shares its node
may wait in its processor's store buffer, on x86; a scope is over before the next access begins, and empties it.

What is allowed only because of a store buffer is not expected to be seen: the interpreter executes hundreds of
instructions between a store and the next load, and by then the buffer is empty. This is the one reason there is for an
allowed outcome not to occur.

Caveat: processors other than x86 allow more on a shared node; there a cell may be blamed for what its processor did.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from dsm.litmus import shapes
from dsm.litmus.outcomes import Outcome, allowed, conceivable
from dsm.litmus.shapes import Shape

NODES = 4
BUFFERED_REASON = "needs a store that waits in its processor's buffer for longer than the interpreter gives it"

_NODES_OF_THREADS = {"apart": (0, 1, 2, 3), "mixed": (0, 0, 1, 1), "together": (0, 0, 0, 0)}
_SCOPED_APART = (
    *("MP", "SB", "LB", "S", "2+2W", "IRIW", "WRC", "ISA2", "3.LB", "3.2W"),
    *("CoRR", "CoWW", "CoRW", "CoWR"),
)
"""The other shapes with a name are run in scopes where plain accesses could not fail."""


@dataclass(frozen=True)
class Cell:
    """One entry of the table."""

    shape: Shape
    workers: str
    words: str
    access: str

    @property
    def name(self) -> str:
        return f"{self.shape.name}/{self.workers}/{self.words}/{self.access}"

    @property
    def nodes(self) -> tuple[int, ...]:
        """Of each thread, the node."""
        return _NODES_OF_THREADS[self.workers][: len(self.shape.threads)]

    @property
    def buffered(self) -> frozenset[int]:
        """Threads whose store buffers others of their node could notice."""
        crowd = Counter(self.nodes)
        if self.access == "scoped":
            return frozenset()
        return frozenset(thread for thread, node in enumerate(self.nodes) if crowd[node] > 1)

    def expected(self) -> frozenset[Outcome]:
        """What has to be seen."""
        return allowed(self.shape)

    def allowed(self) -> frozenset[Outcome]:
        """What may be seen."""
        return allowed(self.shape, self.buffered)

    @property
    def forbids(self) -> bool:
        """Whether there is an outcome that may not be seen."""
        return bool(conceivable(self.shape) - self.allowed())


def everything() -> Iterator[Cell]:
    """Every shape with a name and every critical cycle of up to three threads, everywhere."""
    known = {shape.cycle: shape for shape in (*shapes.named(), *shapes.generated(2), *shapes.generated(3))}
    unique = {shape.name: shape for shape in reversed(known.values())}
    for shape in sorted(unique.values(), key=lambda shape: (len(shape.threads), shape.name)):
        for workers in _NODES_OF_THREADS:
            if workers == "mixed" and len(shape.threads) < 3:
                continue  # the same as together
            for words in ("page", "pages", "owned"):
                if shape.words > 1 or words != "pages":
                    yield from (Cell(shape, workers, words, access) for access in ("plain", "scoped"))


def chosen() -> Iterator[Cell]:
    """The cells that are run after each change: every shape with a name in each place, plainly, and once in scopes.

    Where store buffers allow a plain program everything that is conceivable, it is run in scopes instead. Left to
    `everything`: cycles without a name; further places in scopes, which take the same way through the daemon and cost
    four times as much; owners drawn by lot on shared nodes.
    """
    for cell in everything():
        if cell.shape.name in shapes.NAMED and (
            _chosen_plain(cell) if cell.access == "plain" else _chosen_scoped(cell)
        ):
            yield cell


def _chosen_plain(cell: Cell) -> bool:
    return cell.forbids and (cell.words != "owned" or cell.workers == "apart")


def _chosen_scoped(cell: Cell) -> bool:
    if cell.words != ("pages" if cell.shape.words > 1 else "page"):
        return False
    if cell.workers == "apart":
        return cell.shape.name in _SCOPED_APART
    return (cell.shape.name, cell.workers) == ("IRIW", "mixed") or not replace(cell, access="plain").forbids
