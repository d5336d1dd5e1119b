"""A history as the checkers need it: who reads and who writes which word, and where each value read came from.

What is settled here, once for all checkers:

* A compare-and-swap that failed, and an update that leaves the value as it was, is a read.
* A word's initial value is a write before everything else, by no process; it has an access of its own at the end.
* An operation without an outcome whose value nobody read is left out: a history that is explained with it is
  explained without it. One whose value was read, by an operation that itself took effect, did take effect, and if it
  was a compare-and-swap, it found what it expected. An addition without an outcome wrote nobody knows what, so its
  word is **unclear**.
* A word is **unique** if no two writes gave it the same value, so that each value read names its write.

Reference: Gibbons and Korach, *Testing shared memories*, SIAM J. Comput. 26(4), 1997 (the "read-mapping").
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dsm.verify.history import FOREVER, Column, History, Kind, Mask
from dsm.verify.verdict import Violation

NOBODY = -1  # the process and the row of an initial value, the word of a fence, the source of what reads nothing


@dataclass(frozen=True, eq=False)
class Accesses:
    """The columns of the operations that matter, in the history's order; then one for each word's initial value."""

    history: History
    row: Column
    word: Column
    process: Column
    reader: Mask
    writer: Mask
    ordering: Mask
    """Fences and locked instructions."""
    known: Mask
    written: Column
    source: Column
    """Of each reader of a unique word, the access whose value it read; NOBODY if there is none."""
    unique: Mask
    """By word."""
    unclear: Mask
    """By word."""

    def __len__(self) -> int:
        return len(self.row)

    @property
    def words(self) -> int:
        return len(self.unique)

    @property
    def operations(self) -> int:
        """How many operations bear on some word."""
        return int(np.count_nonzero((self.word != NOBODY) & (self.row != NOBODY)))

    def on(self, among: Mask) -> Mask:
        """Which accesses are to some of the words."""
        return np.append(among, False)[self.word]

    @cached_property
    def times(self) -> tuple[Column, Column]:
        """When each was invoked and returned, as ranks from 1 up; an initial value at 0."""
        real = self.row != NOBODY
        rows = self.row[real]
        both = np.concatenate([self.history.column("invoked")[rows], self.history.column("returned")[rows]])
        ranks = np.unique(both, return_inverse=True)[1] + 1
        invoked, returned = np.zeros((2, len(self)), dtype=np.int64)
        invoked[real], returned[real] = ranks.reshape(2, -1)
        return invoked, returned

    def initial(self, word: int) -> int:
        """The access that gave a word its initial value."""
        return len(self) - self.words + word

    def describe(self, access: int) -> str:
        """The operation in words."""
        if self.row[access] != NOBODY:
            return f"{self.history.operation(int(self.row[access]))} (row {self.row[access]})"
        users = np.flatnonzero(self.word == self.word[access])
        word = self.history.operation(int(self.row[users[0]])).word
        return f"word {word} began as {self.history.initial}"

    def rows(self, *accesses: int) -> tuple[int, ...]:
        """Where operations are in the history; an initial value is nowhere."""
        found = (int(self.row[access]) for access in accesses)
        return tuple(row for row in dict.fromkeys(found) if row != NOBODY)


def prepare(history: History) -> Accesses:
    """Settle who reads and who writes what."""
    kind, seen, value = (history.column(name) for name in ("kind", "seen", "value"))
    expected = history.column("expected")
    known = history.column("returned") != FOREVER
    swap, add = kind == Kind.COMPARE_AND_SWAP, kind == Kind.FETCH_ADD
    word, words = words_of(history)
    unclear = np.zeros(words, dtype=np.bool_)
    unclear[word[add & ~known]] = True

    seen = np.where(known, seen, expected)
    writer = (kind == Kind.WRITE) | (swap & (seen == expected) & (expected != value)) | (add & known & (value != 0))
    reader = ((kind == Kind.READ) | add) & known | (swap & (known | writer))
    written = np.where(add, seen + value, value)
    write_key, read_key, initial_key = _keys(word, seen, written, history.initial, words)

    rows = np.flatnonzero(_certain(known, reader, writer, read_key, write_key))
    nobody = np.full(words, NOBODY)
    word_column = np.concatenate([word[rows], np.arange(words)])
    reader_column = np.concatenate([reader[rows], np.zeros(words, dtype=np.bool_)])
    writer_column = np.concatenate([writer[rows], np.ones(words, dtype=np.bool_)])
    write_keys = np.concatenate([write_key[rows], initial_key])
    source, unique = _sources(reader_column, writer_column, read_key[rows], write_keys, word_column, words)
    return Accesses(
        history=history,
        row=np.concatenate([rows, nobody]),
        word=word_column,
        process=np.concatenate([history.column("process")[rows], nobody]),
        reader=reader_column,
        writer=writer_column,
        ordering=np.concatenate([(kind >= Kind.COMPARE_AND_SWAP)[rows], np.zeros(words, dtype=np.bool_)]),
        known=np.concatenate([known[rows], np.ones(words, dtype=np.bool_)]),
        written=np.concatenate([written[rows], np.full(words, history.initial)]),
        source=source,
        unique=unique,
        unclear=unclear,
    )


def unwritten(accesses: Accesses, among: Mask) -> Violation | None:
    """A read of a value that nobody wrote. `among` selects words."""
    orphans = accesses.reader & (accesses.source == NOBODY) & accesses.on(among)
    if not orphans.any():
        return None
    reader = int(np.flatnonzero(orphans)[0])
    text = f"{accesses.describe(reader)}, but nobody wrote that value and the word did not begin with it"
    return Violation("value out of thin air", accesses.rows(reader), text)


def words_of(history: History) -> tuple[Column, int]:
    """The number of each row's word (NOBODY for fences), and how many words there are."""
    real = history.column("kind") != Kind.FENCE
    combined = np.zeros(np.count_nonzero(real), dtype=np.int64)
    count = 1
    for name in ("region", "page", "offset"):
        values, ranks = np.unique(history.column(name)[real], return_inverse=True)
        combined, count = combined * max(len(values), 1) + ranks, count * len(values)
        if count > len(combined):
            values, combined = np.unique(combined, return_inverse=True)
            count = len(values)
    values, combined = np.unique(combined, return_inverse=True)
    word = np.full(len(history), NOBODY)
    word[real] = combined
    return word, len(values)


