"""Slow and obviously right: machines that could have run a tiny history, tried in every order.

They share nothing with the checkers but the history format, and know no theory: no zones, no graphs, no axioms.
The x86-TSO machine is the operational one of Sewell et al. (2010): a FIFO store buffer for each processor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import TypeVar

from dsm.verify.history import FOREVER, History, Kind, Operation, Word

Memory = tuple[tuple[Word, int], ...]
Buffers = tuple[tuple[tuple[Word, int], ...], ...]
State = tuple[tuple[int, ...], Memory, Buffers]
"""How far each process is, what the memory holds, what each store buffer holds."""
T = TypeVar("T")


def outcomes(operation: Operation, held: int) -> Iterator[int]:
    """What the word may hold afterwards, if the operation can happen at all."""
    found = operation.seen
    match operation.kind:
        case Kind.READ:
            if not operation.known or found == held:
                yield held
        case Kind.WRITE:
            yield operation.value or 0
        case Kind.FETCH_ADD:
            if not operation.known or found == held:
                yield held + (operation.value or 0)
        case Kind.COMPARE_AND_SWAP:
            if not operation.known or found == held:
                yield (operation.value or 0) if held == operation.expected else held


def linearizable(history: History) -> bool:
    """Try every order of each word's operations that keeps those that did not overlap."""
    words = {one.word for one in history}
    return all(_register([one for one in history if one.word == word], history.initial) for word in words)


def _register(operations: list[Operation], initial: int) -> bool:
    ends = [FOREVER if one.returned is None else one.returned for one in operations]
    seen: set[tuple[frozenset[int], int]] = set()

    def search(left: frozenset[int], held: int) -> bool:
        if all(not operations[index].known for index in left):
            return True
        if (left, held) in seen:
            return False
        seen.add((left, held))
        first_end = min(ends[index] for index in left)
        return any(
            search(left - {index}, value)
            for index in left
            if operations[index].invoked <= first_end
            for value in outcomes(operations[index], held)
        )

    return search(frozenset(range(len(operations))), initial)


def sequential(history: History, *, rising: bool = False) -> bool:
    """Try every interleaving of the processes on one memory; if `rising`, no write may lower what a word holds."""
    return _machine(history, frozenset(), rising)


def x86_tso(history: History, *, rising: bool = False) -> bool:
    """Try everything that processors with store buffers could do; alone on its host, one has none to speak of."""
    processes = {one.process for one in history}
    homes = [history.hosts[one] for one in processes if one in history.hosts]
    buffered = {one for one in processes if one not in history.hosts or homes.count(history.hosts[one]) > 1}
    return _machine(history, frozenset(buffered), rising)


def _programs(history: History) -> list[list[Operation]]:
    ordered = sorted(history, key=lambda one: one.process)
    return [list(group) for _, group in groupby(ordered, key=lambda one: one.process)]


def _machine(history: History, buffered: frozenset[int], rising: bool) -> bool:
    programs = _programs(history)
    machine = _Machine(programs, history.initial, buffered, rising)
    return machine.finishes((0,) * len(programs), (), ((),) * len(programs))


@dataclass
class _Machine:
    programs: list[list[Operation]]
    initial: int
    buffered: frozenset[int]
    rising: bool
    seen: set[State] = field(default_factory=set)

    def finishes(self, done: tuple[int, ...], memory: Memory, buffers: Buffers) -> bool:
        """Whether it can run every program to its end from here, each finding what it found."""
        if not any(self._left(done)) and not any(buffers):
            return True
        if (state := (done, memory, buffers)) in self.seen:
            return False
        self.seen.add(state)
        return any(self.finishes(*after) for after in self._steps(*state))

    def _left(self, done: tuple[int, ...]) -> list[list[Operation]]:
        return [program[count:] for program, count in zip(self.programs, done, strict=True)]

    def _steps(self, done: tuple[int, ...], memory: Memory, buffers: Buffers) -> Iterator[State]:
        for index, left in enumerate(self._left(done)):
            if buffers[index]:
                (word, value), *rest = buffers[index]
                yield from self._stored(done, memory, word, value, _with(buffers, index, tuple(rest)))
            if left:
                yield from self._run(left[0], index, _with(done, index, done[index] + 1), memory, buffers)

    def _stored(
        self, done: tuple[int, ...], memory: Memory, word: Word, value: int, buffers: Buffers
    ) -> Iterator[State]:
        if not self.rising or word not in dict(memory) or value > dict(memory)[word]:
            yield done, tuple(sorted({**dict(memory), word: value}.items())), buffers

    def _run(
        self, operation: Operation, index: int, done: tuple[int, ...], memory: Memory, buffers: Buffers
    ) -> Iterator[State]:
        if not operation.known:
            assert done[index] == len(self.programs[index]), "the machine knows no process that goes on in doubt"
            yield done, memory, buffers
        if operation.kind is Kind.WRITE and operation.process in self.buffered:
            store = (_word(operation), operation.value or 0)
            yield done, memory, _with(buffers, index, (*buffers[index], store))
        elif operation.kind is Kind.READ:
            if dict([*memory, *buffers[index]]).get(_word(operation), self.initial) == operation.seen:
                yield done, memory, buffers
        elif not buffers[index]:
            yield from self._locked(operation, done, memory, buffers)

    def _locked(self, operation: Operation, done: tuple[int, ...], memory: Memory, buffers: Buffers) -> Iterator[State]:
        """A fence, an update, or a store where there is no buffer."""
        if operation.kind is Kind.FENCE:
            yield done, memory, buffers
            return
        held = dict(memory).get(_word(operation), self.initial)
        for value in outcomes(operation, held):
            if value == held:
                yield done, memory, buffers
            else:
                yield from self._stored(done, memory, _word(operation), value, buffers)


def _word(operation: Operation) -> Word:
    assert operation.word is not None
    return operation.word


def _with(items: tuple[T, ...], index: int, item: T) -> tuple[T, ...]:
    return (*items[:index], item, *items[index + 1 :])
