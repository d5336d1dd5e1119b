"""Histories to check: of a simulated memory that is right, and of nobody knows what.

The simulated memory takes each operation at one moment inside its interval, so that its histories are linearizable
and sequentially consistent. `tiny` histories are arbitrary: a few operations, few words, few values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from dsm.verify.history import History, Kind, Operation, Word

A, B, C = (Word(1, page, 0) for page in range(3))
WORDS = (A, B, C)
TICKS = 10  # between two moments of the simulated memory; intervals reach over some of them


@dataclass
class _Draft:
    """An operation on its way: the moment at which it happens, and how far around that it reaches."""

    process: int
    kind: Kind
    word: int
    seen: int
    moment: int
    begun: int
    ended: int | None
    value: int = 0
    expected: int | None = None

    def happen(self, random: Random) -> int:
        """Return what the word holds afterwards."""
        self.value = self.moment
        match self.kind:
            case Kind.READ:
                return self.seen
            case Kind.FETCH_ADD:
                self.value = self.moment - self.seen
            case Kind.COMPARE_AND_SWAP:
                self.expected = self.seen - random.randint(0, 1)
                if self.expected != self.seen:
                    return self.seen
        return self.seen if self.ended is None and random.random() < 0.5 else self.moment

    def operation(self) -> Operation:
        return Operation(
            self.process,
            self.kind,
            Word(1, self.word, 0),
            seen=None if self.kind is Kind.WRITE or self.ended is None else self.seen,
            value=None if self.kind is Kind.READ else self.value,
            expected=self.expected,
            invoked=self.begun,
            returned=self.ended,
        )


def simulated(
    random: Random, operations: int, processes: int = 4, words: int = 3, *, updates: bool = True, unknown: float = 0.0
) -> History:
    """What processes did to a memory that is right. Values are unique in each word and rise with each write."""
    held = [0] * words
    free_at = [0] * processes
    living = list(range(processes))
    drafts = []
    for moment in range(1, operations + 1):
        process, word, now = random.choice(living), random.randrange(words), moment * TICKS
        kind = random.choice(list(Kind)[:4] if updates else [Kind.READ, Kind.WRITE])
        begun = random.randint(max(free_at[process], now - 5 * TICKS), now)
        free_at[process] = now + 1
        draft = _Draft(process, kind, word, held[word], moment, begun, now)
        if random.random() < unknown and len(living) > 1:
            draft.ended = None
            living.remove(process)
        held[word] = draft.happen(random)
        drafts.append(draft)
    _stretch(random, drafts)
    return History.of(draft.operation() for draft in drafts)


def _stretch(random: Random, drafts: list[_Draft]) -> None:
    """Let operations return later, but before the next invocation of their process."""
    following: dict[int, int] = {}
    for draft in reversed(drafts):
        if draft.ended is not None:
            latest = min(draft.ended + 5 * TICKS, following.get(draft.process, 1 << 60) - 1)
            draft.ended = random.randint(draft.ended, max(draft.ended, latest))
        following[draft.process] = draft.begun


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


def rising(random: Random) -> History:
    """A few loads, stores and fences without times. Values of a word count up, half the programs look like SB."""
    processes, words = random.choice([(2, 2), (3, 2), (4, 2), (3, 3), (3, 1), (4, 1)])
    written = dict.fromkeys(WORDS, 0)
    buffering = random.random() < 0.5
    plan: list[tuple[int, Kind, Word]] = []
    for _ in range(random.randint(4, 11)):
        process, word = random.randrange(processes), WORDS[random.randrange(words)]
        kind = random.choices([Kind.WRITE, Kind.READ, Kind.FENCE], [9, 9, 2])[0]
        if buffering:
            stored = any(one[0] == process and one[1] is Kind.WRITE for one in plan[-3:])
            kind = random.choices([Kind.READ, Kind.FENCE], [8, 2])[0] if stored else Kind.WRITE
        plan.append((process, kind, word))
        written[word] += kind is Kind.WRITE
    fresh = {word: iter(range(1, count + 1)) for word, count in written.items()}
    operations = []
    for process, kind, word in plan:
        match kind:
            case Kind.WRITE:
                operations.append(Operation(process, kind, word, value=next(fresh[word])))
            case Kind.READ:
                operations.append(Operation(process, kind, word, seen=random.randint(0, written[word])))
            case _:
                operations.append(Operation(process, kind))
    if random.random() < 0.3:
        random.shuffle(operations)
    hosts = {process: random.randrange(2) for process in range(processes)} if random.random() < 0.4 else {}
    return History.of(operations, hosts)


def buffered(random: Random, operations: int, processes: int = 3, words: int = 2) -> History:
    """What processors with store buffers did, each with its own, on one host. Values of a word rise as it changes."""
    buffers: list[list[tuple[int, int]]] = [[] for _ in range(processes)]
    held = [0] * words
    versions = {0: 0}
    rows: list[tuple[int, Kind, int, int]] = []

    def drain(process: int) -> None:
        word, token = buffers[process].pop(0)
        held[word] = token
        versions[token] = len(versions)

    while len(rows) < operations:
        process, word = random.randrange(processes), random.randrange(words)
        kind = random.choices([Kind.WRITE, Kind.READ, Kind.FENCE, None], [8, 8, 1, 3])[0]
        if kind is Kind.WRITE:
            buffers[process].append((word, len(rows) + 1))
            rows.append((process, kind, word, len(rows) + 1))
        elif kind is Kind.READ:
            rows.append((process, kind, word, dict(buffers[process]).get(word, held[word])))
        elif kind is Kind.FENCE:
            while buffers[process]:
                drain(process)
            rows.append((process, kind, word, 0))
        elif buffers[process]:
            drain(process)
    for process in range(processes):
        while buffers[process]:
            drain(process)
    return History.of(_of_buffers(*row, versions) for row in rows)


def _of_buffers(process: int, kind: Kind, word: int, token: int, versions: dict[int, int]) -> Operation:
    match kind:
        case Kind.WRITE:
            return Operation(process, kind, WORDS[word], value=versions[token])
        case Kind.READ:
            return Operation(process, kind, WORDS[word], seen=versions[token])
        case _:
            return Operation(process, kind)


def plausible(random: Random, history: History) -> History:
    """Let reads and updates see values that somebody wrote there: otherwise few wrong histories are interesting."""
    written: dict[Word | None, list[int]] = {word: [0] for word in WORDS}
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
