"""The travelling salesman by branch and bound: whoever finds a shorter tour shortens everybody's search.

The branches are the first three stops of a tour, numbered. A member takes the next number in a write scope, and gives
up a branch as soon as it is longer than the best tour. That it reads plainly at every step, which costs a load until
somebody else improves it; whoever improves it looks again in a write scope, so that nothing better is overwritten.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

import dsm
from examples.team import Member, main, run

STOPS_OF_BRANCH = 3
NEXT, BEST = 0, 4096  # where in the region: each on a page of its own, since one changes often and one seldom

Distances = list[list[int]]


def distances(cities: int) -> Distances:
    places: NDArray[np.int64] = np.random.default_rng(2).integers(0, 1000, (cities, 2))
    found: Distances = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1)).astype(int).tolist()
    return found


def branches(cities: int) -> list[tuple[int, ...]]:
    return [(0, *stops) for stops in itertools.permutations(range(1, cities), STOPS_OF_BRANCH)]


class Best:
    """The shortest tour so far, of one process alone."""

    def __init__(self) -> None:
        self._length = 1 << 62

    def get(self) -> int:
        return self._length

    def improve(self, length: int) -> None:
        self._length = min(self._length, length)


class SharedBest(Best):
    """The shortest tour so far, of all members; 0 in the region is none."""

    def __init__(self, region: dsm.Region) -> None:
        super().__init__()
        self._region = region
        self._word = region.ndarray((1,), "i8", BEST)

    def get(self) -> int:
        return int(self._word[0]) or self._length

    def improve(self, length: int) -> None:
        with self._region.write(BEST, 8) as view, view.cast("q") as best:
            best[0] = min(best[0] or length, length)


def search(tour: tuple[int, ...], length: int, far: Distances, best: Best) -> None:
    """Try all ways to go on with a tour, as long as it is shorter than the best."""
    if length >= best.get():
        return
    left = [city for city in range(len(far)) if city not in tour]
    if not left:
        best.improve(length + far[tour[-1]][0])
    for city in left:
        search((*tour, city), length + far[tour[-1]][city], far, best)


def take(region: dsm.Region) -> int:
    """Take the next number."""
    with region.write(NEXT, 8) as view, view.cast("q") as number:
        number[0] += 1
        return number[0] - 1


def work(member: Member, cities: int) -> int:
    region = member.region("search", 2 * 4096)
    best, far, todo = SharedBest(region), distances(cities), branches(cities)
    while (number := take(region)) < len(todo):
        tour = todo[number]
        search(tour, sum(far[one][other] for one, other in itertools.pairwise(tour)), far, best)
    member.barrier()
    return best.get()


def sequential(cities: int) -> int:
    best = Best()
    search((0,), 0, distances(cities), best)
    return best.get()


def check(cities: int, nodes: int) -> bool:
    """Whether all members have found a tour as short as one process finds."""
    return set(run(work, cities, nodes=nodes)) == {sequential(cities)}


if __name__ == "__main__":
    main(__doc__, check, 10)
