"""Linearizability of one word by search: for values that repeat, and for additions without an outcome.

The search of Wing and Gong as Lowe improved it: states already seen are remembered, and an operation is put in order
no sooner than it must be, when it or another one returns ("just in time"). A state is what the word holds and which
of the operations under way have taken effect, so its size depends on how many run at once and not on the length of
the history. The cost is linear in the length and exponential in the number of writes under way at once; hence the
deadline.

Shortcuts that lose nothing:

* An operation that only reads, and may read what the word holds now, takes effect at once: it changes nothing, and
  any order that explains the history with it later does so with it here.
* An operation without an outcome stays under way for ever. Of two states that differ only in that one has used more
  of these, the one that used fewer can do all that the other can; the other is dropped. Where several are alike,
  the first is used first.

References: Wing and Gong, *Testing and verifying concurrent objects*, 1993; Lowe, *Testing for linearizability*,
2017. That words may be checked one by one is Herlihy and Wing's locality.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from dsm.errors import DeadlineExceeded
from dsm.verify.history import History, Kind, Operation
from dsm.verify.verdict import Deadline, Violation

State = tuple[int, int]
"""What the word holds, and a bit for each operation under way that has taken effect."""

EVENTS_BETWEEN_CHECKS = 256
STATES_BETWEEN_CHECKS = 1024
STATES_MAX = 1 << 22  # remembered at once: some 500 MB
_WORD_BITS = 64


def wrap(number: int) -> int:
    """A signed 64-bit integer, as the memory would hold it."""
    return (number + (1 << _WORD_BITS - 1)) % (1 << _WORD_BITS) - (1 << _WORD_BITS - 1)


def changes(operation: Operation) -> bool:
    """Return whether an operation may change the word."""
    match operation.kind:
        case Kind.READ:
            return False
        case Kind.COMPARE_AND_SWAP:
            return not operation.known or operation.seen == operation.expected
        case _:
            return True


def effect(operation: Operation) -> Callable[[int], int | None]:
    """Return the function from what the word holds to what it holds afterwards, or to None if it cannot happen."""
    value, found = operation.value or 0, operation.seen
    match operation.kind:
        case Kind.WRITE:
            return lambda _: value
        case Kind.FETCH_ADD:
            return lambda held: wrap(held + value) if found is None or found == held else None
        case Kind.COMPARE_AND_SWAP if changes(operation):
            return lambda held: value if held == operation.expected else None
        case _:
            return lambda held: held if held == found else None


@dataclass
class Search:
    """The states that are possible after the events so far."""

    deadline: Deadline
    states: set[State]
    underway: dict[int, Operation] = field(default_factory=dict)
    readers: dict[int, int] = field(default_factory=dict)
    """Of operations under way that only read, by their bit: the value they read."""
    writers: dict[int, Callable[[int], int | None]] = field(default_factory=dict)
    free: list[int] = field(default_factory=list)
    unknown: int = 0
    """The bits of operations without an outcome."""
    latest: dict[tuple[object, ...], int] = field(default_factory=dict)
    after: dict[int, int] = field(default_factory=dict)
    """Of an operation without an outcome, the one before it that is like it."""

    def invoke(self, operation: Operation) -> int:
        bit = self.free.pop() if self.free else 1 << len(self.underway)
        self.underway[bit] = operation
        if changes(operation):
            self.writers[bit] = effect(operation)
        else:
            self.readers[bit] = seen = operation.seen or 0
            self.states = {(held, done | bit) if held == seen else (held, done) for held, done in self.states}
        if not operation.known:
            self.unknown |= bit
            alike = (operation.kind, operation.value, operation.expected)
            self.after[bit] = self.latest.get(alike, 0)
            self.latest[alike] = bit
        return bit

    def finish(self, bit: int) -> bool:
        """Keep the states in which the operation has taken effect; False if there is none."""
        after = {(held, done ^ bit) for held, done in self.states if done & bit}
        self._extend([state for state in self.states if not state[1] & bit], bit, after)
        if not after:
            return False
        del self.underway[bit]
        self.readers.pop(bit, None)
        self.writers.pop(bit, None)
        self.free.append(bit)
        self.states = self._undominated(after) if self.unknown else after
        return True

    def _extend(self, waiting: list[State], bit: int, after: set[State]) -> None:
        """Let writes under way take effect, in every order, until the operation has."""
        visited = set(waiting)
        steps = 0
        while waiting:
            held, done = waiting.pop()
            for other, apply in self.writers.items():
                if done & other or self.after.get(other, 0) & ~done or (value := apply(held)) is None:
                    continue
                state = (value, self._absorbed(value, done | other))
                if state[1] & bit:
                    after.add((value, state[1] ^ bit))
                elif state not in visited:
                    visited.add(state)
                    waiting.append(state)
            steps += 1
            if steps % STATES_BETWEEN_CHECKS == 0:
                self.deadline.check()
                if len(visited) + len(after) > STATES_MAX:
                    raise DeadlineExceeded(f"more than {STATES_MAX} states of one word are possible at once")

    def _absorbed(self, held: int, done: int) -> int:
        for bit, seen in self.readers.items():
            if seen == held:
                done |= bit
        return done

    def _undominated(self, states: set[State]) -> set[State]:
        groups: dict[State, list[int]] = {}
        for held, done in sorted(states, key=lambda state: (state[1] & self.unknown).bit_count()):
            used = done & self.unknown
            kept = groups.setdefault((held, done & ~self.unknown), [])
            if not any(fewer & ~used == 0 for fewer in kept):
                kept.append(used)
        return {(held, done | used) for (held, done), kept in groups.items() for used in kept}


def check(history: History, rows: list[int], deadline: Deadline) -> Violation | None:
    """Decide whether the operations in these rows, all on one word, are linearizable."""
    operations = {row: history.operation(row) for row in rows}
    search = Search(deadline, {(history.initial, 0)})
    bits: dict[int, int] = {}
    for count, (row, returning) in enumerate(_events(operations)):
        if count % EVENTS_BETWEEN_CHECKS == 0:
            deadline.check()
        if not returning:
            bits[row] = search.invoke(operations[row])
        elif not search.finish(bits[row]):
            return _inexplicable(operations, row, search)
    return None


def _events(operations: dict[int, Operation]) -> Iterator[tuple[int, bool]]:
    """Rows with False for an invocation and True for a return, in order of time; ties count as overlap."""
    useful = {row: one for row, one in operations.items() if one.known or changes(one)}
    events = [(one.invoked, False, row) for row, one in useful.items()]
    events += [(one.returned, True, row) for row, one in useful.items() if one.returned is not None]
    return ((row, returning) for _, returning, row in sorted(events))


def _inexplicable(operations: dict[int, Operation], row: int, search: Search) -> Violation:
    held = sorted({value for value, _ in search.states})
    others = [one for one in search.underway.values() if one is not operations[row]]
    during = "; ".join(str(one) for one in others[:8]) or "nothing"
    text = (
        f"{operations[row]} (row {row}), and no order of the operations so far explains it. "
        f"All that had returned before leaves the word at {' or '.join(map(str, held[:8]))}"
        f"{' or ...' if held[8:] else ''}, and meanwhile there was under way: {during}"
    )
    rows = [number for number, one in operations.items() if any(one is other for other in others)]
    return Violation("no order explains it", (row, *rows), text)
