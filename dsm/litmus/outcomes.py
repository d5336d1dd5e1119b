"""What a machine may do with a program: every interleaving, tried.

The machine has one memory. A thread that is **buffered** has a first-in, first-out store buffer before it: a store goes
in there, comes out at any time, and the thread's own loads see it meanwhile (x86-TSO in its operational form: Sewell,
Sarkar, Owens, Nardelli, Myreen 2010). Without buffers that is sequential consistency.

An outcome is what the loads found, in the order of threads and within them, then the final value of each word that
is written more than once.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple, TypeVar

from dsm.litmus.shapes import WORDS, Access, Program, Shape

Outcome = tuple[int, ...]
T = TypeVar("T")


class _State(NamedTuple):
    counters: tuple[int, ...]
    buffers: tuple[tuple[Access, ...], ...]
    memory: tuple[int, ...]
    loads: tuple[tuple[int, ...], ...]


def allowed(shape: Shape, buffered: frozenset[int] = frozenset()) -> frozenset[Outcome]:
    """Every outcome that is possible, if these threads have store buffers."""
    nothing = ((),) * len(shape.threads)
    waiting = [_State((0,) * len(shape.threads), nothing, (0,) * shape.words, nothing)]
    visited = set(waiting)
    found = set()
    while waiting:
        state = waiting.pop()
        following = [state for state in _steps(shape.threads, buffered, state) if state not in visited]
        visited.update(following)
        waiting += following
        if all(count == len(thread) for count, thread in zip(state.counters, shape.threads, strict=True)) and not any(
            state.buffers
        ):
            found.add(outcome(shape, state.loads, state.memory))
    return frozenset(found)


def conceivable(shape: Shape) -> frozenset[Outcome]:
    """Every outcome in which loads and words have values that were written to their word, or 0."""
    values = shape.values
    loads = [range(values[access.word] + 1) for thread in shape.threads for access in thread if not access.writes]
    finals = [range(1, value + 1) for value in values if value > 1]
    return frozenset(itertools.product(*loads, *finals))


def outcome(shape: Shape, loads: tuple[tuple[int, ...], ...], memory: tuple[int, ...]) -> Outcome:
    """Put together what each thread's loads found, and the memory in the end."""
    finals = (final for final, value in zip(memory, shape.values, strict=True) if value > 1)
    return (*itertools.chain.from_iterable(loads), *finals)


def lost(shape: Shape, memory: tuple[int, ...]) -> bool:
    """Whether a word that is written has nothing in the end: no machine at all forgets a store."""
    return any(value and not final for final, value in zip(memory, shape.values, strict=True))


def describe(shape: Shape, outcome: Outcome) -> str:
    """An outcome in words: "1:y=1 1:x=0 [x]=2" is thread 1 finding 1 in y and 0 in x, and x being 2 in the end."""
    reads = [
        f"{number}:{WORDS[access.word]}"
        for number, thread in enumerate(shape.threads)
        for access in thread
        if not access.writes
    ]
    finals = [f"[{WORDS[word]}]" for word, value in enumerate(shape.values) if value > 1]
    return " ".join(f"{name}={value}" for name, value in zip(reads + finals, outcome, strict=True))


def _steps(program: Program, buffered: frozenset[int], state: _State) -> Iterator[_State]:
    for thread, accesses in enumerate(program):
        if state.buffers[thread]:
            store, *rest = state.buffers[thread]
            buffers = _changed(state.buffers, thread, tuple(rest))
            yield state._replace(buffers=buffers, memory=_changed(state.memory, store.word, store.value))
        if state.counters[thread] < len(accesses):
            yield _perform(thread, accesses[state.counters[thread]], thread in buffered, state)


def _perform(thread: int, access: Access, buffered: bool, state: _State) -> _State:
    state = state._replace(counters=_changed(state.counters, thread, state.counters[thread] + 1))
    own = state.buffers[thread]
    if not access.writes:
        newest = [store.value for store in own if store.word == access.word][-1:]
        value = newest[0] if newest else state.memory[access.word]
        return state._replace(loads=_changed(state.loads, thread, (*state.loads[thread], value)))
    if buffered:
        return state._replace(buffers=_changed(state.buffers, thread, (*own, access)))
    return state._replace(memory=_changed(state.memory, access.word, access.value))


def _changed(values: tuple[T, ...], at: int, value: T) -> tuple[T, ...]:
    return (*values[:at], value, *values[at + 1 :])
