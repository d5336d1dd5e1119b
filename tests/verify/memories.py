"""Histories to check: of a simulated memory that is right, and of nobody knows what.

The simulated memory takes each operation at one moment inside its interval, so that its histories are linearizable
and sequentially consistent. `tiny` histories are arbitrary: a few operations, few words, few values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from dsm.verify.history import History, Kind, Operation, Word

A, B, C = (Word(1, page, 0) for page in range(3))
WORDS = (A, B, C)
TICKS = 10  # between two moments of the simulated memory; intervals reach over some of them


def simulated(
    random: Random, operations: int, processes: int = 4, words: int = 3, *, updates: bool = True, unknown: float = 0.0
) -> History:
    """What processes did to a memory that is right. Values are unique in each word and rise with each write."""
    held = [0] * words
    free_at = [0] * processes
    rows = []
    dead: set[int] = set()
    for moment in range(1, operations + 1):
        process = random.choice([one for one in range(processes) if one not in dead])
        now = moment * TICKS
        word = random.randrange(words)
        kind = random.choice(list(Kind)[:4] if updates else [Kind.READ, Kind.WRITE])
        doubt = random.random() < unknown and len(dead) < processes - 1
        begun = random.randint(max(free_at[process], now - 5 * TICKS), now)
        # Nobody else may know yet when this one ends, but it must not pass its process's next moment.
        rows.append([process, kind, word, held[word], moment, begun, None if doubt else now])
        free_at[process] = now + 1
        if doubt:
            dead.add(process)
        held[word] = _after(random, rows[-1], held[word], moment, doubt)
    _stretch(random, rows)
    return History.of(map(_operation, rows))


def _after(random: Random, row: list[object], held: int, moment: int, doubt: bool) -> int:
    """Let the operation take effect, or perhaps not if it is in doubt."""
    match row[1]:
        case Kind.READ:
            return held
        case Kind.FETCH_ADD:
            row[4] = moment - held
        case Kind.COMPARE_AND_SWAP if random.random() < 0.5:
            row.append(held - 1)
            return held
        case Kind.COMPARE_AND_SWAP:
            row.append(held)
    return held if doubt and random.random() < 0.5 else moment


def _stretch(random: Random, rows: list[list[object]]) -> None:
    """Let operations return later, up to the next invocation of their process."""
    following: dict[object, int] = {}
    for row in reversed(rows):
        process, begun, ended = row[0], row[5], row[6]
        assert isinstance(begun, int)
        if isinstance(ended, int):
            row[6] = random.randint(ended, max(ended, min(ended + 5 * TICKS, following.get(process, 1 << 60) - 1)))
        following[process] = begun


def _operation(row: list[object]) -> Operation:
    process, kind, word, seen, value, begun, ended, *expected = row
    assert isinstance(kind, Kind) and isinstance(word, int)
    fields: dict[str, object] = {"process": process, "kind": kind, "word": Word(1, word, 0), "invoked": begun}
    fields["returned"] = ended
    if kind is not Kind.WRITE and ended is not None:
        fields["seen"] = seen
    if kind is not Kind.READ:
        fields["value"] = value
    if expected:
        fields["expected"] = expected[0]
    return Operation(**fields)  # type: ignore[arg-type]


def tiny(random: Random, *, unique: bool, updates: bool = True, unknown: bool = True, fences: bool = False) -> History:
    """A few operations with values drawn at random: some histories are right, most are not."""
    processes, words = random.randint(2, 4), random.randint(1, 3)
    kinds = [Kind.READ, Kind.READ, Kind.WRITE]
    kinds += [Kind.COMPARE_AND_SWAP, Kind.FETCH_ADD] if updates else []
    kinds += [Kind.FENCE] if fences else []
    operations: list[Operation] = []
    fresh = iter(range(1, 100))
    clocks = [0] * processes
    gone: set[int] = set()
    for _ in range(random.randint(2, 9)):
        process = random.randrange(processes)
        if process in gone:
            continue
        kind = random.choice(kinds)
        begun = clocks[process] + random.randint(0, 6)
        ended = begun + random.randint(0, 8)
        clocks[process] = ended + random.randint(0, 1)
        if kind is Kind.FENCE:
            operations.append(Operation(process, kind))
            continue
        doubt = unknown and random.random() < 0.1
        if doubt:
            gone.add(process)
        operations.append(
            Operation(
                process,
                kind,
                WORDS[random.randrange(words)],
                seen=None if kind is Kind.WRITE or doubt else random.randint(0, 4),
                value=None if kind is Kind.READ else (next(fresh) if unique else random.randint(0, 3)),
                expected=random.randint(0, 4) if kind is Kind.COMPARE_AND_SWAP else None,
                invoked=begun,
                returned=None if doubt else ended,
            )
        )
    hosts = {process: random.randrange(3) for process in range(processes)} if random.random() < 0.5 else {}
    return History.of(operations, hosts)


def plausible(random: Random, history: History) -> History:
    """Let reads and updates see values that somebody wrote there: otherwise few wrong histories are interesting."""
    written = {word: [0] for word in WORDS}
    for one in history:
        if one.word is not None and one.value is not None and one.kind is not Kind.FETCH_ADD:
            written[one.word].append(one.value)

    def drawn(one: Operation) -> Operation:
        if one.word is None:
            return one
        if one.seen is not None:
            one = replace(one, seen=random.choice(written[one.word]))
        if one.expected is not None:
            one = replace(one, expected=random.choice(written[one.word]))
        if one.kind is Kind.FETCH_ADD and one.seen is not None:
            written[one.word].append(one.seen + (one.value or 0))
        return one

    return History.of(map(drawn, history), history.hosts)


def changed(history: History, row: int, change: Callable[[Operation], Operation]) -> History:
    """The same history with one operation changed."""
    operations = [change(one) if number == row else one for number, one in enumerate(history)]
    return History.of(operations, history.hosts)
