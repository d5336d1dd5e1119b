"""The hash table, in memory of one process: whatever the order of writers, it equals a Counter."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dsm.demo import table
from dsm.demo.table import SLOT, Batch, Difference, Layout, Slots

WORDS = st.integers(0, 40).map(lambda number: b"word-%d" % number)
COUNTS = st.dictionaries(WORDS, st.integers(1, 1 << 40), max_size=30).map(Counter)


def empty(layout: Layout) -> Slots:
    return np.zeros(layout.slots, SLOT)


def pages_of(slots: Slots, layout: Layout) -> list[Slots]:
    return [slots[at : at + layout.slots_per_page] for at in range(0, layout.slots, layout.slots_per_page)]


def merge_all(layout: Layout, shares: list[Counter[bytes]], seed: int) -> Slots:
    """Merge shares one within another: before each page of one, the next may come and merge all that it has."""
    slots = empty(layout)
    pages = pages_of(slots, layout)
    order = random.Random(seed)
    left = list(shares)

    def merge_next() -> None:
        def merge_page(page: int, batch: Batch) -> Batch:
            if left and order.random() < 0.3:
                merge_next()
            return table.insert(pages[page], batch)

        table.merge(layout, left.pop().items(), merge_page, order)

    while left:
        merge_next()
    return slots


def at_the_last_slot(slots: int, count: int) -> list[bytes]:
    """Words that all belong into the last slot."""
    candidates = (b"%d" % number for number in itertools.count())
    return list(itertools.islice((word for word in candidates if table.home(word, slots) == slots - 1), count))


@given(st.lists(COUNTS, min_size=1, max_size=4), st.sampled_from([64, 128, 512]), st.integers())
def test_the_table_equals_the_counter_in_whatever_order_writers_come(
    shares: list[Counter[bytes]], page_size: int, seed: int
) -> None:
    total = sum(shares, Counter[bytes]())
    layout = Layout.holding(sum(map(len, shares)), page_size)
    found = table.entries(merge_all(layout, shares, seed))
    assert len(found) == len(total)
    assert dict(found) == total
    assert table.differences(found, total) == []


@given(st.lists(COUNTS, min_size=1, max_size=3), st.integers())
def test_every_word_is_found_where_it_is_looked_for(shares: list[Counter[bytes]], seed: int) -> None:
    total = sum(shares, Counter[bytes]())
    slots = merge_all(Layout.holding(sum(map(len, shares)), 128), shares, seed)
    assert {word: table.look_up(slots, word) for word in total} == total
    assert table.look_up(slots, b"never merged") == 0


def test_what_does_not_fit_goes_to_the_next_page_and_round_at_the_end() -> None:
    layout = Layout(slots=16, slots_per_page=4)
    words = at_the_last_slot(16, 7)
    slots = merge_all(layout, [Counter(words)], seed=0)
    assert np.flatnonzero(slots["count"]).tolist() == [0, 1, 2, 3, 4, 5, 15]
    assert sorted(slots["word"][slots["count"] > 0].tolist()) == sorted(words)
    assert [table.look_up(slots, word) for word in words] == [1] * 7


def test_a_word_that_overflowed_is_counted_on_in_its_place() -> None:
    layout = Layout(slots=16, slots_per_page=4)
    words = at_the_last_slot(16, 7)
    slots = merge_all(layout, [Counter(words), Counter(reversed(words)), Counter(words[3:])], seed=1)
    assert len(table.entries(slots)) == 7
    assert [table.look_up(slots, word) for word in words] == [2, 2, 2, 3, 3, 3, 3]


def test_a_look_up_in_a_full_table_ends() -> None:
    layout = Layout(slots=4, slots_per_page=4)
    slots = merge_all(layout, [Counter(at_the_last_slot(4, 4))], seed=0)
    assert table.look_up(slots, b"another word") == 0


def test_a_slot_is_a_cache_line_and_a_word_has_the_same_one_everywhere() -> None:
    assert SLOT.itemsize == 64
    assert table.home(b"dsm", 1 << 20) == 0xE8D3E


@given(st.integers(0, 1 << 24), st.sampled_from([1 << 12, 1 << 16]))
def test_a_layout_has_whole_pages_and_room_twice_over(words: int, page_size: int) -> None:
    layout = Layout.holding(words, page_size)
    assert layout.slots >= 2 * words
    assert layout.slots & (layout.slots - 1) == 0
    assert layout.pages * layout.slots_per_page == layout.slots
    assert layout.slots == layout.slots_per_page or layout.slots < 4 * words


def test_differences_name_every_word_that_is_not_there_once_and_right() -> None:
    found = [(b"right", 1), (b"wrong", 2), (b"extra", 3), (b"twice", 2), (b"twice", 2)]
    expected = {b"right": 1, b"wrong": 5, b"missing": 1, b"twice": 2}
    assert table.differences(found, expected) == [
        Difference(b"extra", 0, (3,)),
        Difference(b"missing", 1, ()),
        Difference(b"twice", 2, (2, 2)),
        Difference(b"wrong", 5, (2,)),
    ]
