"""Every pair that can be reached from the first one, breadth first, and the laws in each of them: tens of millions.

A pair is a number of 64 bits, kept in an array in the order of discovery; a table of places in that array, open to
collisions, finds it again. With the pair it was reached from, and with all steps for the question whether every pair
can become quiet, that is about 60 bytes for each pair. Nothing is lost by this: two pairs never share a number.

Of a pair is kept who came first, not how: the story of a violation is found by going from the first pair on, with the
nodes' own names, always to the next one that is equal, but for names, to the one that was found. It is as short as any.
Since home makes every choice of a node that it could make if the nodes had other numbers (`pages`), a story in which it
chooses more than once may be told of nodes whose numbers do not explain each choice.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.model.explorer import Violation
from tests.model.memory import Broken
from tests.model.pairs import Pair, Pairs, TwoPages, unpacked

SLOTS_FIRST = 1 << 16
SLOTS_FOR_EACH = 2
SPREAD = 0x9E3779B97F4A7C15
"""2**64 over the golden ratio: consecutive numbers go to distant slots (Knuth 6.4)."""


class Found:
    """A set of numbers below 2**64 that remembers when each was added."""

    def __init__(self) -> None:
        self.numbers = array("Q")
        self._slots = array("I", bytes(4 * SLOTS_FIRST))
        """1 + the place of a number in the order of discovery; 0: free."""

    def __len__(self) -> int:
        return len(self.numbers)

    def place(self, number: int) -> int:
        """Return which one it was; add it if it is new."""
        slots, numbers = self._slots, self.numbers
        last = len(slots) - 1
        slot = (number * SPREAD >> 38) & last
        while known := slots[slot]:
            if numbers[known - 1] == number:
                return known - 1
            slot = (slot + 1) & last
        numbers.append(number)
        slots[slot] = len(numbers)
        if len(numbers) * SLOTS_FOR_EACH > len(slots):
            self._grow()
        return len(numbers) - 1

    def _grow(self) -> None:
        slots = self._slots = array("I", bytes(8 * len(self._slots)))
        last = len(slots) - 1
        for place, number in enumerate(self.numbers, 1):
            slot = (number * SPREAD >> 38) & last
            while slots[slot]:
                slot = (slot + 1) & last
            slots[slot] = place


@dataclass(frozen=True)
class Searched:
    pairs: int
    moves: int
    quiet: int
    levels: int
    """How many moves the farthest pair is away from the first one, and one more."""


def search(setting: TwoPages) -> Searched:
    """Visit every pair of a setting.

    Raises:
        Violation: a law is broken in one of them.
    """
    return Search(Pairs(setting)).search()


class Search:
    def __init__(self, pairs: Pairs) -> None:
        self._pairs = pairs
        self._found = Found()
        self._reached_from = array("I")
        self._quiet = bytearray()
        self._sources = array("I")
        self._targets = array("I")
        self._choosers = array("I")
        """Like sources, for steps with several outcomes, whose targets follow one another."""
        self._choices = array("I")
        self._choices_begin = array("q")

    def search(self) -> Searched:
        self._reach(self._pairs.first, 0)
        levels, level = 0, range(len(self._found))
        while level:
            for place in level:
                self._go_on(place)
            levels, level = levels + 1, range(level.stop, len(self._found))
        self._check_that_all_can_become_quiet()
        moves = len(self._sources) + len(self._choosers)
        return Searched(len(self._found), moves, sum(self._quiet), levels)

    def _reach(self, pair: Pair, origin: int) -> int:
        place = self._found.place(self._pairs.canonical(pair))
        if place == len(self._reached_from):
            self._reached_from.append(origin)
        return place

    def _go_on(self, place: int) -> None:
        pair = unpacked(self._found.numbers[place])
        broken = self._pairs.broken_laws(pair)
        if broken:
            raise Violation(self._story(place, broken))
        self._quiet.append(self._pairs.is_quiet(pair))
        try:
            for _, outcomes in self._pairs.next(pair):
                targets = [self._reach(after, place) for after in outcomes]
                self._remember(place, targets)
        except Broken as error:
            raise Violation(self._story(place, str(error))) from error

    def _remember(self, source: int, targets: list[int]) -> None:
        if len(targets) == 1:
            self._sources.append(source)
            self._targets.append(targets[0])
        else:
            self._choosers.append(source)
            self._choices_begin.append(len(self._choices))
            self._choices.extend(targets)

    def _check_that_all_can_become_quiet(self) -> None:
        able = np.frombuffer(self._quiet, dtype=np.bool_).copy()
        sources, targets = _array(self._sources), _array(self._targets)
        before = -1
        while before < (before := int(np.count_nonzero(able))):
            open_ = ~able[sources]
            sources, targets = sources[open_], targets[open_]
            able[sources[able[targets]]] = True
            if self._choosers:
                sure = np.logical_and.reduceat(able[_array(self._choices)], _array(self._choices_begin))
                able[_array(self._choosers)[sure]] = True
        if not able.all():
            raise Violation(self._story(int(np.argmin(able)), "this can never become quiet"))

    # --- how it came to this ---------------------------------------------------------------------------------------

    def _story(self, place: int, end: str) -> str:
        trail = [place]
        while trail[-1]:
            trail.append(self._reached_from[trail[-1]])
        pair, lines = self._pairs.first, [end]
        for count, place in enumerate(trail[-2::-1], 1):
            line, pair = self._step_to(self._found.numbers[place], pair)
            lines.append(f"{count:3}  {line}")
        return "\n".join([*lines, "     then:", *(f"     {line}" for line in self._pairs.describe(pair))])

    def _step_to(self, number: int, pair: Pair) -> tuple[str, Pair]:
        return next(
            (self._pairs.tell(what), after)
            for what, outcomes in self._pairs.next(pair)
            for after in outcomes
            if self._pairs.canonical(after) == number
        )


def _array(numbers: array[int]) -> NDArray[Any]:
    return np.frombuffer(numbers, dtype=numbers.typecode)
