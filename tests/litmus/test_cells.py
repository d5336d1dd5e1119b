"""Which cells there are, and how one is judged."""

from __future__ import annotations

from collections import Counter

import pytest

from dsm.litmus.cells import Cell, chosen, everything
from dsm.litmus.outcomes import describe, lost
from dsm.litmus.shapes import NAMED, named
from dsm.litmus.thread import PAGE_BYTES, Layout
from dsm.litmus.verdict import Verdict

SHAPES = {shape.name: shape for shape in named()}


def cell(name: str, workers: str = "apart", access: str = "plain") -> Cell:
    return Cell(SHAPES[name], workers, "pages", access)


def verdict(cell: Cell, *without: str, more: tuple[int, ...] = (), each: int = 100, lost: int = 0) -> Verdict:
    """A cell that has seen all it should equally often, but for some, and something more once."""
    verdict = Verdict(cell)
    expected = {outcome: each for outcome in cell.expected() if describe(cell.shape, outcome) not in without}
    verdict.add(Counter(expected) + Counter([more] if more else []), lost)
    return verdict


def test_names_are_unique_and_every_chosen_cell_is_among_all() -> None:
    names = [cell.name for cell in everything()]
    assert len(names) == len(set(names))
    assert {cell.name for cell in chosen()} < set(names)


def test_every_named_shape_is_run_in_each_place_and_way_after_each_change() -> None:
    found = {(cell.shape.name, way) for cell in chosen() for way in (cell.workers, cell.access)}
    assert {(name, way) for name in NAMED for way in ("apart", "together", "plain", "scoped")} <= found
    assert {cell.shape.name for cell in chosen() if cell.words == "owned"} == set(NAMED)


def test_every_cell_that_is_chosen_can_fail() -> None:
    assert not [cell.name for cell in chosen() if not cell.forbids]
    assert not cell("SB", "together").forbids and cell("SB", "together", "scoped").forbids
    assert {"SB/together/pages/scoped", "3.SB/mixed/pages/scoped"} <= {cell.name for cell in chosen()}


def test_store_buffers_count_only_where_a_node_is_shared_and_access_is_plain() -> None:
    assert cell("SB").buffered == frozenset()
    assert cell("SB", "together").buffered == {0, 1}
    assert cell("SB", "together", "scoped").buffered == frozenset()
    assert cell("WRC", "mixed").buffered == {0, 1}
    assert cell("IRIW", "mixed").nodes == (0, 0, 1, 1)


def test_a_cell_that_saw_exactly_what_is_allowed_is_good() -> None:
    assert verdict(cell("MP")).ok


def test_a_forbidden_outcome_fails_the_cell() -> None:
    seen = verdict(cell("MP"), more=(1, 0))
    assert (seen.ok, seen.forbidden) == (False, 1)
    assert ("1:y=1 1:x=0", 1, "FORBIDDEN") in seen.rows()


def test_an_allowed_outcome_that_never_came_fails_the_cell() -> None:
    seen = verdict(cell("MP"), "1:y=0 1:x=1")
    assert (seen.ok, seen.missing) == (False, [(0, 1)])
    assert seen.as_map()["missing"] == ["1:y=0 1:x=1"]


def test_an_allowed_outcome_that_hardly_came_fails_the_cell() -> None:
    seen = verdict(cell("MP"), "1:y=0 1:x=1", more=(0, 1), each=1000)
    assert (seen.ok, seen.rare, seen.missing) == (False, [(0, 1)], [])
    assert ("1:y=0 1:x=1", 1, "TOO RARE") in seen.rows()
    assert verdict(cell("MP"), "1:y=0 1:x=1", more=(0, 1), each=50).ok  # one of 101 is enough


def test_a_batch_that_ended_nearly_always_alike_fails_the_cell_for_good() -> None:
    seen = Verdict(cell("MP"))
    seen.add(Counter({(0, 0): 460, (0, 1): 20, (1, 1): 20}), 0)
    seen.add(Counter({(0, 0): 100, (0, 1): 200, (1, 1): 200}), 0)
    assert not seen.rare and seen.monotonous and seen.bad and not seen.ok


def test_a_store_that_memory_has_not_got_in_the_end_fails_the_cell() -> None:
    seen = verdict(cell("MP"), lost=1)
    assert (seen.ok, seen.forbidden, seen.rounds) == (False, 1, 301)
    assert ("a store was lost", 1, "FORBIDDEN") in seen.rows()
    assert lost(cell("MP").shape, (1, 0)) and not lost(cell("MP").shape, (1, 1))


def test_what_needs_a_store_buffer_may_come_and_need_not() -> None:
    shared = cell("SB", "together")
    assert verdict(shared).ok
    assert any("buffer" in remark for _, _, remark in verdict(shared).rows())
    assert verdict(shared, more=(0, 0)).ok
    assert not verdict(cell("SB"), more=(0, 0)).ok


@pytest.mark.parametrize("one_page", [True, False])
@pytest.mark.parametrize("words", [1, 2, 3])
def test_words_of_all_rounds_lie_apart_within_the_region(words: int, one_page: bool) -> None:
    layout, rounds = Layout(words, one_page), 1200
    places = [[layout.place(instance, word) for word in range(words)] for instance in range(rounds)]
    flat = {place for row in places for place in row}
    assert len(flat) == rounds * words
    assert max(flat) * 8 < layout.region_bytes(rounds)
    pages = [{place * 8 // PAGE_BYTES for place in row} for row in places]
    assert {len(row) for row in pages} == {1 if one_page else words}
    assert flat.isdisjoint({layout.last_word(place) for place in flat})
