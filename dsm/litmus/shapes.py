"""Programs made from critical cycles, in the vocabulary of the diy tool (Alglave, Maranget, Sarkar, Sewell).

A cycle is a circle of edges between accesses:

    PodXY   program order, different words; X and Y are what the accesses do, R or W
    PosXY   program order, one word
    Rfe     a read of another thread's write
    Fre     a read that another thread's write of the same word comes after
    Coe     a write that another thread's write of the same word comes after

A program can only show the whole circle if some access comes before itself, so sequential consistency forbids it
(Shasha and Snir 1988). The program of a cycle: each Rfe, Fre and Coe goes on to the next thread, each Pod to the next
word. Writes of one word write 1, 2, ... ; what reads find is the outcome, with the final value of each word that is
written twice.

A program of one thread gets a second that only reads: nobody could see it otherwise.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from dsm.errors import InvalidArgument

WORDS = "xyzw"
_COMMUNICATION = {"Rfe": "WR", "Fre": "RW", "Coe": "WW"}
_ORDER = tuple(f"Pod{first}{second}" for first in "RW" for second in "RW")


class Access(NamedTuple):
    """What a thread does to a word: store the value, or load if it is 0."""

    word: int
    value: int

    @property
    def writes(self) -> bool:
        return self.value != 0


Program = tuple[tuple[Access, ...], ...]


@dataclass(frozen=True)
class Shape:
    """A program with its name and the cycle that it is made from."""

    name: str
    cycle: str
    threads: Program

    @property
    def words(self) -> int:
        return 1 + max(access.word for thread in self.threads for access in thread)

    @property
    def values(self) -> tuple[int, ...]:
        """Of each word, the greatest value that is written: how many writes there are."""
        accesses = [access for thread in self.threads for access in thread]
        return tuple(max(access.value for access in accesses if access.word == word) for word in range(self.words))

    def __str__(self) -> str:
        return " | ".join("; ".join(map(_told, thread)) for thread in self.threads)


NAMED = {
    "MP": "PodWW Rfe PodRR Fre",
    "SB": "PodWR Fre PodWR Fre",
    "LB": "PodRW Rfe PodRW Rfe",
    "R": "PodWW Coe PodWR Fre",
    "S": "PodWW Rfe PodRW Coe",
    "2+2W": "PodWW Coe PodWW Coe",
    "IRIW": "Rfe PodRR Fre Rfe PodRR Fre",
    "WRC": "Rfe PodRW Rfe PodRR Fre",
    "ISA2": "PodWW Rfe PodRW Rfe PodRR Fre",
    "RWC": "Rfe PodRR Fre PodWR Fre",
    "CoRR": "Rfe PosRR Fre",
    "CoWW": "PosWW Coe",
    "CoRW": "Rfe PosRW Coe",
    "CoWR": "PosWR Fre Coe",
    "3.SB": "PodWR Fre PodWR Fre PodWR Fre",
    "3.LB": "PodRW Rfe PodRW Rfe PodRW Rfe",
    "3.2W": "PodWW Coe PodWW Coe PodWW Coe",
    "W+RWC": "PodWW Rfe PodRR Fre PodWR Fre",
}
"""The cycles that have names of their own in the literature."""


def named() -> list[Shape]:
    """The shapes of all NAMED cycles."""
    return [shape(name, cycle) for name, cycle in NAMED.items()]


def shape(name: str, cycle: str) -> Shape:
    """Make the program of a cycle, given by its edges.

    Raises:
        InvalidArgument: the edges make no circle.
    """
    edges = cycle.split()
    if edges[-1] not in _COMMUNICATION:
        raise InvalidArgument(f"cycle {cycle!r} ends within a thread", remedy="Begin it where a thread begins")
    kinds = [_ends(edge) for edge in edges]
    if any(kinds[at][0] != kinds[at - 1][1] for at in range(len(edges))):
        raise InvalidArgument(f"cycle {cycle!r}: an edge does not begin with what the one before it ends with")
    words = max(1, sum(edge.startswith("Pod") for edge in edges))
    threads: list[list[Access]] = [[]]
    written = [0] * words
    word = 0
    for edge, kind in zip(edges, (ends[0] for ends in kinds), strict=True):
        written[word] += kind == "W"
        threads[-1].append(Access(word, written[word] if kind == "W" else 0))
        if edge in _COMMUNICATION:
            threads.append([])
        elif edge.startswith("Pod"):
            word = (word + 1) % words
    program = tuple(map(tuple, threads[:-1]))
    return Shape(name, cycle, program if len(program) > 1 else (*program, (Access(0, 0),)))


def generated(threads: int) -> list[Shape]:
    """Every critical cycle of so many threads over several words, each once, with its name or that of its edges."""
    names = {_canonical(cycle.split()): name for name, cycle in NAMED.items()}
    found: dict[tuple[str, ...], Shape] = {}
    for edges in _cycles(threads):
        canonical = _canonical(edges)
        if canonical not in found:
            found[canonical] = shape(names.get(canonical, "+".join(edges)), " ".join(edges))
    return list(found.values())


def _cycles(threads: int) -> Iterator[list[str]]:
    """All lists of edges that make a critical cycle and end with a thread."""
    inside = ("", *_ORDER)
    for choice in itertools.product(itertools.product(inside, _COMMUNICATION), repeat=threads):
        edges = [edge for pair in choice for edge in pair if edge]
        if _critical(edges):
            yield edges


def _critical(edges: list[str]) -> bool:
    """Each edge begins with what the last one ended with; no two edges in a row say no more than one would."""
    if sum(edge.startswith("Pod") for edge in edges) < 2:
        return False
    for at, edge in enumerate(edges):
        before = edges[at - 1]
        if _ends(before)[1] != _ends(edge)[0]:
            return False
        if before in _COMMUNICATION and edge in _COMMUNICATION and edge != "Rfe":
            return False  # only Coe Rfe and Fre Rfe are no shorter edge in disguise
    return True


def _ends(edge: str) -> str:
    return _COMMUNICATION.get(edge, edge[-2:])


def _canonical(edges: list[str]) -> tuple[str, ...]:
    return min(tuple(edges[at:] + edges[:at]) for at in range(len(edges)))


def _told(access: Access) -> str:
    word = WORDS[access.word]
    return f"{word}={access.value}" if access.writes else f"read {word}"