def _keys(word: Column, seen: Column, written: Column, initial: int, words: int) -> tuple[Column, Column, Column]:
    """One number for each pair of word and value: as written, as seen, as in the beginning."""
    together = np.concatenate([written, seen, np.array([initial], dtype=np.int64)])
    values, ranks = np.unique(together, return_inverse=True)
    base = word * len(values)
    return base + ranks[: len(word)], base + ranks[len(word) : -1], np.arange(words) * len(values) + ranks[-1]


def _certain(known: Mask, reader: Mask, writer: Mask, read_key: Column, write_key: Column) -> Mask:
    """What surely took effect: what returned; writes whose values that found; writes whose values these found; ..."""
    certain = known
    while True:
        doubtful = np.flatnonzero(writer & ~certain)
        found = doubtful[np.isin(write_key[doubtful], read_key[certain & reader])]
        if not found.size:
            return certain
        certain = certain.copy()
        certain[found] = True


def _sources(
    reader: Mask, writer: Mask, read_key: Column, write_key: Column, word: Column, words: int
) -> tuple[Column, Mask]:
    writers, readers = np.flatnonzero(writer), np.flatnonzero(reader)
    by_key = writers[np.argsort(write_key[writers], kind="stable")]
    keys = write_key[by_key]
    unique = np.ones(words, dtype=np.bool_)
    unique[word[by_key[1:][keys[1:] == keys[:-1]]]] = False
    source: NDArray[np.int64] = np.full(len(word), NOBODY)
    if keys.size:
        place = np.minimum(np.searchsorted(keys, read_key[readers]), keys.size - 1)
        source[readers] = np.where(keys[place] == read_key[readers], by_key[place], NOBODY)
    return source, unique
