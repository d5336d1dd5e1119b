"""A hash table of words and counts in an array of slots, made to be filled by several writers at once.

A slot is 64 bytes: a count and a word. A slot without a word is free; there are no deletions. A word belongs into the
slot that its hash says; if another word is there, into the next one, round at the end of the table. So a word is
looked for from its own slot up to the first free one.

Writers work page by page. To merge counts into a page, a writer must be alone on it, so that it sees all that the
others put there. What finds no slot up to the end of the page goes to the beginning of the next page, later. In
between another writer may come with the same word: it finds the page as full as before, because nothing is ever taken
out, and carries its word on too. So each word gets one slot, in whatever order the writers come.

The table never fills up: it has at least twice as many slots as there can be words.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsm.demo.words import WORD_BYTES_MAX

SLOT = np.dtype([("count", "<u8"), ("word", f"S{WORD_BYTES_MAX}")])

Slots = NDArray[np.void]


class Entry(NamedTuple):
    """A word that is to be merged, and the slot within the page from which on it may stand."""

    word: bytes
    times: int
    start: int


Batch = list[Entry]
MergePage = Callable[[int, Batch], Batch]
"""Merge a batch into the page of this number and return what did not fit, its `start` in the next page."""


class Difference(NamedTuple):
    """A word that is not in the table exactly once with the right count."""

    word: bytes
    expected: int
    found: tuple[int, ...]


class Layout(NamedTuple):
    """How many slots the table has, and how many of them are in one page. Both are powers of two."""

    slots: int
    slots_per_page: int

    @classmethod
    def holding(cls, words: int, page_size: int) -> Layout:
        """The table for up to `words` words: whole pages, and twice as many slots or more."""
        slots_per_page = page_size // SLOT.itemsize
        return cls(max(slots_per_page, 1 << max(0, 2 * words - 1).bit_length()), slots_per_page)

    @property
    def pages(self) -> int:
        return self.slots // self.slots_per_page

    def place(self, word: bytes) -> tuple[int, int]:
        """Return the page that a word belongs into, and the slot there."""
        return divmod(home(word, self.slots), self.slots_per_page)


def home(word: bytes, slots: int) -> int:
    """Return the slot that a word belongs into: the same in every process, unlike with hash()."""
    return zlib.crc32(word) % slots


def insert(page: Slots, batch: Batch) -> Batch:
    """Merge a batch of different words into the slots of one page; return what belongs into the next."""
    taken: list[bytes] = page["word"].tolist()
    merged: dict[int, Entry] = {}
    beyond: Batch = []
    for entry in batch:
        at = entry.start
        while at < len(taken) and taken[at] and taken[at] != entry.word:
            at += 1
        if at < len(taken):
            taken[at] = entry.word
            merged[at] = entry
        else:
            beyond.append(entry._replace(start=0))
    places = list(merged)
    page["word"][places] = [entry.word for entry in merged.values()]
    page["count"][places] += np.array([entry.times for entry in merged.values()], "<u8")
    return beyond


def merge(layout: Layout, counts: Iterable[tuple[bytes, int]], merge_page: MergePage, order: random.Random) -> None:
    """Merge counts of different words into the table, each page once, and again where other pages overflow into it."""
    waiting: dict[int, Batch] = {}
    for word, count in counts:
        page, slot = layout.place(word)
        waiting.setdefault(page, []).append(Entry(word, count, slot))
    while waiting:
        for page in order.sample(sorted(waiting), len(waiting)):
            if beyond := merge_page(page, waiting.pop(page)):
                waiting.setdefault((page + 1) % layout.pages, []).extend(beyond)


def look_up(table: Slots, word: bytes) -> int:
    """Return a word's count, 0 if it is not there. Touches only the slots that it has to look at."""
    first = home(word, len(table))
    for step in range(len(table)):
        count, found = table[(first + step) % len(table)].item()
        if found == word:
            return int(count)
        if not found:
            break
    return 0


def entries(table: Slots) -> list[tuple[bytes, int]]:
    """Return all words in the table with their counts."""
    used = table[table["word"] != b""]
    return list(zip(used["word"].tolist(), used["count"].tolist(), strict=True))


def differences(found: list[tuple[bytes, int]], expected: Mapping[bytes, int]) -> list[Difference]:
    """Return where the entries of a table differ from the counts they should be, sorted by word."""
    once = dict(found)
    if len(once) == len(found) and once == expected:
        return []
    by_word: dict[bytes, tuple[int, ...]] = {}
    for word, count in found:
        by_word[word] = (*by_word.get(word, ()), count)
    compared = [Difference(word, expected.get(word, 0), by_word.get(word, ())) for word in {*by_word, *expected}]
    return sorted(difference for difference in compared if difference.found != (difference.expected,))


def array_over(buffer: Any) -> Slots:
    """Return the slots in a buffer, such as the view of a scope."""
    return np.frombuffer(buffer, SLOT)
